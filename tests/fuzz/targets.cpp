// The targets, each a reader followed by a use of all that it returned.
#include "tests/fuzz/targets.hpp"

#include "base/check.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "model/rotary.hpp"
#include "model/tensor_index.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/fuzz/checkpoint_target.hpp"
#include "tests/fuzz/gguf_target.hpp"
#include "tests/fuzz/grammar_target.hpp"
#include "tests/fuzz/ingest_targets.hpp"
#include "tests/fuzz/transport_targets.hpp"
#include "tests/fuzz/weights_target.hpp"
#include "tests/fuzz/wire_targets.hpp"

#include <array>

namespace troupe::fuzz {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_refusal(const status& why) {
  TROUPE_CHECK(!why.ok() && !why.why().empty());
}

// Every byte that a tensor claims can be read, and the claims fit each other.
unsigned touch(const model::stored_tensor& tensor) {
  unsigned sum = 0;
  if (!tensor.data.empty()) {
    sum = std::to_integer<unsigned>(tensor.data.front()) +
          std::to_integer<unsigned>(tensor.data.back());
  }
  if (tensor.type) {
    TROUPE_CHECK(tensor.elements() * compute::dtype_bytes(*tensor.type) == tensor.data.size());
  }
  return sum;
}

const model::description& small_model() {
  static const model::description out =
      model::parse_config(R"({"model_type": "deepseek_v3", "vocab_size": 192, "hidden_size": 48,
        "intermediate_size": 24, "moe_intermediate_size": 8, "num_hidden_layers": 5, "num_attention_heads": 3,
        "n_routed_experts": 24, "q_lora_rank": 20, "kv_lora_rank": 16, "qk_nope_head_dim": 12,
        "qk_rope_head_dim": 8, "v_head_dim": 10})")
          .value();
  return out;
}

void read_safetensors(std::span<const std::byte> bytes) {
  const auto file = model::safetensors_file::parse("fuzzed.safetensors", bytes);
  if (!file) return check_refusal(file.error());
  volatile unsigned sum = 0;
  for (const auto& tensor : file->tensors()) {
    sum = sum + touch(tensor);
    TROUPE_CHECK(file->find(tensor.name) == &tensor);
  }
  const model::tensor_index index(*file);
  const auto survey = model::survey_weights(small_model(), index);
  if (!survey) check_refusal(survey.error());
}

void read_config(std::span<const std::byte> bytes) {
  const auto config = model::parse_config(text_of(bytes));
  if (!config) return check_refusal(config.error());
  for (const auto& layer : config->layers) {
    TROUPE_CHECK(layer.attention.heads % layer.attention.kv_heads == 0 ||
                 layer.attention.kv_heads == 1);
    TROUPE_CHECK(layer.is_moe() ? layer.moe.rule.top_k > 0 && layer.moe.inner > 0
                                : layer.dense.inner > 0);
  }
  for (const uint32_t variant : {0u, 1u}) {
    TROUPE_CHECK(model::frequencies_of(config->rope, variant).inverse.size() ==
                 config->rope.dim / 2);
  }
}

void read_generation_config(std::span<const std::byte> bytes) {
  const auto defaults = model::parse_generation_config(text_of(bytes));
  if (!defaults) check_refusal(defaults.error());
}

void read_shard_map(std::span<const std::byte> bytes) {
  const auto map = model::parse_shard_map(text_of(bytes));
  if (!map) return check_refusal(map.error());
  const auto index = model::tensor_index::sharded(*map, {});
  TROUPE_CHECK(index.has_value() == map->shards.empty());
}

void read_tokenizer(std::span<const std::byte> bytes) {
  const auto tokenizer = model::tokenizer::parse(text_of(bytes), "tokenizer.json");
  if (!tokenizer) return check_refusal(tokenizer.error());
  const auto ids = tokenizer->encode("The wolf's 3 caf\u00e9s \U0001f600\n\n  <|end|>");
  if (!ids) return check_refusal(ids.error());
  tokenizer->decode(*ids, true);
}

constexpr std::array<target, 21> all = {{
    {"safetensors", read_safetensors, "models", "golden.safetensors"},
    {"config", read_config, "models", "config.json"},
    {"generation_config", read_generation_config, "models", "generation_config.json"},
    {"shard_map", read_shard_map, "models", "model.safetensors.index.json"},
    {"gguf", read_gguf, "", "", gguf_seeds},
    {"tokenizer", read_tokenizer, "tokenizers", "tokenizer.json"},
    {"json_schema", read_json_schema, "", "", json_schema_seeds},
    {"regex", read_regex, "", "", regex_seeds},
    {"ebnf", read_ebnf, "", "", ebnf_seeds},
    {"frame", read_frame, "", "", frame_seeds},
    {"votes", read_votes, "", "", votes_seeds},
    {"manifest", read_manifest, "", "", manifest_seeds},
    {"handshake", read_handshake, "", "", handshake_seeds},
    {"sealed_frame", read_sealed_frame, "", "", sealed_frame_seeds},
    {"pieces", put_frame_together, "", "", piece_seeds},
    {"control_record", read_control_record, "", "", control_record_seeds},
    {"ingest_segment", read_ingest_segment, "", "", ingest_segment_seeds},
    {"ingest_body", read_ingest_body, "", "", ingest_body_seeds},
    {"learning_state", read_learning_state, "", "", learning_state_seeds},
    {"document", clean_document, "", "", document_seeds},
    {"published_weights", read_published_weights, "", "", published_weights_seeds},
}};

} // namespace

std::span<const target> targets() {
  return all;
}

const target* find_target(std::string_view name) {
  for (const auto& entry : all) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

} // namespace troupe::fuzz
