// Text to token ids and back, as the tokenizer.json of a model directory says.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

class decoder_run;

struct encode_options {
  bool add_special_tokens = true; // what the model wants around a text, such as its first token
  bool special_tokens_as_text = false; // for text from strangers: "<|end|>" in it is just letters
};

// The name of a special token and, where the vocabulary has it, its id.
struct special_token {
  std::string text;
  std::optional<int32_t> id;
};

// Agrees exactly with the Python package `tokenizers` for the BPE models. Immutable and cheap to
// copy; any number of threads may use one at once.
class tokenizer {
public:
  // From the text of tokenizer.json and, where there is one, of tokenizer_config.json. The names
  // are for messages. A failure names the file, the field and, in broken JSON, line and column.
  static result<tokenizer> parse(std::string_view json, std::string_view file_name);
  static result<tokenizer> parse(std::string_view json, std::string_view file_name,
                                 std::string_view config_json, std::string_view config_file_name);

  // Text that is not UTF-8 is read with U+FFFD in place of what is broken. Fails only when a
  // pattern of the tokenizer needs more steps than its bounds, or the text needs an unknown token
  // there is none of.
  result<std::vector<int32_t>> encode(std::string_view utf8, encode_options options = {}) const;

  // Ids that no token has are left out, as in the reference. For one token at a time:
  // stream_decoder.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  // The bytes a token adds to the text wherever its place does not matter; may be part of a
  // character.
  std::string token_bytes(int32_t id) const;
  // The token as the vocabulary writes it ("Ġthe"); empty when no token has the id.
  std::string token_text(int32_t id) const;
  std::optional<int32_t> id_of(std::string_view token_text) const;
  bool is_special(int32_t id) const;

  // Number of tokens, added ones included.
  size_t vocab_size() const;
  // One more than the greatest id.
  size_t id_limit() const;

  // From tokenizer_config.json; without it, unset.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;
  // Their texts, empty when unset: what a chat template calls bos_token and eos_token.
  const std::string& bos_token() const;
  const std::string& eos_token() const;
  const std::string& pad_token() const;
  const std::string& unk_token() const;

private:
  friend class stream_decoder;
  struct data;
  explicit tokenizer(std::shared_ptr<const data> shared) : data_(std::move(shared)) {}
  // Null when no token has the id.
  const std::string* decoded_text_of(int32_t id) const;
  bool is_left_out(const std::string& token_text, bool skip_special_tokens) const;
  decoder_run start_decoding() const;

  // Owned together by all copies and by the stream decoders made from them; never changed.
  std::shared_ptr<const data> data_;
};

} // namespace troupe::model
