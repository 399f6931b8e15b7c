// Finding added tokens in a text, by the rules of the tokenizers package.
#include "model/tokenizer_added_tokens.hpp"

#include "base/text.hpp"
#include "model/json_text.hpp"
#include "model/tokenizer_unicode.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

constexpr size_t added_tokens_max = 1 << 20;

// Where the code point before `at` begins. at > 0.
size_t previous_code_point(std::string_view text_in, size_t at) {
  --at;
  while (at > 0 && (static_cast<uint8_t>(text_in[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool word_ends_at(std::string_view text_in, size_t at) {
  if (at == 0) return false;
  size_t begin = previous_code_point(text_in, at);
  return is_word_character(next_code_point(text_in, begin));
}

bool word_starts_at(std::string_view text_in, size_t at) {
  return at < text_in.size() && is_word_character(next_code_point(text_in, at));
}

size_t white_start_before(std::string_view text_in, size_t at, size_t least) {
  while (at > least) {
    const size_t begin = previous_code_point(text_in, at);
    size_t end = begin;
    if (!is_white_space(next_code_point(text_in, end))) break;
    at = begin;
  }
  return std::max(at, least);
}

size_t white_end_after(std::string_view text_in, size_t at) {
  while (at < text_in.size()) {
    size_t end = at;
    if (!is_white_space(next_code_point(text_in, end))) break;
    at = end;
  }
  return at;
}

} // namespace

void text_trie::add(std::string_view text_in, int32_t value) {
  if (text_in.empty()) return;
  starts_[static_cast<uint8_t>(text_in.front())] = true;
  uint32_t at = 0;
  for (const char byte : text_in) {
    const auto [found, is_new] = nodes_[at].next.try_emplace(byte, nodes_.size());
    at = found->second;
    if (is_new) nodes_.emplace_back();
  }
  nodes_[at].value = value;
}

std::pair<size_t, int32_t> text_trie::longest_at(std::string_view subject, size_t at) const {
  std::pair<size_t, int32_t> best{0, -1};
  if (!starts_[static_cast<uint8_t>(subject[at])]) return best;
  uint32_t node_index = 0;
  for (size_t i = at; i < subject.size(); ++i) {
    const auto& next = nodes_[node_index].next;
    const auto found = next.find(subject[i]);
    if (found == next.end()) break;
    node_index = found->second;
    if (nodes_[node_index].value >= 0) best = {i + 1 - at, nodes_[node_index].value};
  }
  return best;
}

result<added_token> added_tokens::parse_token(const json_field& section) {
  if (!section.value().is_object()) return section.fails("must be an object");
  added_token token;
  TROUPE_TAKE([[maybe_unused]] const uint64_t id, section.count("id"));
  TROUPE_TAKE(token.content, section.string("content"));
  TROUPE_TAKE(token.single_word, section.boolean("single_word", false));
  TROUPE_TAKE(token.lstrip, section.boolean("lstrip", false));
  TROUPE_TAKE(token.rstrip, section.boolean("rstrip", false));
  TROUPE_TAKE(token.special, section.boolean("special", false));
  TROUPE_TAKE(token.normalized, section.boolean("normalized", !token.special));
  return token;
}

result<added_tokens> added_tokens::parse(const json_field& section, const bpe& vocabulary,
                                         const text_normalizer& normalizer) {
  added_tokens out;
  if (section.is_null()) return out;
  if (!section.value().is_array()) return section.fails("must be an array");
  if (section.value().size() > added_tokens_max) return section.fails("too many tokens");
  auto next_id = static_cast<int32_t>(vocabulary.size());
  regex_scratch scratch;
  for (size_t i = 0; i < section.value().size(); ++i) {
    TROUPE_TAKE(added_token token, parse_token(section.element(i)));
    if (token.content.empty()) continue;
    token.normalized_content = token.content;
    if (token.normalized) {
      TROUPE_TAKE(token.normalized_content, normalizer.apply(token.content, scratch));
    }
    out.put(std::move(token), vocabulary, next_id);
  }
  for (const auto& [id, token] : out.tokens_) {
    (token.normalized ? out.normalized_ : out.plain_).add(token.normalized_content, id);
  }
  return out;
}

void added_tokens::put(added_token token, const bpe& vocabulary, int32_t& next_id) {
  auto id = id_of(token.content);
  if (!id) id = vocabulary.id_of(token.content);
  if (!id) id = next_id++;
  ids_[token.content] = *id;
  if (token.special) special_texts_[token.content] = true;
  tokens_[*id] = std::move(token);
}

std::optional<int32_t> added_tokens::id_of(std::string_view content) const {
  const auto found = ids_.find(content);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const added_token* added_tokens::find(int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

bool added_tokens::is_special_text(std::string_view content) const {
  return special_texts_.find(content) != special_texts_.end();
}

// Calls put(begin, end, id) for the stretches of the subject in order; id -1 for what is no token.
template <class Put>
void added_tokens::cut(std::string_view subject, const text_trie& trie, bool special_as_text,
                       Put put) const {
  size_t done = 0;
  for (size_t at = 0; !trie.empty() && at < subject.size();) {
    const auto [length, id] = trie.longest_at(subject, at);
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + length;
    at = end; // also when the match is dropped: the search never goes back into one
    const added_token& token = tokens_.at(id);
    if (special_as_text && is_special_text(token.content)) continue;
    if (token.single_word && (word_ends_at(subject, begin) || word_starts_at(subject, end)))
      continue;
    if (token.lstrip) begin = white_start_before(subject, begin, std::min(done, begin));
    if (token.rstrip) end = white_end_after(subject, end);
    if (done < begin) put(done, begin, -1);
    put(begin, end, id);
    done = end;
  }
  if (done < subject.size()) put(done, subject.size(), -1);
}

result<piece_list> added_tokens::extract(std::string_view subject,
                                         const text_normalizer& normalizer, bool special_as_text,
                                         regex_scratch& scratch) const {
  piece_list out;
  status failed;
  const auto add = [&](std::string_view part, int32_t id, bool at_start) {
    if (part.empty()) return;
    out.pieces.push_back({out.text.size(), out.text.size() + part.size(), id, at_start});
    out.text += part;
  };
  cut(subject, plain_, special_as_text, [&](size_t begin, size_t end, int32_t id) {
    const std::string_view part = subject.substr(begin, end - begin);
    if (id >= 0) return add(part, id, begin == 0);
    if (normalizer.is_identity()) {
      return cut(part, normalized_, special_as_text, [&](size_t from, size_t to, int32_t inner) {
        add(part.substr(from, to - from), inner, begin + from == 0);
      });
    }
    auto normal = normalizer.apply(std::string(part), scratch);
    if (!normal) {
      failed = std::move(normal).error();
      return;
    }
    cut(*normal, normalized_, special_as_text, [&](size_t from, size_t to, int32_t inner) {
      add(std::string_view(*normal).substr(from, to - from), inner, begin + from == 0);
    });
  });
  if (!failed.ok()) return fail(std::move(failed));
  return out;
}

} // namespace troupe::model
