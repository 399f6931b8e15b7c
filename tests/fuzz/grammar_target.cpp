// Broken constraints: a refusal must say something, and from what is accepted an answer can be
// drawn that never gets stuck.
#include "tests/fuzz/grammar_target.hpp"

#include "base/check.hpp"
#include "model/grammar/compile.hpp"

#include <memory>
#include <string>
#include <utility>

namespace troupe::fuzz {
namespace {

using model::constraint;

std::shared_ptr<const model::vocabulary> words() {
  static const auto out = [] {
    std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte) texts.push_back(std::string(1, static_cast<char>(byte)));
    for (const char* piece : {"{\"", "\":", "\", \"", "ab", "abc", "12", "]}"})
      texts.emplace_back(piece);
    return std::make_shared<const model::vocabulary>(std::move(texts));
  }();
  return out;
}

// Takes one of the allowed tokens, another each time.
int32_t choose(const model::token_mask& mask, uint32_t turn) {
  const auto size = static_cast<uint32_t>(words()->size());
  for (uint32_t i = 0; i < size; ++i) {
    const uint32_t id = (turn * 37 + i) % size;
    if ((mask[id / 64] >> (id % 64) & 1) != 0) return static_cast<int32_t>(id);
  }
  TROUPE_CHECK(false);
}

void run(constraint::kind what, std::span<const std::byte> bytes) {
  const constraint asked{what, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
  auto grammar = model::compile(asked, words()->single_bytes());
  if (!grammar) {
    TROUPE_CHECK(!grammar.error().why().empty());
    return;
  }
  model::constrained_text text(std::make_shared<model::matcher>(std::move(*grammar), words()));
  for (uint32_t turn = 0; turn < 24 && !text.is_over(); ++turn) {
    const auto mask = text.mask();
    if (!mask) { // too ambiguous, and says so
      TROUPE_CHECK(mask.error().code() == status_code::exhausted);
      return;
    }
    TROUPE_CHECK(text.add(choose(**mask, turn)));
  }
}

} // namespace

void read_json_schema(std::span<const std::byte> bytes) {
  run(constraint::kind::json_schema, bytes);
  run(constraint::kind::json_schema_lenient, bytes);
}
void read_regex(std::span<const std::byte> bytes) {
  run(constraint::kind::regex, bytes);
}
void read_ebnf(std::span<const std::byte> bytes) {
  run(constraint::kind::grammar, bytes);
}

std::vector<std::string> json_schema_seeds() {
  return {
      R"({"type":"object","properties":{"a":{"type":"integer","minimum":-3,"maximum":120},"b":{"enum":["x",1,null]}},
          "required":["a"],"additionalProperties":{"type":"string","maxLength":3}})",
      R"({"$defs":{"n":{"anyOf":[{"type":"null"},{"type":"array","items":{"$ref":"#/$defs/n"},"minItems":1}]}},
          "$ref":"#/$defs/n"})",
      R"({"allOf":[{"properties":{"s":{"type":"string","pattern":"^a+$"}}},{"required":["s"]}]})",
      R"({"type":"array","prefixItems":[{"type":"boolean"},{"type":"string","format":"date"}],"items":{"type":"number",
          "exclusiveMinimum":0},"maxItems":4})"};
}
std::vector<std::string> regex_seeds() {
  return {"^(ab|[c-f]+?){2,3}\\d*$", "(?:a|b)*[^x\\]\\u00e9]|\\x41\\s", "((a{0,2}){0,2}b)+\\.",
          "(?<n>\\w-?)+@[\\w.]+"};
}
std::vector<std::string> ebnf_seeds() {
  return {"root ::= term ((\"+\" | '-') term)* # sums\nterm ::= [0-9]{1,3} | \"(\" root \")\"\n",
          "root ::= a b?\na ::= \"\\u00e9\\n\" | .\nb ::= [^\\]x-z]+ {2,} | (\"x\" | b \"y\")\n"};
}

} // namespace troupe::fuzz
