// The converter's rules, written once more from its side.
#include "tests/unit/model_gguf/gguf_export.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "model/gguf/block_formats.hpp"
#include "model/gguf/gguf_config.hpp"
#include "model/gguf/gguf_file.hpp"
#include "model/gguf/gguf_tensors.hpp"
#include "model/rotary.hpp"
#include "model/staged_slice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <regex>

namespace troupe::model_test {
namespace {

using model::attention_kind;
using model::rope_kind;

struct matrix {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};

std::string half(float value) {
  return gguf_writer::number(compute::f32_to_f16(value), 2);
}

std::string architecture_of(const model::description& model) {
  const std::map<std::string, std::string> names = {
      {"llama", "llama"},           {"mistral", "llama"},        {"mixtral", "llama"},
      {"qwen2", "qwen2"},           {"qwen3", "qwen3"},          {"qwen2_moe", "qwen2moe"},
      {"qwen3_moe", "qwen3moe"},    {"olmoe", "olmoe"},          {"granitemoe", "granitemoe"},
      {"deepseek_v2", "deepseek2"}, {"deepseek_v3", "deepseek2"}};
  return names.at(model.name);
}

// As the converter's `permute`: [heads, 2, half, …] becomes [heads, half, 2, …].
matrix paired(const matrix& from, uint32_t heads) {
  matrix out = from;
  const size_t rows = from.shape[0], width = from.values.size() / rows, head = rows / heads;
  for (size_t h = 0; h < heads; ++h) {
    for (size_t side = 0; side < 2; ++side) {
      for (size_t j = 0; j < head / 2; ++j) {
        std::copy_n(from.values.data() + (h * head + side * head / 2 + j) * width, width,
                    out.values.data() + (h * head + 2 * j + side) * width);
      }
    }
  }
  return out;
}

class exporter {
public:
  exporter(const checkpoint& files, const export_options& options) : options_(options) {
    model_ = model::parse_config(files.files.at("config.json")).value();
    const auto index = index_of(files);
    EXPECT_TRUE(index.has_value()) << index.error().why();
    for (const auto& [name, stored] : index->tensors())
      tensors_[name] = {stored.shape, model::values_of(stored)};
  }

  gguf_writer run() {
    metadata();
    unfuse();
    for (const auto& [name, tensor] : tensors_) write(name, tensor);
    for (const auto& [name, experts] : stacks_) {
      matrix joined;
      for (const auto& expert : experts) {
        joined.shape = expert.shape;
        joined.values.insert(joined.values.end(), expert.values.begin(), expert.values.end());
      }
      joined.shape.insert(joined.shape.begin(), experts.size());
      put(name, joined);
    }
    return std::move(out_);
  }

private:
  void metadata() {
    const auto& attention = model_.layers.front().attention;
    arch_ = architecture_of(model_);
    const auto key = [this](const std::string& rest) { return arch_ + "." + rest; };
    out_.put_word("general.architecture", arch_);
    out_.put_u32(key("vocab_size"), model_.vocabulary);
    out_.put_u32(key("embedding_length"), model_.hidden);
    out_.put_u32(key("block_count"), model_.layers.size());
    out_.put_u32(key("context_length"), model_.positions_max);
    out_.put_f32(key("attention.layer_norm_rms_epsilon"), model_.norm_eps);
    out_.put_u32(key("attention.head_count"), attention.heads);
    if (model_.bos_id) out_.put_u32("tokenizer.ggml.bos_token_id", uint64_t(*model_.bos_id));
    if (!model_.eos_ids.empty())
      out_.put_u32("tokenizer.ggml.eos_token_id", uint64_t(model_.eos_ids.front()));
    for (const auto& layer : model_.layers) {
      if (!layer.is_moe()) {
        out_.drop(key("feed_forward_length"));
        out_.put_u32(key("feed_forward_length"), layer.dense.inner);
      }
    }
    if (attention.kind == attention_kind::latent)
      latent_keys(attention, key);
    else
      gqa_keys(attention, key);
    for (const auto& layer : model_.layers)
      if (layer.is_moe()) return expert_keys(layer.moe, key);
  }

  template <class Key>
  void gqa_keys(const model::attention_spec& attention, const Key& key) {
    out_.put_u32(key("attention.head_count_kv"), attention.kv_heads);
    out_.put_u32(key("attention.key_length"), attention.head_dim);
    out_.put_u32(key("attention.value_length"), attention.head_dim);
    out_.put_u32(key("rope.dimension_count"), attention.head_dim);
    if (attention.clip > 0) out_.put_f32(key("attention.clamp_kqv"), attention.clip);
    if (attention.window > 0) out_.put_u32(key("attention.sliding_window"), attention.window);
    if (arch_ == "granitemoe") {
      out_.put_f32(key("attention.scale"), attention.scale);
      out_.put_f32(key("embedding_scale"), model_.embedding_multiplier);
      out_.put_f32(key("residual_scale"), model_.residual_multiplier);
      out_.put_f32(key("logit_scale"), 1.0 / model_.logits_multiplier);
    }
    rope_keys(key);
  }

  template <class Key>
  void latent_keys(const model::attention_spec& attention, const Key& key) {
    if (attention.q_rank > 0) out_.put_u32(key("attention.q_lora_rank"), attention.q_rank);
    out_.put_u32(key("attention.kv_lora_rank"), attention.kv_rank);
    const bool split = options_.split_kv_b;
    const uint32_t head = attention.query_head_dim();
    out_.put_u32(key("attention.head_count_kv"), split ? 1 : attention.heads);
    out_.put_u32(key("attention.key_length"),
                 split ? attention.kv_rank + attention.rope_dim : head);
    out_.put_u32(key("attention.value_length"), split ? attention.kv_rank : attention.value_dim);
    if (split) {
      out_.put_u32(key("attention.key_length_mla"), head);
      out_.put_u32(key("attention.value_length_mla"), attention.value_dim);
    }
    out_.put_u32(key("rope.dimension_count"), attention.rope_dim);
    rope_keys(key);
  }

  template <class Key>
  void rope_keys(const Key& key) {
    const auto& rope = model_.rope;
    out_.put_f32(key("rope.freq_base"), rope.theta);
    if (rope.kind == rope_kind::linear) {
      out_.put_word(key("rope.scaling.type"), "linear");
      out_.put_f32(key("rope.scaling.factor"), rope.factor);
    } else if (rope.kind == rope_kind::yarn) {
      out_.put_word(key("rope.scaling.type"), "yarn");
      out_.put_f32(key("rope.scaling.factor"), rope.factor);
      out_.put_u32(key("rope.scaling.original_context_length"), rope.original_positions);
      out_.put_f32(key("rope.scaling.yarn_beta_fast"), rope.beta_fast);
      out_.put_f32(key("rope.scaling.yarn_beta_slow"), rope.beta_slow);
      if (rope.mscale_all_dim != 0)
        out_.put_f32(key("rope.scaling.yarn_log_multiplier"), 0.1 * rope.mscale_all_dim);
    } else if (rope.kind == rope_kind::llama3) {
      put("rope_freqs.weight", {{rope.dim / 2}, llama3_factors(rope)});
    } else if (rope.kind == rope_kind::longrope) {
      const auto floats = [](const std::vector<double>& from) {
        return std::vector<float>(from.begin(), from.end());
      };
      out_.put_word(key("rope.scaling.type"), "longrope");
      out_.put_u32(key("rope.scaling.original_context_length"), rope.original_positions);
      out_.put_f32(key("rope.scaling.attn_factor"),
                   model::frequencies_of(rope, 0).attention_factor);
      put("rope_factors_short.weight", {{rope.dim / 2}, floats(rope.short_factor)});
      put("rope_factors_long.weight", {{rope.dim / 2}, floats(rope.long_factor)});
    }
  }

  // Original frequency by new frequency.
  static std::vector<float> llama3_factors(const model::rope_spec& rope) {
    std::vector<float> out;
    for (uint32_t i = 0; i < rope.dim; i += 2) {
      const double wavelength = 2 * std::numbers::pi * std::pow(rope.theta, double(i) / rope.dim);
      const double original = rope.original_positions;
      if (wavelength < original / rope.high_freq_factor) {
        out.push_back(1);
      } else if (wavelength > original / rope.low_freq_factor) {
        out.push_back(float(rope.factor));
      } else {
        const double smooth = (original / wavelength - rope.low_freq_factor) /
                              (rope.high_freq_factor - rope.low_freq_factor);
        out.push_back(float(1 / ((1 - smooth) / rope.factor + smooth)));
      }
    }
    return out;
  }

  template <class Key>
  void expert_keys(const model::moe_spec& moe, const Key& key) {
    out_.put_u32(key("expert_count"), moe.rule.experts);
    out_.put_u32(key("expert_used_count"), moe.rule.top_k);
    const bool own_width = arch_ == "qwen2moe" || arch_ == "qwen3moe" || arch_ == "deepseek2";
    out_.put_u32(key(own_width ? "expert_feed_forward_length" : "feed_forward_length"), moe.inner);
    if (arch_ == "qwen2moe")
      out_.put_u32(key("expert_shared_feed_forward_length"), moe.shared.inner);
    if (arch_ == "qwen2moe" || arch_ == "qwen3moe" || arch_ == "olmoe")
      out_.put_bool(key("expert_weights_norm"), moe.rule.normalise);
    if (arch_ != "deepseek2") return;
    uint64_t dense = 0;
    while (dense < model_.layers.size() && !model_.layers[dense].is_moe()) ++dense;
    out_.put_u32(key("leading_dense_block_count"), dense);
    out_.put_u32(key("expert_shared_count"), moe.shared.inner / moe.inner);
    out_.put_f32(key("expert_weights_scale"), moe.rule.scale);
    out_.put_bool(key("expert_weights_norm"), moe.rule.normalise);
    const bool sigmoid = moe.rule.score == compute::router_score::sigmoid;
    out_.put_u32(key("expert_gating_func"), sigmoid ? 2 : 1);
    if (moe.rule.groups > 1) {
      out_.put_u32(key("expert_group_count"), moe.rule.groups);
      out_.put_u32(key("expert_group_used_count"), moe.rule.groups_kept);
    }
  }

  // Checkpoints with all experts in one tensor, cut into those of each.
  void unfuse() {
    const std::regex fused(
        R"(model\.layers\.(\d+)\.(mlp|block_sparse_moe)\.(experts\.gate_up_proj|input_linear\.weight|experts\.down_proj|output_linear\.weight))");
    std::vector<std::string> gone;
    std::map<std::string, matrix> made;
    for (const auto& [name, tensor] : tensors_) {
      std::smatch found;
      if (!std::regex_match(name, found, fused)) continue;
      gone.push_back(name);
      const bool both = found[3].str().find("gate_up") == 0 ||
                        found[3].str().find("gate_up") != std::string::npos ||
                        found[3].str().find("input") != std::string::npos;
      const size_t experts = tensor.shape[0], size = tensor.values.size() / experts;
      for (size_t e = 0; e < experts; ++e) {
        const std::string prefix = text("model.layers.", found[1].str(), ".mlp.experts.", e, ".");
        const auto* begin = tensor.values.data() + e * size;
        const size_t half = both ? size / 2 : size;
        const uint64_t rows = both ? tensor.shape[1] / 2 : tensor.shape[1];
        made[prefix + (both ? "gate_proj.weight" : "down_proj.weight")] = {
            {rows, tensor.shape[2]}, std::vector<float>(begin, begin + half)};
        if (both)
          made[prefix + "up_proj.weight"] = {{rows, tensor.shape[2]},
                                             std::vector<float>(begin + half, begin + size)};
      }
    }
    for (const auto& name : gone) tensors_.erase(name);
    tensors_.merge(made);
  }

  void write(const std::string& name, const matrix& tensor) {
    if (name == "model.embed_tokens.weight") return put("token_embd.weight", tensor);
    if (name == "model.norm.weight") return put("output_norm.weight", tensor);
    if (name == "lm_head.weight") {
      if (!model_.tied_embeddings) put("output.weight", tensor);
      return;
    }
    const std::regex layered(R"(model\.layers\.(\d+)\.(.*))");
    std::smatch found;
    ASSERT_TRUE(std::regex_match(name, found, layered)) << name;
    const size_t layer = std::stoul(found[1].str());
    if (layer >= model_.layers.size()) return; // for predicting several tokens
    write_layer(layer, found[2].str(), tensor);
  }

  void write_layer(size_t layer, const std::string& rest, const matrix& tensor) {
    const std::string prefix = text("blk.", layer, ".");
    const auto& attention = model_.layers[layer].attention;
    const std::regex expert(
        R"((?:mlp|block_sparse_moe)\.experts\.(\d+)\.(gate_proj|w1|up_proj|w3|down_proj|w2)\.weight)");
    std::smatch found;
    if (std::regex_match(rest, found, expert)) {
      const std::string part = found[2].str();
      const std::string name = part == "gate_proj" || part == "w1" ? "gate"
                               : part == "up_proj" || part == "w3" ? "up"
                                                                   : "down";
      auto& stack = stacks_[prefix + "ffn_" + name + "_exps.weight"];
      const size_t number = std::stoul(found[1].str());
      if (stack.size() <= number) stack.resize(number + 1);
      stack[number] = tensor;
      return;
    }
    if (rest == "self_attn.kv_b_proj.weight" && options_.split_kv_b)
      return write_split(prefix, attention, tensor);
    const std::vector<std::pair<std::string, std::string>> names = {
        {"input_layernorm.", "attn_norm."},
        {"post_attention_layernorm.", "ffn_norm."},
        {"self_attn.q_proj.", "attn_q."},
        {"self_attn.k_proj.", "attn_k."},
        {"self_attn.v_proj.", "attn_v."},
        {"self_attn.o_proj.", "attn_output."},
        {"self_attn.q_norm.", "attn_q_norm."},
        {"self_attn.k_norm.", "attn_k_norm."},
        {"self_attn.q_a_proj.", "attn_q_a."},
        {"self_attn.q_b_proj.", "attn_q_b."},
        {"self_attn.q_a_layernorm.", "attn_q_a_norm."},
        {"self_attn.kv_a_proj_with_mqa.", "attn_kv_a_mqa."},
        {"self_attn.kv_a_layernorm.", "attn_kv_a_norm."},
        {"self_attn.kv_b_proj.", "attn_kv_b."},
        {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
        {"mlp.gate_proj.", "ffn_gate."},
        {"mlp.up_proj.", "ffn_up."},
        {"mlp.down_proj.", "ffn_down."},
        {"mlp.gate.weight", "ffn_gate_inp.weight"},
        {"block_sparse_moe.gate.weight", "ffn_gate_inp.weight"},
        {"block_sparse_moe.router.layer.weight", "ffn_gate_inp.weight"},
        {"mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"},
        {"mlp.shared_expert.gate_proj.", "ffn_gate_shexp."},
        {"mlp.shared_expert.up_proj.", "ffn_up_shexp."},
        {"mlp.shared_expert.down_proj.", "ffn_down_shexp."},
        {"mlp.shared_experts.gate_proj.", "ffn_gate_shexp."},
        {"mlp.shared_experts.up_proj.", "ffn_up_shexp."},
        {"mlp.shared_experts.down_proj.", "ffn_down_shexp."}};
    for (const auto& [ours, theirs] : names) {
      if (!rest.starts_with(ours)) continue;
      const bool pairs = arch_ == "llama" || arch_ == "granitemoe";
      matrix moved = tensor;
      if (pairs && theirs == "attn_q.") moved = paired(tensor, attention.heads);
      if (pairs && theirs == "attn_k.") moved = paired(tensor, attention.kv_heads);
      if (theirs == "ffn_gate_inp_shexp.weight") moved.shape = {tensor.values.size()};
      return put(prefix + theirs + rest.substr(ours.size()), moved);
    }
    FAIL() << "no name for " << rest;
  }

  void write_split(const std::string& prefix, const model::attention_spec& spec,
                   const matrix& tensor) {
    matrix keys{{spec.heads, spec.kv_rank, spec.nope_dim}, {}};
    matrix values{{spec.heads, spec.value_dim, spec.kv_rank}, {}};
    const auto at = [&](size_t head, size_t row, size_t col) {
      return tensor.values[(head * (spec.nope_dim + spec.value_dim) + row) * spec.kv_rank + col];
    };
    for (size_t head = 0; head < spec.heads; ++head) {
      for (size_t c = 0; c < spec.kv_rank; ++c)
        for (size_t r = 0; r < spec.nope_dim; ++r) keys.values.push_back(at(head, r, c));
      for (size_t r = 0; r < spec.value_dim; ++r)
        for (size_t c = 0; c < spec.kv_rank; ++c)
          values.values.push_back(at(head, spec.nope_dim + r, c));
    }
    put(prefix + "attn_k_b.weight", keys);
    put(prefix + "attn_v_b.weight", values);
  }

  // Vectors and routers stay f32.
  void put(const std::string& name, const matrix& tensor) {
    const bool wide = tensor.shape.size() < 2 || name.find("ffn_gate_inp") != std::string::npos;
    auto made = wide ? as_f32(tensor.values) : options_.encode(tensor.values, tensor.shape.back());
    out_.tensors.push_back({name, tensor.shape, made.type, std::move(made.bytes)});
  }

  const export_options& options_;
  model::description model_;
  std::string arch_;
  std::map<std::string, matrix> tensors_;
  std::map<std::string, std::vector<matrix>> stacks_;
  gguf_writer out_;
};

} // namespace

encoded as_f32(const std::vector<float>& values, uint64_t) {
  return {0, std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4)};
}

encoded as_f16(const std::vector<float>& values, uint64_t) {
  encoded out{1, {}};
  for (const float value : values) out.bytes += half(value);
  return out;
}

encoded as_bf16(const std::vector<float>& values, uint64_t) {
  encoded out{30, {}};
  for (const float value : values) out.bytes += gguf_writer::number(compute::f32_to_bf16(value), 2);
  return out;
}

encoded as_q8_0(const std::vector<float>& values, uint64_t) {
  encoded out{8, {}};
  for (size_t i = 0; i < values.size(); i += 32) {
    float most = 0;
    for (size_t j = i; j < i + 32; ++j) most = std::max(most, std::fabs(values[j]));
    const float scale = most / 127, inverse = scale == 0 ? 0 : 1 / scale;
    out.bytes += half(scale);
    for (size_t j = i; j < i + 32; ++j)
      out.bytes += static_cast<char>(static_cast<int>(std::round(values[j] * inverse)));
  }
  return out;
}

encoded as_q4_0(const std::vector<float>& values, uint64_t) {
  encoded out{2, {}};
  for (size_t i = 0; i < values.size(); i += 32) {
    float extreme = 0;
    for (size_t j = i; j < i + 32; ++j)
      if (std::fabs(values[j]) > std::fabs(extreme)) extreme = values[j];
    const float scale = extreme / -8, inverse = scale == 0 ? 0 : 1 / scale;
    const auto step = [&](size_t j) {
      return std::clamp(static_cast<int>(values[j] * inverse + 8.5f), 0, 15);
    };
    out.bytes += half(scale);
    for (size_t j = i; j < i + 16; ++j) out.bytes += static_cast<char>(step(j) | step(j + 16) << 4);
  }
  return out;
}

// Where blocks keep numbers of half precision.
static std::vector<size_t> scale_places(std::string_view format) {
  if (format == "Q2_K") return {80, 82};
  if (format == "Q3_K") return {108};
  if (format == "Q6_K") return {208};
  const bool has_minimum = format == "Q4_K" || format == "Q5_K" || format.ends_with("_1");
  return has_minimum ? std::vector<size_t>{0, 2} : std::vector<size_t>{0};
}

matrix_encoder as_random_blocks(std::string_view format) {
  const auto* known = model::find_block_format(format);
  return [known](const std::vector<float>& values, uint64_t cols) {
    EXPECT_EQ(cols % known->elements, 0u) << known->name;
    encoded out{known->number, {}};
    const random_key key{values.size(), random_subsystem::faults, 7};
    uint64_t n = 0;
    while (out.bytes.size() / known->bytes * known->elements < values.size()) {
      std::string block;
      for (uint32_t i = 0; i < known->bytes; ++i)
        block += static_cast<char>(random_below(key, n++, 256));
      // Scales of half precision wherever the format has them: positive and small.
      const auto scale_at = [&](size_t at) {
        const std::string small = half(0.0005f + 0.0001f * float(random_below(key, n++, 10)));
        block.replace(at, 2, small);
      };
      for (const size_t at : scale_places(known->name)) scale_at(at);
      out.bytes += block;
    }
    return out;
  };
}

std::string beyond_gguf(const model::description& model) {
  const auto& attention = model.layers.front().attention;
  const bool latent = attention.kind == attention_kind::latent;
  if (model.activation != compute::activation::silu) return "another activation than silu";
  if (model.rope.kind == rope_kind::dynamic) return "rope that depends on the length";
  if (model.name == "deepseek_v3" && model.rope.style == compute::rope_style::half_split)
    return "deepseek with halved heads";
  if (model.rope.kind == rope_kind::yarn && !latent &&
      (model.rope.attention_factor || !model.rope.truncate))
    return "yarn with other factors";
  if (latent && model.rope.mscale != model.rope.mscale_all_dim) return "mscale of its own";
  for (const auto& layer : model.layers) {
    const bool in_words = model.name == "mistral" || model.name == "mixtral";
    if (layer.attention.window > 0 && !in_words) return "windows of some layers";
  }
  return {};
}

gguf_writer export_gguf(const checkpoint& files, const export_options& options) {
  return exporter(files, options).run();
}

result<std::unique_ptr<loaded_gguf>> load_gguf(std::string bytes, compute::executor& executor,
                                               model::load_options options) {
  auto out = std::make_unique<loaded_gguf>();
  out->bytes = std::move(bytes);
  const auto file = model::gguf_file::parse("model.gguf", std::as_bytes(std::span(out->bytes)));
  if (!file) return fail(file.error());
  const auto config = model::gguf_config_json(*file);
  if (!config) return fail(config.error());
  auto description = model::parse_config(*config, "model.gguf");
  if (!description) return fail(description.error());
  out->description = std::move(*description);
  const auto index = model::gguf_tensor_index(*file);
  if (!index) return fail(index.error());
  auto survey = model::survey_weights(out->description, *index);
  if (!survey) return fail(survey.error());
  out->survey = std::move(*survey);
  auto weights =
      model::weight_loader(out->description, *index, executor, std::move(options)).everything();
  if (!weights) return fail(weights.error());
  out->weights = std::move(*weights);
  return out;
}

} // namespace troupe::model_test
