// Puts the parts of tokenizer.json together.
#include "model/tokenizer.hpp"

#include "base/text.hpp"
#include "model/bpe.hpp"
#include "model/json_text.hpp"
#include "model/pre_tokenizer.hpp"
#include "model/tokenizer_added_tokens.hpp"
#include "model/tokenizer_decoder.hpp"
#include "model/tokenizer_normalizer.hpp"
#include "model/tokenizer_post_processor.hpp"
#include "model/tokenizer_unicode.hpp"

#include <algorithm>

namespace troupe::model {

struct tokenizer::data {
  bpe vocabulary;
  text_normalizer normalizer;
  added_tokens added;
  pre_tokenizer cutter;
  post_processor processor;
  token_decoder decoder;
  special_token bos, eos, pad, unk;
};

namespace {

// The models of the tokenizers package whose section has no "type" are told apart by their members.
status check_model_type(const json_field& model) {
  const auto type = model.optional_string("type");
  if (!type) return type.error();
  if (type->has_value() && **type != "BPE") {
    return model.member("type")
        .fails(text("the model type '", **type, "' is not supported, only 'BPE' is"),
               status_code::unsupported)
        .value();
  }
  return {};
}

// A special token in tokenizer_config.json: a string, or an object with "content".
result<std::string> special_token_text(const json_field& config, const char* name) {
  const json_field field = config.member(name);
  if (field.is_null()) return std::string();
  if (field.value().is_object()) return field.string("content");
  return config.string(name);
}

} // namespace

result<tokenizer> tokenizer::parse(std::string_view json, std::string_view file_name) {
  return parse(json, file_name, "{}", "tokenizer_config.json");
}

result<tokenizer> tokenizer::parse(std::string_view json, std::string_view file_name,
                                   std::string_view config_json,
                                   std::string_view config_file_name) {
  TROUPE_TAKE(const nlohmann::json document, parse_json(json, file_name));
  const json_field root(document, std::string(file_name));
  if (!document.is_object()) return root.fails("must hold an object");
  TROUPE_TAKE(const json_field model, root.object("model"));
  if (status failed = check_model_type(model); !failed.ok()) return fail(std::move(failed));

  auto made = std::make_shared<data>();
  TROUPE_TAKE(made->vocabulary, bpe::parse(model));
  TROUPE_TAKE(made->normalizer, text_normalizer::parse(root.member("normalizer")));
  TROUPE_TAKE(made->added,
              added_tokens::parse(root.member("added_tokens"), made->vocabulary, made->normalizer));
  TROUPE_TAKE(made->cutter, pre_tokenizer::parse(root.member("pre_tokenizer")));
  TROUPE_TAKE(made->processor, post_processor::parse(root.member("post_processor")));
  TROUPE_TAKE(made->decoder, token_decoder::parse(root.member("decoder")));
  const tokenizer without_config(made);

  TROUPE_TAKE(const nlohmann::json config_document, parse_json(config_json, config_file_name));
  const json_field config(config_document, std::string(config_file_name));
  if (!config_document.is_object()) return config.fails("must hold an object");
  const std::pair<const char*, special_token*> names[] = {{"bos_token", &made->bos},
                                                          {"eos_token", &made->eos},
                                                          {"pad_token", &made->pad},
                                                          {"unk_token", &made->unk}};
  for (const auto& [name, token] : names) {
    TROUPE_TAKE(token->text, special_token_text(config, name));
    if (!token->text.empty()) token->id = without_config.id_of(token->text);
  }
  return tokenizer(std::move(made));
}

result<std::vector<int32_t>> tokenizer::encode(std::string_view utf8,
                                               encode_options options) const {
  std::string repaired;
  if (!is_valid_utf8(utf8)) {
    repaired = to_valid_utf8(utf8);
    utf8 = repaired;
  }
  regex_scratch scratch;
  TROUPE_TAKE(piece_list list, data_->added.extract(utf8, data_->normalizer,
                                                    options.special_tokens_as_text, scratch));
  if (status failed = data_->cutter.apply(list, scratch); !failed.ok())
    return fail(std::move(failed));

  std::vector<int32_t> ids;
  ids.reserve(list.text.size() / 3 + 8);
  bpe_scratch words;
  for (const text_piece& piece : list.pieces) {
    if (piece.token >= 0) {
      ids.push_back(piece.token);
      continue;
    }
    const std::string_view part(list.text.data() + piece.begin, piece.end - piece.begin);
    if (status failed = data_->vocabulary.encode(part, words, ids); !failed.ok()) {
      return fail(std::move(failed));
    }
  }
  return data_->processor.apply(std::move(ids), options.add_special_tokens);
}

const std::string* tokenizer::decoded_text_of(int32_t id) const {
  if (const added_token* added = data_->added.find(id)) return &added->normalized_content;
  return data_->vocabulary.text_of(id);
}

bool tokenizer::is_left_out(const std::string& token_text, bool skip_special_tokens) const {
  return skip_special_tokens && data_->added.is_special_text(token_text);
}

decoder_run tokenizer::start_decoding() const {
  return data_->decoder.start();
}

std::string tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  decoder_run run = start_decoding();
  std::string out;
  for (const int32_t id : ids) {
    const std::string* token = decoded_text_of(id);
    if (token != nullptr && !is_left_out(*token, skip_special_tokens)) out += run.push(*token);
  }
  return out + run.finish();
}

std::string tokenizer::token_bytes(int32_t id) const {
  const std::string* token = decoded_text_of(id);
  return token == nullptr ? std::string() : data_->decoder.bytes_of(*token);
}

std::string tokenizer::token_text(int32_t id) const {
  const std::string* token = decoded_text_of(id);
  return token == nullptr ? std::string() : *token;
}

std::optional<int32_t> tokenizer::id_of(std::string_view token_text) const {
  const auto added = data_->added.id_of(token_text);
  return added ? added : data_->vocabulary.id_of(token_text);
}

bool tokenizer::is_special(int32_t id) const {
  const added_token* added = data_->added.find(id);
  return added != nullptr && added->special;
}

size_t tokenizer::vocab_size() const {
  const auto& added = data_->added.all();
  const auto is_new = [this](const auto& entry) {
    return !data_->vocabulary.id_of(entry.second.content);
  };
  return data_->vocabulary.size() +
         static_cast<size_t>(std::count_if(added.begin(), added.end(), is_new));
}

size_t tokenizer::id_limit() const {
  const auto& added = data_->added.all();
  const int32_t added_max = added.empty() ? -1 : added.rbegin()->first;
  return static_cast<size_t>(std::max(data_->vocabulary.id_max(), added_max) + 1);
}

std::optional<int32_t> tokenizer::bos_id() const {
  return data_->bos.id;
}
std::optional<int32_t> tokenizer::eos_id() const {
  return data_->eos.id;
}
std::optional<int32_t> tokenizer::pad_id() const {
  return data_->pad.id;
}
const std::string& tokenizer::bos_token() const {
  return data_->bos.text;
}
const std::string& tokenizer::eos_token() const {
  return data_->eos.text;
}
const std::string& tokenizer::pad_token() const {
  return data_->pad.text;
}
const std::string& tokenizer::unk_token() const {
  return data_->unk.text;
}

} // namespace troupe::model
