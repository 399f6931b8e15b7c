// Configurations: what each family means by its fields, and every way in which a file can be wrong.
#include "model/description.hpp"
#include "tests/unit/model/checkpoint.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::model_test {
namespace {

using model::parse_config;

model::description parsed(const std::string& json) {
  auto out = parse_config(json);
  EXPECT_TRUE(out.has_value()) << out.error().why();
  return out.value_or(model::description{});
}

// The smallest sensible mixtral, with more fields in front.
std::string mixtral(const std::string& fields) {
  return R"({"model_type": "mixtral", "vocab_size": 64, "num_hidden_layers": 1)" + fields + "}";
}

struct bad_config {
  std::string json;
  status_code code;
  std::vector<std::string> named; // all must be in the message
};

class bad_configs : public testing::TestWithParam<bad_config> {};

TEST_P(bad_configs, are_refused_with_the_field_named) {
  const auto out = parse_config(GetParam().json, "folder/config.json");
  ASSERT_FALSE(out.has_value());
  EXPECT_EQ(out.error().code(), GetParam().code) << out.error().why();
  EXPECT_NE(out.error().why().find("folder/config.json"), std::string::npos) << out.error().why();
  for (const auto& part : GetParam().named) {
    EXPECT_NE(out.error().why().find(part), std::string::npos)
        << out.error().why() << " lacks " << part;
  }
}

constexpr auto corrupt = status_code::corrupt;
constexpr auto unsupported = status_code::unsupported;

const bad_config bad_files[] = {
    {"", corrupt, {"JSON syntax error", "byte"}},
    {"{", corrupt, {"JSON syntax error"}},
    {R"({"model_type": "llama",})", corrupt, {"JSON syntax error", "byte 24"}},
    {"[1]", corrupt, {"a list", "object"}},
    {"{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}",
     corrupt,
     {"nested 100001 levels"}},
    {R"({"model_type": "llama", "model_type": "llama"})", corrupt, {"'model_type' appears twice"}},
    {"{\"model_type\": \"\xff\"}", corrupt, {"JSON syntax error"}},
    {"{}", corrupt, {"'model_type' is missing"}},
    {R"({"model_type": null})", corrupt, {"'model_type' is missing"}},
    {R"({"model_type": 7})", corrupt, {"'model_type'", "an integer", "a string"}},
    {R"({"model_type": "mixtrel"})",
     unsupported,
     {"'mixtrel'", "did you mean 'mixtral'", "deepseek_v3"}},
    {R"({"model_type": "bert"})", unsupported, {"'bert'", "qwen3_moe"}},
    {mixtral(R"(, "quantization_config": {"quant_method": "fp8"})"),
     unsupported,
     {"quantization_config", "'weight_block_size'", "[128, 128]"}},
    {mixtral(R"(, "quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]})"),
     unsupported,
     {"'weight_block_size'"}},
    {mixtral(R"(, "quantization_config": {"quant_method": "awq"})"),
     unsupported,
     {"quantization_config", "'quant_method'", "\"awq\""}},
    {mixtral(R"(, "quantization_config": {"quant_method": "fp8", "fmt": "e5m2"})"),
     unsupported,
     {"'fmt'", "e5m2"}},
    {mixtral(R"(, "quantization_config": 8)"), corrupt, {"'quantization_config'"}},
    {mixtral(R"(, "hidden_size": -4)"), corrupt, {"'hidden_size'", "-4"}},
    {mixtral(R"(, "hidden_size": 0)"), corrupt, {"'hidden_size'", "0"}},
    {mixtral(R"(, "hidden_size": 99999999999)"), corrupt, {"'hidden_size'", "99999999999"}},
    {mixtral(R"(, "hidden_size": 99999999999999999999999)"), corrupt, {"'hidden_size'"}},
    {mixtral(R"(, "hidden_size": "48")"), corrupt, {"'hidden_size'", "a string", "an integer"}},
    {mixtral(R"(, "hidden_size": 48.5)"), corrupt, {"'hidden_size'", "a number"}},
    {mixtral(R"(, "num_attention_heads": 7)"), corrupt, {"'hidden_size'", "7 heads"}},
    {mixtral(R"(, "num_attention_heads": 8, "num_key_value_heads": 3)"),
     corrupt,
     {"8", "num_key_value_heads 3"}},
    {mixtral(R"(, "head_dim": 15)"), corrupt, {"even head dimension"}},
    {mixtral(R"(, "num_hidden_layers": 100000)"), corrupt, {"'num_hidden_layers' appears twice"}},
    {R"({"model_type": "llama", "num_hidden_layers": 100000})",
     corrupt,
     {"'num_hidden_layers'", "100000"}},
    {mixtral(R"(, "hidden_act": "quick_gelu")"), unsupported, {"'hidden_act'", "quick_gelu"}},
    {mixtral(R"(, "rms_norm_eps": "small")"), corrupt, {"'rms_norm_eps'", "a string"}},
    {mixtral(R"(, "rms_norm_eps": -1)"), corrupt, {"'rms_norm_eps'", "-1"}},
    {mixtral(R"(, "tie_word_embeddings": 1)"), corrupt, {"'tie_word_embeddings'", "an integer"}},
    {mixtral(R"(, "num_experts_per_tok": 9)"),
     corrupt,
     {"'num_experts_per_tok'", "9", "8 experts"}},
    {mixtral(R"(, "num_local_experts": 0)"), corrupt, {"'num_local_experts'"}},
    {mixtral(R"(, "eos_token_id": "end")"), corrupt, {"'eos_token_id'", "a string"}},
    {mixtral(R"(, "sliding_window": 0)"), corrupt, {"'sliding_window'"}},
    {mixtral(R"(, "rope_scaling": 4)"), corrupt, {"'rope_scaling'", "an integer"}},
    {mixtral(R"(, "rope_scaling": {"type": "spiral"})"),
     unsupported,
     {"rope_scaling", "'type'", "spiral"}},
    {mixtral(R"(, "rope_scaling": {"type": "linear"})"),
     corrupt,
     {"rope_scaling", "'factor' is missing"}},
    {mixtral(R"(, "rope_scaling": {"type": "linear", "factor": 0})"), corrupt, {"'factor'", "0"}},
    {mixtral(
         R"(, "rope_parameters": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1})"),
     corrupt,
     {"rope_parameters", "'high_freq_factor'"}},
    {mixtral(
         R"(, "rope_parameters": {"rope_type": "longrope", "short_factor": [1, 2], "long_factor": [1, 2]})"),
     corrupt,
     {"'short_factor' has 2 entries where 64"}},
    {mixtral(R"(, "partial_rotary_factor": 0.5)"), unsupported, {"'partial_rotary_factor'"}},
    {mixtral(R"(, "rope_theta": -1)"), corrupt, {"'rope_theta'"}},
    {R"({"model_type": "deepseek_v3", "n_routed_experts": 256, "n_group": 7})",
     corrupt,
     {"'n_group'", "256"}},
    {R"({"model_type": "deepseek_v3", "n_group": 8, "topk_group": 9})",
     corrupt,
     {"'topk_group'", "9 of 8"}},
    {R"({"model_type": "deepseek_v3", "n_routed_experts": 8, "n_group": 8, "num_experts_per_tok": 2})",
     corrupt,
     {"'n_group'", "two experts"}},
    {R"({"model_type": "deepseek_v3", "num_attention_heads": 8, "num_key_value_heads": 4})",
     unsupported,
     {"num_key_value_heads"}},
    {R"({"model_type": "deepseek_v2"})", corrupt, {"'num_experts_per_tok'"}},
    {R"({"model_type": "deepseek_v2", "topk_method": "best", "num_experts_per_tok": 2})",
     unsupported,
     {"'topk_method'", "best"}},
    {R"({"model_type": "qwen3", "layer_types": ["full_attention"]})",
     corrupt,
     {"'layer_types'", "1 entries for 32"}},
    {R"({"model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["mamba"]})",
     unsupported,
     {"'layer_types'", "mamba"}},
};

INSTANTIATE_TEST_SUITE_P(all, bad_configs, testing::ValuesIn(bad_files));

TEST(config, keeps_the_defaults_of_the_family) {
  const auto v3 = parsed(R"({"model_type": "deepseek_v3"})");
  EXPECT_EQ(v3.vocabulary, 129280u);
  EXPECT_EQ(v3.hidden, 7168u);
  ASSERT_EQ(v3.layers.size(), 61u);
  EXPECT_FALSE(v3.layers[2].is_moe());
  EXPECT_EQ(v3.layers[2].dense.inner, 18432u);
  const auto& layer = v3.layers[3];
  EXPECT_EQ(layer.attention.q_rank, 1536u);
  EXPECT_EQ(layer.attention.key_dim(), 512u + 64u);
  EXPECT_EQ(layer.moe.rule.experts, 256u);
  EXPECT_EQ(layer.moe.rule.groups_kept, 4u);
  EXPECT_FALSE(layer.moe.rule.masked_to_zero);
  EXPECT_EQ(layer.moe.shared.inner, 2048u);
  EXPECT_EQ(v3.rope.style, compute::rope_style::interleaved);
  EXPECT_EQ(v3.eos_ids, std::vector<int32_t>{1});
  EXPECT_EQ(parsed(R"({"model_type": "mixtral"})").rope.theta, 1e6);
  EXPECT_EQ(parsed(R"({"model_type": "qwen3"})").layers[0].attention.head_dim, 128u);
}

TEST(config, tells_null_from_absent) {
  EXPECT_EQ(
      parsed(R"({"model_type": "deepseek_v3", "q_lora_rank": null})").layers[0].attention.q_rank,
      0u);
  EXPECT_EQ(parsed(R"({"model_type": "mistral"})").layers[0].attention.window, 4096u);
  EXPECT_EQ(
      parsed(R"({"model_type": "mistral", "sliding_window": null})").layers[0].attention.window,
      0u);
  EXPECT_EQ(parsed(R"({"model_type": "mixtral", "num_key_value_heads": null})")
                .layers[0]
                .attention.kv_heads,
            32u);
  EXPECT_EQ(parsed(R"({"model_type": "mixtral"})").eos_ids, std::vector<int32_t>{2});
  EXPECT_TRUE(parsed(R"({"model_type": "mixtral", "eos_token_id": null})").eos_ids.empty());
}

TEST(config, scales_scores_by_the_stretched_context) {
  const auto yarn =
      parsed(R"({"model_type": "deepseek_v3", "rope_scaling": {"type": "yarn", "factor": 40,
      "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 1.0}})");
  const double m = 0.1 * std::log(40.0) + 1;
  EXPECT_FLOAT_EQ(yarn.layers[0].attention.scale, static_cast<float>(m * m / std::sqrt(192.0)));
}

TEST(config, places_sliding_windows_as_the_family_does) {
  const auto qwen3 =
      parsed(R"({"model_type": "qwen3", "num_hidden_layers": 4, "use_sliding_window": true,
      "sliding_window": 16, "max_window_layers": 2})");
  EXPECT_EQ(qwen3.layers[1].attention.window, 0u);
  EXPECT_EQ(qwen3.layers[2].attention.window, 16u);
  const auto listed =
      parsed(R"({"model_type": "qwen2", "num_hidden_layers": 2, "use_sliding_window": true,
      "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]})");
  EXPECT_EQ(listed.layers[0].attention.window, 16u);
  EXPECT_EQ(listed.layers[1].attention.window, 0u);
}

TEST(config, leaves_out_token_ids_beyond_the_vocabulary) {
  const auto model = parsed(mixtral(R"(, "eos_token_id": [3, 64, 50279], "bos_token_id": 64)"));
  EXPECT_EQ(model.eos_ids, std::vector<int32_t>{3});
  EXPECT_FALSE(model.bos_id.has_value());
}

TEST(config, reads_either_spelling_of_rope) {
  const auto old_spelling =
      parsed(mixtral(R"(, "rope_theta": 500, "rope_scaling": {"type": "linear", "factor": 3})"));
  const auto new_spelling = parsed(
      mixtral(R"(, "rope_parameters": {"rope_type": "linear", "factor": 3, "rope_theta": 500})"));
  for (const auto* model : {&old_spelling, &new_spelling}) {
    EXPECT_EQ(model->rope.kind, model::rope_kind::linear);
    EXPECT_EQ(model->rope.theta, 500);
    EXPECT_EQ(model->rope.factor, 3);
  }
  const auto both = parsed(mixtral(
      R"(, "rope_parameters": {"rope_theta": 5}, "rope_scaling": {"type": "linear", "factor": 2})"));
  EXPECT_EQ(both.rope.theta, 1e6);
}

} // namespace
} // namespace troupe::model_test
