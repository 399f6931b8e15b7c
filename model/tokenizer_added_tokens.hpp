// Tokens that stand whole in a text, beside the merges: control tokens and other additions.
#pragma once

#include "base/status.hpp"
#include "model/bpe.hpp"
#include "model/pre_tokenizer.hpp"
#include "model/tokenizer_normalizer.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::model {

// Finds which of a set of texts stands at a place, the longest first.
class text_trie {
public:
  void add(std::string_view text, int32_t value);
  bool empty() const { return nodes_.size() == 1; }
  // Length and value of the longest text that begins at `at`; length 0 when none does.
  std::pair<size_t, int32_t> longest_at(std::string_view subject, size_t at) const;

private:
  struct node {
    std::map<char, uint32_t> next;
    int32_t value = -1;
  };
  std::vector<node> nodes_{1};
  bool starts_[256] = {}; // bytes some text begins with: most places are refused by one look
};

struct added_token {
  std::string content;
  std::string normalized_content; // as it stands in a normalized text, and as it is decoded
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = false;
  bool special = false;
};

// The `added_tokens` section of tokenizer.json. Immutable.
class added_tokens {
public:
  // Ids are given as the tokenizers package gives them: that of the vocabulary where the text is in
  // it, else the next free one.
  static result<added_tokens> parse(const json_field& section, const bpe& vocabulary,
                                    const text_normalizer& normalizer);

  // Cuts a text at the tokens that match as written, normalizes what lies between, and cuts that at
  // the tokens that match when normalized. With special_as_text, special tokens are not looked for.
  result<piece_list> extract(std::string_view text, const text_normalizer& normalizer,
                             bool special_as_text, regex_scratch& scratch) const;

  std::optional<int32_t> id_of(std::string_view content) const;
  const added_token* find(int32_t id) const;
  bool is_special_text(std::string_view content) const;
  // By id.
  const std::map<int32_t, added_token>& all() const { return tokens_; }

private:
  static result<added_token> parse_token(const json_field& section);
  void put(added_token token, const bpe& vocabulary, int32_t& next_id);
  template <class Put>
  void cut(std::string_view subject, const text_trie& trie, bool special_as_text, Put put) const;

  std::map<int32_t, added_token> tokens_;
  string_map<int32_t> ids_;
  string_map<bool> special_texts_;
  text_trie plain_;      // tokens looked for in the text as it came
  text_trie normalized_; // tokens looked for in the normalized text
};

} // namespace troupe::model
