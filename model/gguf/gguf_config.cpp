// One function a family of architectures. Keys are those of the GGUF specification; every number is
// only moved here, its bounds are checked where config.json is read.
#include "model/gguf/gguf_config.hpp"

#include "base/text.hpp"
#include "model/gguf/gguf_keys.hpp"
#include "model/rotary.hpp"
#include "model/staged_slice.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace troupe::model {
namespace {

constexpr uint64_t rope_factors_max = 1 << 16;
constexpr uint64_t layers_listed_max = 1 << 16;

class translator {
public:
  explicit translator(const gguf_file& file) : file_(file), keys_(file) {}

  result<std::string> config();

private:
  using json = nlohmann::ordered_json;

  bool has_tensor(std::string_view name) const { return file_.find_tensor(name) != nullptr; }
  std::string key(std::string_view rest) const { return text(architecture_, ".", rest); }
  std::optional<uint64_t> count(std::string_view rest) { return keys_.count(key(rest)); }
  uint64_t needed(std::string_view rest) { return keys_.needed_count(key(rest)); }
  std::optional<double> number(std::string_view rest) { return keys_.number(key(rest)); }

  void common();
  void heads();
  void rope();
  void rope_factors(json& scaling);
  void tokens();
  void experts(const char* experts_field);
  void sparse_layers();

  void llama();
  void qwen();
  void qwen_moe();
  void olmoe();
  void granite_moe();
  void deepseek();

  struct family {
    std::string_view architecture;
    void (translator::*translate)();
  };
  static const std::array<family, 8> families;

  const gguf_file& file_;
  gguf_keys keys_;
  std::string architecture_;
  json out_ = json::object();
};

const std::array<translator::family, 8> translator::families = {{
    {"llama", &translator::llama},
    {"qwen2", &translator::qwen},
    {"qwen3", &translator::qwen},
    {"qwen2moe", &translator::qwen_moe},
    {"qwen3moe", &translator::qwen_moe},
    {"olmoe", &translator::olmoe},
    {"granitemoe", &translator::granite_moe},
    {"deepseek2", &translator::deepseek},
}};

result<std::string> translator::config() {
  constexpr std::string_view field = "general.architecture";
  architecture_ = keys_.needed_word(field);
  if (!keys_.ok()) return fail(keys_.first_error());
  const auto* found = std::find_if(families.begin(), families.end(), [&](const family& known) {
    return known.architecture == architecture_;
  });
  if (found == families.end()) {
    std::string list;
    for (const auto& known : families) list += text(list.empty() ? "" : ", ", known.architecture);
    keys_.refuse(field, text("is '", architecture_, "', which is not supported; known are ", list),
                 status_code::unsupported);
    return fail(keys_.first_error());
  }
  common();
  (this->*found->translate)();
  tokens();
  if (!keys_.ok()) return fail(keys_.first_error());
  return out_.dump();
}

void translator::common() {
  // The tensor, not the list of tokens, says how many rows there are: tables are often padded.
  const auto* table = file_.find_tensor("token_embd.weight");
  if (table != nullptr && table->shape.size() == 2)
    out_["vocab_size"] = table->shape.front();
  else if (const auto size = count("vocab_size"))
    out_["vocab_size"] = *size;
  else
    out_["vocab_size"] = keys_.words("tokenizer.ggml.tokens").size();
  out_["hidden_size"] = needed("embedding_length");
  out_["num_hidden_layers"] = needed("block_count");
  out_["max_position_embeddings"] = needed("context_length");
  if (const auto inner = count("feed_forward_length")) out_["intermediate_size"] = *inner;
  constexpr std::string_view eps = "attention.layer_norm_rms_epsilon";
  if (!keys_.has(key(eps))) keys_.refuse(key(eps), "is missing");
  out_["rms_norm_eps"] = number(eps).value_or(0);
  out_["hidden_act"] = "silu";
  out_["tie_word_embeddings"] = !has_tensor("output.weight");
}

void translator::heads() {
  const uint64_t heads = needed("attention.head_count");
  out_["num_attention_heads"] = heads;
  out_["num_key_value_heads"] = count("attention.head_count_kv").value_or(heads);
  const uint64_t hidden = out_["hidden_size"];
  const auto stated = count("attention.key_length");
  const uint64_t head_dim = stated.value_or(heads == 0 ? 0 : hidden / heads);
  if (stated || (heads != 0 && hidden % heads == 0)) out_["head_dim"] = head_dim;
  if (const auto values = count("attention.value_length"); values && *values != head_dim) {
    keys_.refuse(key("attention.value_length"),
                 text("is ", *values, ", but keys have ", head_dim, " columns"),
                 status_code::unsupported);
  }
  const uint64_t rotated = count("rope.dimension_count").value_or(head_dim);
  if (rotated != head_dim) {
    keys_.refuse(key("rope.dimension_count"),
                 text("is ", rotated, " of ", head_dim, " columns: partly rotated heads"),
                 status_code::unsupported);
  }
  rope();
}

// The factors of rope_freqs and its kin divide the frequencies as those of longrope do.
void translator::rope_factors(json& scaling) {
  const auto read = [&](const char* field, std::string_view name) {
    const auto* tensor = file_.find_tensor(name);
    if (tensor == nullptr) return false;
    if (!tensor->is_readable() || tensor->elements() > rope_factors_max) {
      keys_.refuse(key("rope.scaling.type"),
                   text("cannot be applied: tensor '", name, "' of shape ", tensor->shape_text(),
                        " is stored as ", tensor->type_name),
                   status_code::unsupported);
      return true;
    }
    scaling[field] = values_of(*tensor);
    return true;
  };
  if (read("short_factor", "rope_freqs.weight")) {
    scaling["rope_type"] = "longrope";
    scaling["long_factor"] = scaling["short_factor"];
    scaling["attention_factor"] = 1;
    return;
  }
  const bool has_short = read("short_factor", "rope_factors_short.weight");
  const bool has_long = read("long_factor", "rope_factors_long.weight");
  if (!has_short || !has_long) return;
  scaling["rope_type"] = "longrope";
  scaling["original_max_position_embeddings"] = needed("rope.scaling.original_context_length");
  scaling["attention_factor"] = number("rope.scaling.attn_factor").value_or(1);
}

void translator::rope() {
  out_["rope_theta"] = number("rope.freq_base").value_or(10000);
  json scaling = json::object();
  const std::string kind = keys_.word(key("rope.scaling.type")).value_or("");
  const auto old_factor = number("rope.scale_linear");
  if (kind == "linear" || (kind.empty() && old_factor && *old_factor != 1)) {
    scaling["rope_type"] = "linear";
    scaling["factor"] = number("rope.scaling.factor").value_or(old_factor.value_or(1));
  } else if (kind == "yarn") {
    scaling["rope_type"] = "yarn";
    scaling["factor"] = number("rope.scaling.factor").value_or(1);
    if (const auto original = count("rope.scaling.original_context_length"))
      scaling["original_max_position_embeddings"] = *original;
    if (const auto fast = number("rope.scaling.yarn_beta_fast")) scaling["beta_fast"] = *fast;
    if (const auto slow = number("rope.scaling.yarn_beta_slow")) scaling["beta_slow"] = *slow;
    // A tenth of mscale_all_dim; mscale, which is not in the file, is the same in all models.
    if (const auto tenth = number("rope.scaling.yarn_log_multiplier"); tenth && *tenth != 0)
      scaling["mscale"] = scaling["mscale_all_dim"] = *tenth * 10;
    if (const auto times = number("rope.scaling.yarn_attn_factor"); times && *times != 1) {
      const double factor = scaling["factor"];
      scaling["attention_factor"] = *times * yarn_magnitude(factor, 1);
    }
  } else if (kind != "" && kind != "none" && kind != "longrope") {
    keys_.refuse(key("rope.scaling.type"), text("is '", kind, "', which is not known here"),
                 status_code::unsupported);
  }
  if (scaling.empty()) rope_factors(scaling);
  if (kind == "longrope" && scaling.empty()) {
    keys_.refuse(key("rope.scaling.type"),
                 "is 'longrope', but there are no tensors rope_factors_short.weight and "
                 "rope_factors_long.weight");
  }
  if (!scaling.empty()) out_["rope_scaling"] = scaling;
}

void translator::tokens() {
  const auto token = [this](std::string_view name) -> json {
    const auto id = keys_.count(text("tokenizer.ggml.", name));
    return id && *id <= INT32_MAX ? json(*id) : json(nullptr);
  };
  out_["bos_token_id"] = token("bos_token_id");
  auto ends = json::array();
  for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
    const auto id = token(name);
    if (!id.is_null() && std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
  }
  out_["eos_token_id"] = ends.empty() ? json(nullptr) : ends;
}

void translator::experts(const char* experts_field) {
  out_[experts_field] = needed("expert_count");
  out_["num_experts_per_tok"] = needed("expert_used_count");
}

// Layers without a router are dense.
void translator::sparse_layers() {
  const uint64_t layers = std::min(out_["num_hidden_layers"].get<uint64_t>(), layers_listed_max);
  auto dense = json::array();
  for (uint64_t i = 0; i < layers; ++i) {
    if (!has_tensor(text("blk.", i, ".ffn_gate_inp.weight")) &&
        has_tensor(text("blk.", i, ".ffn_gate.weight")))
      dense.push_back(i);
  }
  out_["mlp_only_layers"] = dense;
}

void translator::llama() {
  heads();
  const auto window = count("attention.sliding_window");
  const json sliding = window && *window > 0 ? json(*window) : json(nullptr);
  const bool mixture = count("expert_count").value_or(0) > 0;
  const bool biased = has_tensor("blk.0.attn_q.bias");
  if (mixture) {
    out_["model_type"] = "mixtral";
    experts("num_local_experts");
    out_["sliding_window"] = sliding;
  } else if (!sliding.is_null()) {
    out_["model_type"] = "mistral";
    out_["sliding_window"] = sliding;
  } else {
    out_["model_type"] = "llama";
    out_["attention_bias"] = biased;
    out_["mlp_bias"] = has_tensor("blk.0.ffn_gate.bias");
  }
}

void translator::qwen() {
  heads();
  out_["model_type"] = architecture_;
  if (architecture_ == "qwen3") out_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
}

void translator::qwen_moe() {
  heads();
  const bool third = architecture_ == "qwen3moe";
  out_["model_type"] = third ? "qwen3_moe" : "qwen2_moe";
  experts("num_experts");
  out_[third ? "attention_bias" : "qkv_bias"] = has_tensor("blk.0.attn_q.bias");
  out_["norm_topk_prob"] = keys_.flag(key("expert_weights_norm")).value_or(third);
  if (const auto inner = count("expert_feed_forward_length"))
    out_["moe_intermediate_size"] = *inner;
  else if (out_.contains("intermediate_size"))
    out_["moe_intermediate_size"] = out_["intermediate_size"];
  if (!third) {
    // The shared expert's width is that of its matrix where the key is absent.
    auto inner = count("expert_shared_feed_forward_length");
    const auto* up = file_.find_tensor("blk.0.ffn_up_shexp.weight");
    if (!inner && up != nullptr && up->shape.size() == 2) inner = up->shape.front();
    if (inner) out_["shared_expert_intermediate_size"] = *inner;
  }
  sparse_layers();
}

void translator::olmoe() {
  heads();
  out_["model_type"] = "olmoe";
  experts("num_experts");
  out_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
  out_["norm_topk_prob"] = keys_.flag(key("expert_weights_norm")).value_or(false);
  if (const auto clip = number("attention.clamp_kqv"); clip && *clip > 0) out_["clip_qkv"] = *clip;
}

void translator::granite_moe() {
  heads();
  out_["model_type"] = "granitemoe";
  experts("num_local_experts");
  out_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
  const double head_dim = out_.value("head_dim", 1.0);
  out_["attention_multiplier"] = number("attention.scale").value_or(1 / std::sqrt(head_dim));
  out_["embedding_multiplier"] = number("embedding_scale").value_or(1);
  out_["residual_multiplier"] = number("residual_scale").value_or(1);
  out_["logits_scaling"] = number("logit_scale").value_or(1);
  if (count("expert_shared_feed_forward_length").value_or(0) > 0) {
    keys_.refuse(key("expert_shared_feed_forward_length"), "is set: shared experts of granitemoe",
                 status_code::unsupported);
  }
}

// Files since 2025 describe the absorbed form of the attention (one key head of kv_rank + rope
// columns) and keep the widths of a head under *_mla.
void translator::deepseek() {
  const uint64_t heads = needed("attention.head_count");
  out_["num_attention_heads"] = out_["num_key_value_heads"] = heads;
  const auto q_rank = count("attention.q_lora_rank");
  out_["q_lora_rank"] = q_rank && *q_rank > 0 ? json(*q_rank) : json(nullptr);
  out_["kv_lora_rank"] = needed("attention.kv_lora_rank");
  const uint64_t rotated = needed("rope.dimension_count");
  const auto stated = count("attention.key_length_mla");
  const uint64_t head_dim = stated ? *stated : needed("attention.key_length");
  if (keys_.ok() && rotated >= head_dim) {
    keys_.refuse(key("rope.dimension_count"),
                 text("is ", rotated, " of ", head_dim, " columns of a head"));
    return;
  }
  const auto values = count("attention.value_length_mla");
  out_["qk_rope_head_dim"] = rotated;
  out_["qk_nope_head_dim"] = head_dim - rotated;
  out_["v_head_dim"] = values ? *values : needed("attention.value_length");
  out_["attention_bias"] = has_tensor("blk.0.attn_kv_a_mqa.bias");
  rope();

  experts("n_routed_experts");
  out_["moe_intermediate_size"] = needed("expert_feed_forward_length");
  out_["n_shared_experts"] = count("expert_shared_count").value_or(0);
  out_["first_k_dense_replace"] = count("leading_dense_block_count").value_or(0);
  out_["routed_scaling_factor"] = number("expert_weights_scale").value_or(1);
  const uint64_t groups = count("expert_group_count").value_or(1);
  const uint64_t kept = count("expert_group_used_count").value_or(1);
  out_["n_group"] = std::max<uint64_t>(groups, 1);
  out_["topk_group"] = std::max<uint64_t>(kept, 1);
  const bool normalised = keys_.flag(key("expert_weights_norm")).value_or(false);
  const uint64_t gating = count("expert_gating_func").value_or(1);
  if (gating == 2) {
    out_["model_type"] = "deepseek_v3";
    out_["norm_topk_prob"] = normalised;
    out_["rope_interleave"] = true;
    return;
  }
  out_["model_type"] = "deepseek_v2";
  out_["topk_method"] = groups > 1 ? "group_limited_greedy" : "greedy";
  out_["mlp_bias"] = has_tensor("blk.0.ffn_gate.bias");
  if (gating != 1 && gating != 0) {
    keys_.refuse(key("expert_gating_func"), text("is ", gating, "; known are 1 and 2"),
                 status_code::unsupported);
  }
  if (normalised) {
    keys_.refuse(key("expert_weights_norm"), "is set, which models with softmax gating are not",
                 status_code::unsupported);
  }
}

} // namespace

result<std::string> gguf_config_json(const gguf_file& file) {
  return translator(file).config();
}

result<std::string> gguf_generation_json(const gguf_file& file) {
  gguf_keys keys(file);
  auto out = nlohmann::ordered_json::object();
  constexpr std::array<std::pair<std::string_view, const char*>, 5> numbers = {{
      {"general.sampling.temp", "temperature"},
      {"general.sampling.top_p", "top_p"},
      {"general.sampling.min_p", "min_p"},
      {"general.sampling.penalty_repeat", "repetition_penalty"},
      {"general.sampling.top_k", "top_k"},
  }};
  for (const auto& [key, field] : numbers) {
    if (std::string_view(field) == "top_k") {
      if (const auto count = keys.count(key)) out[field] = *count;
    } else if (const auto number = keys.number(key)) {
      out[field] = *number;
    }
  }
  if (!keys.ok()) return fail(keys.first_error());
  return out.dump();
}

} // namespace troupe::model
