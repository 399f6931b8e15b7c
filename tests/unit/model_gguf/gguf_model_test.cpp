// Models from GGUF files against the same models from other checkpoints: every golden checkpoint
// that the format has words for, and every type of blocks.
#include "tests/unit/model_gguf/gguf_export.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/quantise.hpp"
#include "model/gguf/block_formats.hpp"
#include "model/gguf/gguf_file.hpp"
#include "model/staged_slice.hpp"
#include "model/synthetic_checkpoint.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <regex>
#include <tuple>

namespace troupe::model_test {
namespace {

constexpr uint32_t greedy_count = 12;

struct outcome {
  std::vector<float> logits;
  std::vector<int32_t> greedy;
};

using format_choice = std::optional<compute::weight_format>;

// Without what the format has no words for and other goldens have too: windows of some layers,
// other activations than silu.
checkpoint golden(const std::string& name) {
  auto files = checkpoint::read(golden_folder(name));
  auto& config = files.files["config.json"];
  config = std::regex_replace(config, std::regex(R"("use_sliding_window": true)"),
                              R"("use_sliding_window": false)");
  config =
      std::regex_replace(config, std::regex(R"("hidden_act": "\w+")"), R"("hidden_act": "silu")");
  return files;
}
model::description description_of(const checkpoint& files) {
  return model::parse_config(files.files.at("config.json")).value();
}

bool can_be_said(const std::string& name) {
  return beyond_gguf(description_of(golden(name))).empty();
}

std::vector<std::string> sayable_names(bool latent_only) {
  std::vector<std::string> out;
  for (const auto& name : golden_names()) {
    const auto model = description_of(golden(name));
    const bool latent = model.layers.front().attention.kind == model::attention_kind::latent;
    if (can_be_said(name) && (latent || !latent_only)) out.push_back(name);
  }
  return out;
}

class gguf_test : public testing::Test {
protected:
  gguf_test() : executor(*compute::make_cpu_executor({.threads = 1})) {}

  template <class Model>
  outcome run(const Model& loaded) {
    auto runner = model::decoder::make(loaded.description, loaded.weights, *executor,
                                       {.positions_max = 256, .sequences_max = 1, .rows_max = 256});
    EXPECT_TRUE(runner.has_value()) << runner.error().why();
    std::vector<int32_t> prompt;
    for (uint32_t i = 0; i < 40; ++i)
      prompt.push_back(static_cast<int32_t>((7 + i * 31) % loaded.description.vocabulary));
    return {runner->logits_of(prompt).value(), runner->greedy(prompt, greedy_count).value()};
  }

  outcome of_checkpoint(const checkpoint& files, format_choice format = {}) {
    const auto loaded = load(files, *executor, {.format = format, .progress = {}});
    EXPECT_TRUE(loaded.has_value()) << loaded.error().why();
    return run(**loaded);
  }

  outcome of_gguf(const gguf_writer& file, format_choice format = {}) {
    const auto loaded = load_gguf(file.bytes(), *executor, {.format = format, .progress = {}});
    EXPECT_TRUE(loaded.has_value()) << loaded.error().why();
    if (!loaded) return {};
    EXPECT_EQ((*loaded)->survey.unused, std::vector<std::string>());
    return run(**loaded);
  }

  // A small checkpoint with random weights whose rows consist of whole blocks.
  static checkpoint synthetic(std::string_view config) {
    const auto plan =
        model::synthetic_checkpoint::plan({"small", "", config}, 11, UINT64_MAX).value();
    checkpoint out;
    for (const auto& shard : plan.shards()) {
      std::string& bytes = out.files[shard.file];
      EXPECT_TRUE(plan.write(shard,
                             [&](std::span<const std::byte> part) {
                               bytes.append(reinterpret_cast<const char*>(part.data()),
                                            part.size());
                               return status();
                             })
                      .ok());
    }
    out.files["config.json"] = config;
    return out;
  }

  std::unique_ptr<compute::executor> executor;
};

// Relative to the largest logit.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0, off = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::fabs(double(b[i])));
    off = std::max(off, std::fabs(double(a[i]) - b[i]));
  }
  return off / most;
}

// The same file with every tensor widened to f32.
gguf_writer widened(gguf_writer file) {
  const std::string bytes = file.bytes();
  const auto parsed =
      model::gguf_file::parse("widened.gguf", std::as_bytes(std::span(bytes))).value();
  for (auto& tensor : file.tensors) {
    auto wide = as_f32(model::values_of(*parsed.find_tensor(tensor.name)));
    tensor.type = wide.type;
    tensor.bytes = std::move(wide.bytes);
  }
  return file;
}

class gguf_golden_test : public gguf_test, public testing::WithParamInterface<std::string> {};

TEST_P(gguf_golden_test, gives_the_bits_of_the_checkpoint_it_was_made_from) {
  const auto files = golden(GetParam());
  const auto model = description_of(files);
  const auto wanted = of_checkpoint(files, compute::weight_format::f32);
  const auto got = of_gguf(export_gguf(files));
  EXPECT_EQ(got.greedy, wanted.greedy);
  // The stretched frequencies of llama3 go through a table of f32 divisors, and a tenth of
  // mscale_all_dim through f32.
  const bool through_table =
      model.rope.kind == model::rope_kind::llama3 || model.rope.kind == model::rope_kind::longrope;
  if (through_table)
    EXPECT_LT(distance(got.logits, wanted.logits), 1e-5);
  else
    EXPECT_EQ(got.logits, wanted.logits);
}

TEST_P(gguf_golden_test, gives_the_bits_of_narrow_weights) {
  const auto files = golden(GetParam());
  for (const auto encode : {as_f16, as_bf16}) {
    const auto file = export_gguf(files, {.encode = encode});
    const auto as_stored = of_gguf(file);
    const auto wide = of_gguf(widened(file));
    EXPECT_FALSE(wide.logits.empty());
    EXPECT_EQ(as_stored.logits, wide.logits);
    EXPECT_EQ(as_stored.greedy, wide.greedy);
  }
}

INSTANTIATE_TEST_SUITE_P(checkpoints, gguf_golden_test, testing::ValuesIn(sayable_names(false)),
                         [](const auto& info) { return info.param; });

class gguf_latent_test : public gguf_test, public testing::WithParamInterface<std::string> {};

TEST_P(gguf_latent_test, reads_the_keys_and_values_apart) {
  const auto files = golden(GetParam());
  EXPECT_EQ(of_gguf(export_gguf(files, {.split_kv_b = true})).logits,
            of_gguf(export_gguf(files)).logits);
}

INSTANTIATE_TEST_SUITE_P(checkpoints, gguf_latent_test, testing::ValuesIn(sayable_names(true)),
                         [](const auto& info) { return info.param; });

TEST(gguf_golden_list, holds_all_checkpoints_but_those_the_format_has_no_words_for) {
  std::vector<std::string> beyond;
  for (const auto& name : golden_names())
    if (!can_be_said(name)) beyond.push_back(name);
  EXPECT_EQ(beyond, (std::vector<std::string>{"deepseek_v2_mlp_bias", "deepseek_v3_half_split",
                                              "deepseek_v3_yarn_mscale", "llama_dynamic",
                                              "llama_yarn", "qwen3_moe_sliding"}));
}

// ---- blocks ----

constexpr std::string_view small_mixtral =
    R"({"model_type": "mixtral", "vocab_size": 96, "hidden_size": 256, "intermediate_size": 256,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "num_local_experts": 4, "num_experts_per_tok": 2, "max_position_embeddings": 256})";
constexpr std::string_view small_deepseek =
    R"({"model_type": "deepseek_v3", "vocab_size": 96, "hidden_size": 256, "intermediate_size": 512,
        "moe_intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2,
        "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
        "first_k_dense_replace": 1, "q_lora_rank": 256, "kv_lora_rank": 256, "qk_nope_head_dim": 256,
        "qk_rope_head_dim": 32, "v_head_dim": 128, "max_position_embeddings": 256})";
constexpr std::string_view small_qwen =
    R"({"model_type": "qwen2_moe", "vocab_size": 96, "hidden_size": 256,
        "shared_expert_intermediate_size": 256,
        "moe_intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_experts": 4, "num_experts_per_tok": 2,
        "max_position_embeddings": 256})";

class gguf_block_test : public gguf_test, public testing::WithParamInterface<std::string> {};

TEST_P(gguf_block_test, computes_with_what_the_blocks_are_worth) {
  using compute::weight_format;
  const std::tuple<std::string_view, bool, weight_format> cases[] = {
      {small_mixtral, false, weight_format::f32},
      {small_mixtral, false, weight_format::int4},
      {small_deepseek, false, weight_format::f32},
      {small_deepseek, true, weight_format::f32},
      {small_qwen, false, weight_format::f32}};
  for (const auto& [config, split, format] : cases) {
    const auto file = export_gguf(synthetic(config),
                                  {.encode = as_random_blocks(GetParam()), .split_kv_b = split});
    const auto got = of_gguf(file, format);
    const auto wanted = of_gguf(widened(file), format);
    EXPECT_EQ(got.logits, wanted.logits);
    EXPECT_EQ(got.greedy, wanted.greedy);
    for (const float value : got.logits) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST_P(gguf_block_test, is_kept_in_the_format_that_suits_it) {
  const auto file = export_gguf(synthetic(small_mixtral), {.encode = as_random_blocks(GetParam())});
  const auto loaded = load_gguf(file.bytes(), *executor);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().why();
  const auto wanted =
      GetParam() == "Q4_0" ? compute::weight_format::int4 : compute::weight_format::int8;
  const auto& weights = (*loaded)->weights;
  EXPECT_EQ(weights.layers[0].attention.q.format(), wanted);
  EXPECT_EQ(weights.layers[1].experts[3].down.format(), wanted);
  EXPECT_EQ(weights.embedding.format(), compute::weight_format::int8);
  EXPECT_EQ(weights.layers[0].router.gate.format(), compute::weight_format::f32);
}

INSTANTIATE_TEST_SUITE_P(formats, gguf_block_test,
                         testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K",
                                         "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"),
                         [](const auto& info) { return info.param; });

// ---- what keeping blocks in formats of ours costs ----

double mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double(value) * value;
  return sum / double(values.size());
}

// Root of the mean squared error by that of the values.
double kept_error(const std::vector<float>& values, compute::weight_format format) {
  std::vector<float> off;
  for (size_t i = 0; i < values.size(); i += compute::quant_block) {
    const auto block = format == compute::weight_format::int8
                           ? compute::quantise_weights_int8(values.data() + i)
                           : compute::quantise_weights_int4(values.data() + i);
    for (size_t j = 0; j < compute::quant_block; ++j)
      off.push_back(compute::bf16_to_f32(block.scale) * float(block.values[j]) - values[i + j]);
  }
  return std::sqrt(mean_square(off) / mean_square(values));
}

std::vector<float> decoded(const encoded& blocks, size_t count) {
  gguf_writer file;
  file.tensors.push_back({"w", {1, count}, blocks.type, blocks.bytes});
  const std::string bytes = file.bytes();
  const auto parsed = model::gguf_file::parse("w", std::as_bytes(std::span(bytes))).value();
  return model::values_of(*parsed.find_tensor("w"));
}

TEST(gguf_blocks, lose_little_in_the_format_they_are_kept_in) {
  constexpr size_t count = 1 << 16;
  std::vector<float> weights; // about normal: twelve uniform numbers added up
  const random_key key{3, random_subsystem::faults, 1};
  for (uint64_t i = 0; i < count; ++i) {
    float sum = -6;
    for (uint64_t j = 0; j < 12; ++j)
      sum += float(random_below(key, i * 12 + j, 1 << 20)) / float(1 << 20);
    weights.push_back(sum * 0.02f);
  }
  for (const auto& format : model::block_formats()) {
    if (format.decode == nullptr) continue;
    const auto blocks = format.name == "Q8_0"   ? as_q8_0(weights)
                        : format.name == "Q4_0" ? as_q4_0(weights)
                                                : as_random_blocks(format.name)(weights, count);
    const auto values = decoded(blocks, count);
    const double as_int8 = kept_error(values, compute::weight_format::int8);
    const double as_int4 = kept_error(values, compute::weight_format::int4);
    RecordProperty(std::string(format.name) + "_int8", std::to_string(as_int8));
    RecordProperty(std::string(format.name) + "_int4", std::to_string(as_int4));
    const bool kept_as_int4 = format.kept_as == compute::weight_format::int4;
    EXPECT_LT(kept_as_int4 ? as_int4 : as_int8, kept_as_int4 ? 0.003 : 0.008) << format.name;
    EXPECT_GT(as_int4, as_int8 * 0.1) << format.name;
  }
}

// ---- files that say what cannot be ----

class gguf_refusal_test : public gguf_test {
protected:
  void expect(const gguf_writer& file, status_code code, const std::string& named) {
    const auto loaded = load_gguf(file.bytes(), *executor);
    ASSERT_FALSE(loaded.has_value()) << named;
    EXPECT_EQ(loaded.error().code(), code) << loaded.error().why();
    EXPECT_NE(loaded.error().why().find(named), std::string::npos)
        << loaded.error().why() << " lacks " << named;
  }
  gguf_writer with(const std::string& key, const std::function<void(gguf_writer&)>& put) {
    auto file = mixtral;
    file.drop(key);
    put(file);
    return file;
  }
  gguf_writer mixtral = export_gguf(synthetic(small_mixtral));
  gguf_writer deepseek = export_gguf(synthetic(small_deepseek));
};

TEST_F(gguf_refusal_test, of_architectures_and_options_that_are_not_known) {
  const auto word = [&](const std::string& key, const std::string& value) {
    return with(key, [&](auto& f) { f.put_word(key, value); });
  };
  const auto number = [&](const std::string& key, uint64_t value) {
    return with(key, [&](auto& f) { f.put_u32(key, value); });
  };
  expect(word("general.architecture", "mamba"), status_code::unsupported, "is 'mamba'");
  expect(number("general.architecture", 3), status_code::corrupt, "u32 where a string");
  expect(word("llama.rope.scaling.type", "spiral"), status_code::unsupported, "is 'spiral'");
  expect(word("llama.rope.scaling.type", "longrope"), status_code::corrupt, "rope_factors_short");
  expect(number("llama.rope.dimension_count", 32), status_code::unsupported, "32 of 64 columns");
  expect(number("llama.attention.value_length", 32), status_code::unsupported, "keys have 64");
  expect(number("llama.attention.head_count", 0), status_code::corrupt, "num_attention_heads");
  expect(number("llama.attention.head_count_kv", 3), status_code::corrupt, "num_key_value_heads 3");
  expect(number("llama.block_count", 1000000), status_code::corrupt, "num_hidden_layers");
  expect(number("llama.block_count", 3), status_code::not_found, "'blk.2.attn_norm.weight'");
  expect(number("llama.embedding_length", 255), status_code::corrupt, "token_embd.weight");
  expect(number("llama.expert_count", 5), status_code::corrupt, "a matrix for each of 5 experts");
  expect(number("llama.expert_used_count", 9), status_code::corrupt, "num_experts_per_tok");
  expect(with("llama.context_length", [](auto&) {}), status_code::corrupt, "is missing");
  expect(with("llama.attention.layer_norm_rms_epsilon", [](auto&) {}), status_code::corrupt,
         "layer_norm_rms_epsilon' is missing");
  const auto gating = [&](const std::string& key, const auto& put) {
    auto file = deepseek;
    file.drop("deepseek2." + key);
    put(file, "deepseek2." + key);
    return file;
  };
  expect(gating("expert_gating_func", [](auto& f, auto key) { f.put_u32(key, 3); }),
         status_code::unsupported, "known are 1 and 2");
  expect(gating("expert_gating_func", [](auto& f, auto key) { f.put_u32(key, 1); }),
         status_code::unsupported, "softmax gating");
  expect(gating("rope.dimension_count", [](auto& f, auto key) { f.put_u32(key, 400); }),
         status_code::corrupt, "of 288 columns");
}

TEST_F(gguf_refusal_test, of_tensors_that_are_not_as_they_should_be) {
  const auto changed = [&](const std::string& name, const auto& change) {
    auto file = mixtral;
    change(file.find(name));
    return file;
  };
  expect(changed("blk.1.attn_v.weight", [](auto& t) { t.name = "elsewhere"; }),
         status_code::not_found, "tensor 'blk.1.attn_v.weight' is missing");
  expect(changed("blk.0.ffn_up_exps.weight", [](auto& t) { t.name = "elsewhere"; }),
         status_code::not_found, "tensor 'blk.0.ffn_up_exps.weight' is missing");
  expect(changed("blk.0.attn_v.weight", [](auto& t) { std::swap(t.shape[0], t.shape[1]); }),
         status_code::corrupt, "'blk.0.attn_v.weight' has shape [256, 128]");
  expect(changed("blk.0.attn_output.weight",
                 [](auto& t) {
                   t = {t.name, {256, 256}, 16, std::string(256 * 66, '\0')};
                 }),
         status_code::unsupported, "'blk.0.attn_output.weight' is stored as IQ2_XXS");
  expect(changed("blk.0.attn_norm.weight",
                 [](auto& t) { t.bytes.replace(0, 4, std::string("\0\0\xc0\x7f", 4)); }),
         status_code::corrupt, "'blk.0.attn_norm.weight' holds NaN");
  expect(changed("blk.1.ffn_down_exps.weight",
                 [](auto& t) { t.bytes.replace(4 * 256 * 256 * 3, 4, "\xff\xff\xff\xff"); }),
         status_code::corrupt, "'blk.1.ffn_down_exps.weight[3]'");
}

} // namespace
} // namespace troupe::model_test
