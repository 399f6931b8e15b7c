// Shards, headers and the small files around them.
#include "model/synthetic_checkpoint.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/safetensors.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace troupe::model {
namespace {

constexpr uint64_t element_bytes = 2;         // bf16
constexpr uint64_t chunk_elements = 1u << 20; // made at a time
constexpr std::string_view end_token = "<|endoftext|>";

uint64_t bytes_of(const synthetic_tensor& tensor) {
  return tensor.elements() * element_bytes;
}

// As the format's own library names them.
std::string shard_name(size_t number, size_t count) {
  if (count == 1) return "model.safetensors";
  std::array<char, 48> name;
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", number, count);
  return name.data();
}

// GPT-2's printable stand-ins for the bytes, in UTF-8.
std::string stand_in(uint32_t byte, uint32_t& hidden_count) {
  const bool shown = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
  const uint32_t code = shown ? byte : 256 + hidden_count++;
  if (code < 128) return std::string(1, char(code));
  return {char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
}

nlohmann::ordered_json end_token_json() {
  return {{"content", end_token}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},      {"single_word", false}, {"special", true}};
}

std::string tokenizer_config_json(uint32_t vocabulary, uint32_t positions) {
  nlohmann::ordered_json out;
  out["tokenizer_class"] = "PreTrainedTokenizerFast";
  out["bos_token"] = end_token;
  out["eos_token"] = end_token;
  out["add_bos_token"] = false;
  out["add_eos_token"] = false;
  out["clean_up_tokenization_spaces"] = false;
  out["model_max_length"] = positions;
  out["added_tokens_decoder"][std::to_string(vocabulary - 1)] = end_token_json();
  out["chat_template"] =
      "{% for message in messages %}{{ message['content'] }}{{ '\\n' }}{% endfor %}";
  return out.dump(2) + "\n";
}

} // namespace

result<synthetic_checkpoint> synthetic_checkpoint::plan(const synthetic_shape& shape, uint64_t seed,
                                                        uint64_t shard_bytes_max) {
  auto model = parse_config(shape.config, text("shape ", shape.name));
  if (!model) return fail(model.error());
  synthetic_checkpoint out;
  out.seed_ = seed;
  out.config_ = shape.config;
  out.model_ = std::move(*model);
  out.tensors_ = synthetic_tensors(out.model_);
  out.cut_shards(shard_bytes_max);
  return out;
}

void synthetic_checkpoint::cut_shards(uint64_t shard_bytes_max) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < tensors_.size(); ++i) {
    const uint64_t more = bytes_of(tensors_[i]);
    if (shards_.empty() || bytes + more > shard_bytes_max) {
      shards_.push_back({.file = {}, .header = {}, .tensors_begin = i});
      bytes = 0;
    }
    bytes += more;
    shards_.back().tensors_end = i + 1;
    shards_.back().bytes = bytes;
  }
  for (size_t i = 0; i < shards_.size(); ++i) {
    shard& each = shards_[i];
    each.file = shard_name(i + 1, shards_.size());
    each.header = header_of(each.tensors_begin, each.tensors_end);
    each.bytes += each.header.size();
  }
}

std::string synthetic_checkpoint::header_of(uint32_t begin, uint32_t end) const {
  std::vector<tensor_to_store> out;
  for (uint32_t i = begin; i < end; ++i)
    out.push_back({tensors_[i].name, "BF16", tensors_[i].shape, bytes_of(tensors_[i])});
  return safetensors_header(out);
}

uint64_t synthetic_checkpoint::parameters() const {
  uint64_t count = 0;
  for (const auto& tensor : tensors_) count += tensor.elements();
  return count;
}

uint64_t synthetic_checkpoint::bytes() const {
  uint64_t count = 0;
  for (const shard& each : shards_) count += each.bytes;
  return count;
}

status synthetic_checkpoint::write(const shard& which, const sink& to) const {
  TROUPE_RETURN_IF_ERROR(to(std::as_bytes(std::span(which.header))));
  std::vector<uint16_t> values(chunk_elements);
  for (uint32_t i = which.tensors_begin; i < which.tensors_end; ++i) {
    const uint64_t elements = tensors_[i].elements();
    for (uint64_t begin = 0; begin < elements; begin += chunk_elements) {
      const auto part = std::span(values).first(std::min(chunk_elements, elements - begin));
      synthesise(tensors_[i], seed_, i, begin, part);
      TROUPE_RETURN_IF_ERROR(to(std::as_bytes(part)));
    }
  }
  return {};
}

std::string synthetic_checkpoint::index_json() const {
  nlohmann::ordered_json out;
  out["metadata"]["total_size"] = parameters() * element_bytes;
  auto& map = out["weight_map"];
  for (const shard& each : shards_)
    for (uint32_t i = each.tensors_begin; i < each.tensors_end; ++i)
      map[tensors_[i].name] = each.file;
  return out.dump(2) + "\n";
}

std::vector<std::pair<std::string, std::string>> synthetic_checkpoint::texts() const {
  std::vector<std::pair<std::string, std::string>> out;
  if (shards_.size() > 1) out.emplace_back("model.safetensors.index.json", index_json());
  out.emplace_back("tokenizer.json", synthetic_tokenizer_json(model_.vocabulary));
  out.emplace_back("tokenizer_config.json",
                   tokenizer_config_json(model_.vocabulary, model_.positions_max));
  out.emplace_back("config.json", config_);
  return out;
}

std::string synthetic_tokenizer_json(uint32_t vocabulary) {
  TROUPE_CHECK(vocabulary > 256);
  const uint32_t last = vocabulary - 1;
  nlohmann::ordered_json out;
  out["version"] = "1.0";
  out["truncation"] = nullptr;
  out["padding"] = nullptr;
  nlohmann::ordered_json end = end_token_json();
  end["id"] = last;
  out["added_tokens"] = nlohmann::ordered_json::array({end});
  out["normalizer"] = nullptr;
  out["pre_tokenizer"] = {{"type", "ByteLevel"},
                          {"add_prefix_space", false},
                          {"trim_offsets", true},
                          {"use_regex", true}};
  out["post_processor"] = nullptr;
  out["decoder"] = {{"type", "ByteLevel"},
                    {"add_prefix_space", true},
                    {"trim_offsets", true},
                    {"use_regex", true}};
  // Written by hand: an ordered object looks for every new key among all the others.
  std::string vocab = "{";
  uint32_t hidden_count = 0;
  for (uint32_t byte = 0; byte < 256; ++byte)
    vocab += text(nlohmann::json(stand_in(byte, hidden_count)).dump(), ":", byte, ",");
  for (uint32_t id = 256; id < last; ++id) vocab += text("\"\u0120w", id, "\":", id, ",");
  vocab += text("\"", end_token, "\":", last, "}");
  const std::string head = out.dump();
  return text(std::string_view(head).substr(0, head.size() - 1),
              R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,)",
              R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,)",
              R"("byte_fallback":false,"ignore_merges":false,"vocab":)", vocab,
              ",\"merges\":[]}}\n");
}

} // namespace troupe::model
