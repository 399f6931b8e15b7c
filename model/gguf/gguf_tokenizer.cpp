// Sections of tokenizer.json from lists of tokens, types, scores and merges.
#include "model/gguf/gguf_tokenizer.hpp"

#include "base/text.hpp"
#include "model/gguf/gguf_keys.hpp"
#include "model/gguf/gguf_pre_tokenizers.hpp"
#include "model/tokenizer_unicode.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace troupe::model {
namespace {

using json = nlohmann::json;

constexpr std::string_view tokens_key = "tokenizer.ggml.tokens";
constexpr std::string_view types_key = "tokenizer.ggml.token_type";
constexpr std::string_view scores_key = "tokenizer.ggml.scores";
constexpr std::string_view merges_key = "tokenizer.ggml.merges";
constexpr size_t tokens_max = 1 << 24;
constexpr size_t piece_bytes_max = 4096; // of a SentencePiece token; those of real models have few

// Of tokenizer.ggml.token_type.
enum token_type : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5 };

class translator {
public:
  explicit translator(const gguf_file& file) : keys_(file) {}

  result<std::string> tokenizer();
  result<std::string> config();

private:
  void read_tokens();
  void check_texts();
  void trim();
  bool is_added(size_t id) const {
    return types_[id] == unknown || types_[id] == control || types_[id] == user_defined;
  }
  bool is_piece(size_t id) const { return types_[id] == normal || types_[id] == user_defined; }
  std::optional<size_t> token_id(std::string_view name);
  json vocabulary() const;
  json added_tokens() const;
  json frame(bool begins);
  json byte_level_merges();
  json score_merges();
  void byte_level(json& out);
  void sentence_piece(json& out);

  gguf_keys keys_;
  bool sentence_pieces_ = false;
  std::vector<std::string_view> tokens_;
  std::vector<int64_t> types_;
  size_t vocabulary_end_ = 0; // later tokens are added ones only
};

std::string model_of(gguf_keys& keys) {
  return keys.needed_word("tokenizer.ggml.model");
}

result<std::string> translator::tokenizer() {
  const std::string model = model_of(keys_);
  if (keys_.ok() && model != "gpt2" && model != "llama") {
    keys_.refuse("tokenizer.ggml.model",
                 text("is '", model, "', which is not supported; known are gpt2 and llama"),
                 status_code::unsupported);
  }
  sentence_pieces_ = model == "llama";
  read_tokens();
  if (!keys_.ok()) return fail(keys_.first_error());
  trim();
  json out = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  out["added_tokens"] = added_tokens();
  if (sentence_pieces_)
    sentence_piece(out);
  else
    byte_level(out);
  if (!keys_.ok()) return fail(keys_.first_error());
  return out.dump();
}

void translator::read_tokens() {
  if (!keys_.has(tokens_key)) keys_.refuse(tokens_key, "is missing");
  tokens_ = keys_.words(tokens_key);
  if (keys_.ok() && (tokens_.empty() || tokens_.size() > tokens_max))
    keys_.refuse(tokens_key, text("has ", tokens_.size(), " entries"));
  types_ = keys_.integers(types_key);
  if (keys_.ok() && keys_.has(types_key) && types_.size() != tokens_.size()) {
    keys_.refuse(types_key,
                 text("has ", types_.size(), " entries for ", tokens_.size(), " tokens"));
  }
  if (keys_.ok()) check_texts();
  if (keys_.has(types_key) || !keys_.ok()) return;
  types_.assign(tokens_.size(), normal);
  for (const char* name : {"bos", "eos", "padding", "unknown"}) {
    if (const auto id = token_id(name)) types_[*id] = control;
  }
}

void translator::check_texts() {
  std::unordered_map<std::string_view, size_t> seen;
  seen.reserve(tokens_.size());
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!is_valid_utf8(tokens_[id]))
      return keys_.refuse(tokens_key, text("holds text that is not UTF-8 at index ", id));
    const auto [at, is_new] = seen.emplace(tokens_[id], id);
    if (!is_new) {
      return keys_.refuse(tokens_key,
                          text("holds the same text at index ", at->second, " and ", id));
    }
  }
}

// Tables are filled up with tokens that the model never had; and added tokens that stand at the end
// need no place in the vocabulary, where merging could come upon them.
void translator::trim() {
  const auto is_filler = [&](size_t id) {
    return types_[id] == unused && tokens_[id] == text("[PAD", id, "]");
  };
  while (!tokens_.empty() && is_filler(tokens_.size() - 1)) tokens_.pop_back();
  vocabulary_end_ = tokens_.size();
  while (vocabulary_end_ > 0 && is_added(vocabulary_end_ - 1)) --vocabulary_end_;
}

std::optional<size_t> translator::token_id(std::string_view name) {
  const std::string key = text("tokenizer.ggml.", name, "_token_id");
  auto id = keys_.count(key);
  if (!id && sentence_pieces_ && keys_.ok()) { // what files leave out in this vocabulary
    if (name == "unknown") id = 0;
    if (name == "bos") id = 1;
    if (name == "eos") id = 2;
  }
  if (!id || *id >= tokens_.size()) return std::nullopt; // beyond the vocabulary means none
  return static_cast<size_t>(*id);
}

json translator::vocabulary() const {
  json out = json::object();
  for (size_t id = 0; id < vocabulary_end_; ++id) out.push_back({std::string(tokens_[id]), id});
  return out;
}

json translator::added_tokens() const {
  json out = json::array();
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!is_added(id)) continue;
    const bool special = types_[id] != user_defined;
    out.push_back({{"id", id},
                   {"content", tokens_[id]},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false},
                   {"normalized", !special},
                   {"special", special}});
  }
  return out;
}

// What stands around a text.
json translator::frame(bool begins) {
  json parts = json::array(), tokens = json::object();
  const auto add = [&](std::string_view name, std::string_view flag, bool fallback) {
    const std::string key = text("tokenizer.ggml.", flag);
    const auto wanted = keys_.flag(key);
    if (!wanted.value_or(fallback)) return;
    const auto id = token_id(name);
    if (!id) {
      if (wanted) keys_.refuse(key, text("is set, but there is no token for it"));
      return;
    }
    const std::string content(tokens_[*id]);
    parts.push_back({{"SpecialToken", {{"id", content}, {"type_id", 0}}}});
    tokens[content] = {{"id", content}, {"ids", {*id}}, {"tokens", {content}}};
  };
  add("bos", "add_bos_token", begins);
  parts.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("eos", "add_eos_token", false);
  if (parts.size() == 1) return nullptr;
  return {{"type", "TemplateProcessing"},
          {"single", parts},
          {"pair", json::array()},
          {"special_tokens", tokens}};
}

json translator::byte_level_merges() {
  json out = json::array();
  if (!keys_.has(merges_key)) keys_.refuse(merges_key, "is missing");
  const auto merges = keys_.words(merges_key);
  for (size_t i = 0; i < merges.size() && keys_.ok(); ++i) {
    if (is_valid_utf8(merges[i]))
      out.push_back(merges[i]);
    else
      keys_.refuse(merges_key, text("holds text that is not UTF-8 at index ", i));
  }
  return out;
}

void translator::byte_level(json& out) {
  constexpr std::string_view field = "tokenizer.ggml.pre";
  const std::string name = keys_.word(field).value_or("default");
  auto known = find_gguf_pre_tokenizer(name);
  if (!known) {
    return keys_.refuse(
        field,
        text("is '", name, "', which is not known here; known are ", gguf_pre_tokenizer_names()),
        status_code::unsupported);
  }
  out["normalizer"] = std::move(known->normalizer);
  out["pre_tokenizer"] = std::move(known->pre_tokenizer);
  out["post_processor"] = frame(known->begins);
  out["decoder"] = {{"type", "ByteLevel"},
                    {"add_prefix_space", true},
                    {"trim_offsets", true},
                    {"use_regex", true}};
  out["model"] = {{"type", "BPE"},          {"fuse_unk", false},
                  {"byte_fallback", false}, {"ignore_merges", known->ignores_merges},
                  {"vocab", vocabulary()},  {"merges", byte_level_merges()}};
}

// SentencePiece joins the neighbours whose joint piece has the best score. As a list of merges: the
// ways to cut each piece in two, best scores first; among equals the order is that of the Python
// package transformers, so that both give the same tokens.
json translator::score_merges() {
  struct candidate {
    double score;
    size_t left_letters, right_letters;
    std::string_view left, right;
  };
  const auto scores = keys_.numbers(scores_key);
  if (keys_.ok() && scores.size() < tokens_.size()) {
    keys_.refuse(scores_key,
                 text("has ", scores.size(), " entries for ", tokens_.size(), " tokens"));
  }
  if (!keys_.ok()) return json::array();
  std::unordered_map<std::string_view, size_t> pieces;
  for (size_t id = 0; id < vocabulary_end_; ++id)
    if (is_piece(id)) pieces.emplace(tokens_[id], id);
  std::vector<candidate> found;
  std::vector<std::tuple<size_t, size_t, candidate>> cuts;
  for (size_t id = 0; id < vocabulary_end_; ++id) {
    const std::string_view whole = tokens_[id];
    if (!is_piece(id) || whole.size() > piece_bytes_max) continue;
    cuts.clear();
    const size_t letters = static_cast<size_t>(
        std::count_if(whole.begin(), whole.end(), [](char c) { return (c & 0xC0) != 0x80; }));
    size_t before = 0;
    for (size_t at = 1; at < whole.size(); ++at) {
      if ((whole[at] & 0xC0) == 0x80) continue;
      ++before;
      const auto left = pieces.find(whole.substr(0, at)), right = pieces.find(whole.substr(at));
      if (left == pieces.end() || right == pieces.end()) continue;
      cuts.emplace_back(left->second, right->second,
                        candidate{scores[id], before, letters - before, left->first, right->first});
    }
    std::sort(cuts.begin(), cuts.end(), [](const auto& a, const auto& b) {
      return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
    });
    for (auto& cut : cuts) found.push_back(std::get<2>(cut));
  }
  std::stable_sort(found.begin(), found.end(), [](const candidate& a, const candidate& b) {
    return std::tie(a.score, a.left_letters, a.right_letters) >
           std::tie(b.score, b.left_letters, b.right_letters);
  });
  json out = json::array();
  for (const auto& merge : found) out.push_back({merge.left, merge.right});
  return out;
}

void translator::sentence_piece(json& out) {
  constexpr std::string_view space = "\u2581";
  const json space_to_mark = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}};
  const bool prefixed = keys_.flag("tokenizer.ggml.add_space_prefix").value_or(true);
  json steps = json::array();
  if (prefixed) steps.push_back({{"type", "Prepend"}, {"prepend", space}});
  steps.push_back(space_to_mark);
  out["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  out["pre_tokenizer"] = nullptr;
  out["post_processor"] = frame(true);
  json decoders = {{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
                   {{"type", "ByteFallback"}},
                   {{"type", "Fuse"}}};
  if (prefixed)
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  out["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  const auto unknown_id = token_id("unknown");
  out["model"] = {{"type", "BPE"},
                  {"unk_token", unknown_id ? json(tokens_[*unknown_id]) : json(nullptr)},
                  {"fuse_unk", true},
                  {"byte_fallback", true},
                  {"ignore_merges", false},
                  {"vocab", vocabulary()},
                  {"merges", score_merges()}};
}

result<std::string> translator::config() {
  sentence_pieces_ = model_of(keys_) == "llama";
  tokens_ = keys_.words(tokens_key);
  json out = json::object();
  constexpr std::pair<const char*, const char*> names[] = {{"bos", "bos_token"},
                                                           {"eos", "eos_token"},
                                                           {"padding", "pad_token"},
                                                           {"unknown", "unk_token"}};
  for (const auto& [name, field] : names) {
    const auto id = token_id(name);
    if (id && is_valid_utf8(tokens_[*id])) out[field] = tokens_[*id];
  }
  constexpr std::string_view chat = "tokenizer.chat_template";
  if (const auto source = keys_.word(chat)) {
    if (is_valid_utf8(*source))
      out["chat_template"] = *source;
    else
      keys_.refuse(chat, "is not UTF-8");
  }
  if (!keys_.ok()) return fail(keys_.first_error());
  return out.dump();
}

} // namespace

bool has_gguf_tokenizer(const gguf_file& file) {
  return file.find_value(tokens_key) != nullptr;
}

result<std::string> gguf_tokenizer_json(const gguf_file& file) {
  return translator(file).tokenizer();
}

result<std::string> gguf_tokenizer_config_json(const gguf_file& file) {
  return translator(file).config();
}

} // namespace troupe::model
