// The patterns of each family, as its own tokenizer.json has them.
#include "model/gguf/gguf_pre_tokenizers.hpp"

#include <algorithm>
#include <array>

namespace troupe::model {
namespace {

using json = nlohmann::json;
using steps = json (*)();

json split(std::string_view pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

json digits() {
  return {{"type", "Digits"}, {"individual_digits", true}};
}

// The last step of all: bytes become letters; with `splits` after cutting by GPT-2's pattern.
json bytes(bool splits) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", splits}};
}

json sequence(json parts) {
  return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}};
}

json gpt2() {
  return bytes(true);
}

json digits_then_gpt2() {
  return sequence({digits(), bytes(true)});
}

json llama3() {
  return sequence(
      {split(R"~((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\)~"
             R"~(s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)~"),
       bytes(false)});
}

json qwen2() {
  return sequence(
      {split(R"~((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L)~"
             R"~(}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)~"),
       bytes(false)});
}

json gpt4o() {
  return sequence(
      {split(R"~([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\)~"
             R"~(p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{)~"
             R"~(Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d))~"
             R"~(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)~"),
       bytes(false)});
}

json tekken() {
  return sequence(
      {split(R"~([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\)~"
             R"~(p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm})~"
             R"~(\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s)~"
             R"~(+)~"),
       bytes(false)});
}

json deepseek_llm() {
  return sequence(
      {split(R"~([\r\n])~"),
       split(
           R"~(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-Ჺ)~"
           R"~(Ჽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1f)~"
           R"~(dbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ)~"
           R"~(-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)~"),
       split(R"~(\s?[!-/:-~！-／：-～‘-‟　-。]+)~"), split(R"~(\s+$)~"),
       split(R"~([一-龥ࠀ-一가-퟿]+)~"), digits(), bytes(false)});
}

json deepseek_coder() {
  return sequence({split(R"~([\r\n])~"), split(R"~(\s?\p{L}+)~"), split(R"~(\s?\p{P}+)~"),
                   split(R"~([一-龥ࠀ-一가-퟿]+)~"), digits(), bytes(false)});
}

json deepseek_v3() {
  return sequence(
      {split(R"~(\p{N}{1,3})~"), split(R"~([一-龥぀-ゟ゠-ヿ]+)~"),
       split(R"~([!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S})~"
             R"~(]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)~"),
       bytes(false)});
}

struct entry {
  std::string_view name;
  steps cuts;
  bool composes = false; // text is brought into Unicode's form C first
  bool ignores_merges = false;
  bool begins = false; // texts begin with the token for it unless the file says otherwise
};

constexpr std::array<entry, 25> entries = {{
    {"default", gpt2},
    {"gpt-2", gpt2},
    {"gpt2", gpt2},
    {"phi-2", gpt2},
    {"mellum", gpt2},
    {"olmo", gpt2, true},
    {"starcoder", digits_then_gpt2},
    {"refact", digits_then_gpt2},
    {"smollm", digits_then_gpt2},
    {"codeshell", digits_then_gpt2},
    {"exaone", digits_then_gpt2},
    {"minerva-7b", digits_then_gpt2},
    {"command-r", digits_then_gpt2, true},
    {"dbrx", llama3},
    {"smaug-bpe", llama3},
    {"llama-bpe", llama3, false, true, true},
    {"llama3", llama3, false, true, true},
    {"llama-v3", llama3, false, true, true},
    {"qwen2", qwen2, true},
    {"deepseek-r1-qwen", qwen2},
    {"gpt-4o", gpt4o},
    {"tekken", tekken, false, true, true},
    {"deepseek-llm", deepseek_llm},
    {"deepseek-coder", deepseek_coder},
    {"deepseek-v3", deepseek_v3},
}};

} // namespace

std::optional<gguf_pre_tokenizer> find_gguf_pre_tokenizer(std::string_view name) {
  const auto* found = std::find_if(entries.begin(), entries.end(),
                                   [=](const entry& known) { return known.name == name; });
  if (found == entries.end()) return std::nullopt;
  return gguf_pre_tokenizer{.normalizer = found->composes ? json{{"type", "NFC"}} : json(nullptr),
                            .pre_tokenizer = found->cuts(),
                            .ignores_merges = found->ignores_merges,
                            .begins = found->begins};
}

std::string gguf_pre_tokenizer_names() {
  std::string out;
  for (const auto& known : entries) {
    if (!out.empty()) out += ", ";
    out += known.name;
  }
  return out;
}

} // namespace troupe::model
