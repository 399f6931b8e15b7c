// Texts are folded first: small letters, one space for any white space.
#include "dataflow/ingest/blocklist.hpp"

#include "base/text.hpp"
#include "dataflow/ingest/utf8.hpp"
#include "schemas/checksum.hpp"

#include <deque>
#include <span>

namespace troupe::dataflow {
namespace {

constexpr size_t phrases_max = 1 << 16;
constexpr size_t phrase_bytes_max = 1024;

std::string folded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto read = character_at(text, at);
    at += read.bytes;
    const bool space = read.point == ' ' || (read.point >= '\t' && read.point <= '\r') ||
                       read.point == 0xA0 || read.point == 0x3000;
    if (space) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      append_utf8(out, read.point == no_character ? 0xFFFD : in_small(read.point));
    }
  }
  return out;
}

// Whether words are told apart by what stands around them.
bool bounded(char32_t point) {
  const script of = script_of(point);
  return is_word_character(point) && of != script::han && of != script::kana;
}

char32_t last_character(std::string_view text) {
  size_t at = text.size();
  while (at > 0 && (static_cast<uint8_t>(text[--at]) & 0xC0) == 0x80) {
  }
  return character_at(text, at).point;
}

// Whether the phrase, which lies in the text from `begin` to `end`, is no part of a longer word.
bool stands_free(std::string_view text, size_t begin, size_t end) {
  const char32_t first = character_at(text, begin).point;
  const char32_t last = last_character(text.substr(0, end));
  if (begin > 0 && bounded(first) && bounded(last_character(text.substr(0, begin)))) return false;
  return end == text.size() || !bounded(last) || !bounded(character_at(text, end).point);
}

} // namespace

result<blocklist> blocklist::parse(std::string_view lines, std::string_view file) {
  blocklist out;
  for (size_t number = 1; !lines.empty(); ++number) {
    const size_t end = lines.find('\n');
    const auto line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view() : lines.substr(end + 1);
    if (!is_utf8(line)) return fail(status_code::corrupt, text(file, ":", number, ": is no UTF-8"));
    std::string phrase = folded(line);
    while (phrase.ends_with(' ')) phrase.pop_back();
    if (phrase.empty() || phrase.starts_with('#')) continue;
    if (phrase.size() > phrase_bytes_max)
      return fail(status_code::invalid_argument,
                  text(file, ":", number, ": a phrase of ", phrase.size(), " bytes; at most ",
                       phrase_bytes_max));
    if (out.phrases_.size() == phrases_max)
      return fail(status_code::exhausted,
                  text(file, ":", number, ": more than ", phrases_max, " phrases"));
    out.insert(phrase, out.phrases_.size());
    out.phrases_.emplace_back(phrase);
  }
  out.link();
  return out;
}

void blocklist::insert(std::string_view folded_phrase, size_t phrase) {
  uint32_t at = 0;
  for (const char byte : folded_phrase) {
    const auto found = nodes_[at].next.find(byte);
    if (found != nodes_[at].next.end()) {
      at = found->second;
      continue;
    }
    const auto made = static_cast<uint32_t>(nodes_.size());
    nodes_[at].next.emplace(byte, made);
    nodes_.emplace_back();
    at = made;
  }
  if (nodes_[at].phrase < 0) nodes_[at].phrase = static_cast<int32_t>(phrase);
}

// Breadth first, so that what a node falls back to is known before it.
void blocklist::link() {
  std::deque<uint32_t> todo;
  for (const auto& [byte, child] : nodes_[0].next) todo.push_back(child);
  while (!todo.empty()) {
    const uint32_t at = todo.front();
    todo.pop_front();
    for (const auto& [byte, child] : nodes_[at].next) {
      const uint32_t back = step(nodes_[at].fallback, byte);
      nodes_[child].fallback = back;
      nodes_[child].shorter = nodes_[back].phrase >= 0 ? back : nodes_[back].shorter;
      todo.push_back(child);
    }
  }
}

uint32_t blocklist::step(uint32_t from, char byte) const {
  for (;;) {
    const auto found = nodes_[from].next.find(byte);
    if (found != nodes_[from].next.end()) return found->second;
    if (from == 0) return 0;
    from = nodes_[from].fallback;
  }
}

uint64_t blocklist::checksum() const {
  std::string all;
  for (const auto& phrase : phrases_) all += text(phrase, "\n");
  return schemas::checksum_of(std::as_bytes(std::span(all)));
}

std::optional<size_t> blocklist::find(std::string_view in_text) const {
  if (empty()) return std::nullopt;
  const std::string in = folded(in_text);
  uint32_t at = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    at = step(at, in[i]);
    for (uint32_t ending = nodes_[at].phrase >= 0 ? at : nodes_[at].shorter; ending != 0;
         ending = nodes_[ending].shorter) {
      const auto phrase = static_cast<size_t>(nodes_[ending].phrase);
      if (stands_free(in, i + 1 - phrases_[phrase].size(), i + 1)) return phrase;
    }
  }
  return std::nullopt;
}

} // namespace troupe::dataflow
