// Loading weights: what is missing, misshapen, damaged or superfluous is named; parts and formats.
#include "tests/unit/model/checkpoint.hpp"

#include "base/text.hpp"
#include "compute/cpu_executor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace troupe::model_test {
namespace {

const std::string weights_file = "model.safetensors";

class weights : public testing::Test {
protected:
  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  checkpoint files = checkpoint::read(golden_folder("deepseek_v3_base"));

  void expect_failure(status_code code, const std::vector<std::string>& named) {
    const auto loaded = load(files, *executor);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code(), code) << loaded.error().why();
    for (const auto& part : named) {
      EXPECT_NE(loaded.error().why().find(part), std::string::npos)
          << loaded.error().why() << " lacks " << part;
    }
  }
};

TEST_F(weights, name_a_missing_tensor) {
  for (const char* tensor :
       {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
        "model.layers.1.mlp.experts.7.up_proj.weight", "model.layers.1.mlp.gate.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias",
        "model.layers.0.self_attn.kv_b_proj.weight"}) {
    files = checkpoint::read(golden_folder("deepseek_v3_base"));
    files.replace(weights_file, '"' + std::string(tensor) + '"', "\"gone\"");
    expect_failure(status_code::not_found, {text("'", tensor, "' is missing")});
  }
}

TEST_F(weights, name_a_wrong_shape) {
  files.replace("config.json", "\"hidden_size\": 48", "\"hidden_size\": 40");
  expect_failure(status_code::corrupt,
                 {weights_file, "'model.embed_tokens.weight'", "[192, 48]", "[192, 40]"});
  files = checkpoint::read(golden_folder("deepseek_v3_base"));
  files.replace("config.json", "\"kv_lora_rank\": 16", "\"kv_lora_rank\": 12");
  expect_failure(status_code::corrupt, {"kv_a_proj_with_mqa", "[24, 48]", "[20, 48]"});
}

TEST_F(weights, name_a_type_they_cannot_have) {
  const std::string tensor = "\"model.norm.weight\":{\"dtype\":\"";
  files.replace(weights_file, tensor + "F32", tensor + "I32");
  expect_failure(status_code::unsupported, {weights_file, "'model.norm.weight'", "I32"});
}

TEST_F(weights, name_what_is_not_finite) {
  files.set_element("model.layers.2.input_layernorm.weight", 5, std::nanf(""));
  expect_failure(status_code::corrupt,
                 {weights_file, "'model.layers.2.input_layernorm.weight'", "NaN", "index 5"});
  files = checkpoint::read(golden_folder("deepseek_v3_base"));
  files.set_element("model.layers.1.mlp.experts.3.down_proj.weight", 2 * 20 + 7,
                    std::numeric_limits<float>::infinity());
  expect_failure(status_code::corrupt,
                 {weights_file, "'model.layers.1.mlp.experts.3.down_proj.weight'", "2", "7"});
  files = checkpoint::read(golden_folder("deepseek_v3_base"));
  files.set_element("model.layers.0.self_attn.kv_b_proj.weight", 30, std::nanf(""));
  expect_failure(status_code::corrupt, {"'model.layers.0.self_attn.kv_b_proj.weight'"});
}

TEST_F(weights, list_tensors_that_nobody_asks_for) {
  const std::string header = files.header(weights_file);
  files.set_header(weights_file,
                   "{\"mystery\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
                   "\"model.layers.0.self_attn.rotary_emb.inv_freq\":{\"dtype\":\"F32\",\"shape\":["
                   "0],\"data_offsets\":[0,0]},"
                   "\"model.layers.3.eh_proj.weight\":{\"dtype\":\"F32\",\"shape\":[0],\"data_"
                   "offsets\":[0,0]}," +
                       header.substr(1));
  const auto loaded = load(files, *executor);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().why();
  EXPECT_EQ((*loaded)->survey.unused, std::vector<std::string>{"mystery"});
}

TEST_F(weights, report_progress_up_to_all_bytes) {
  uint64_t last = 0, total = 0, calls = 0;
  const auto loaded =
      load(files, *executor, {.format = {}, .progress = [&](uint64_t done, uint64_t all) {
                                EXPECT_GE(done, last);
                                last = done;
                                total = all;
                                ++calls;
                              }});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, (*loaded)->survey.bytes_total);
  EXPECT_GT(calls, 50u);
}

TEST_F(weights, load_part_by_part_as_all_at_once) {
  const auto whole = load(files, *executor).value();
  const auto index = index_of(files).value();
  model::weight_loader loader(whole->description, index, *executor, {});
  const auto expert = loader.expert(1, 6);
  ASSERT_TRUE(expert.has_value());
  const auto& same = whole->weights.layers[1].experts[6];
  std::vector<float> one(same.up.inputs()), other(same.up.inputs());
  compute::unpack_row(expert->up, 3, one.data());
  compute::unpack_row(same.up, 3, other.data());
  EXPECT_EQ(one, other);
  EXPECT_EQ(loader.attention(2)->post_norm, whole->weights.layers[2].attention.post_norm);
  EXPECT_EQ(loader.router(1)->correction, whole->weights.layers[1].router.correction);
  EXPECT_EQ(loader.dense(0)->down.outputs(), 48u);
  EXPECT_EQ(loader.head(true)->norm, whole->weights.head.norm);
}

TEST_F(weights, keep_the_stored_format_and_narrow_only_the_body) {
  using compute::weight_format;
  files = checkpoint::read(golden_folder("deepseek_v3_yarn")); // bf16
  const auto stored = load(files, *executor).value();
  EXPECT_EQ(stored->weights.layers[1].experts[0].up.format(), weight_format::bf16);
  EXPECT_EQ(stored->weights.layers[1].router.gate.format(), weight_format::f32);
  const auto int4 = load(files, *executor, {.format = weight_format::int4, .progress = {}}).value();
  EXPECT_EQ(int4->weights.layers[1].experts[0].up.format(), weight_format::int4);
  EXPECT_EQ(int4->weights.layers[1].attention.output.format(), weight_format::int4);
  EXPECT_EQ(int4->weights.layers[1].attention.absorb[0].format(), weight_format::int8);
  EXPECT_EQ(int4->weights.embedding.format(), weight_format::int8);
  EXPECT_EQ(int4->weights.layers[1].router.gate.format(), weight_format::f32);
}

TEST_F(weights, share_the_table_of_a_tied_head) {
  files = checkpoint::read(golden_folder("deepseek_v3_half_split"));
  const auto loaded = load(files, *executor).value();
  EXPECT_TRUE(loaded->weights.head.matrix.empty());
  EXPECT_EQ(&loaded->weights.head_matrix(), &loaded->weights.embedding);
  const auto index = index_of(files).value();
  EXPECT_EQ(
      model::weight_loader(loaded->description, index, *executor, {}).head(false)->matrix.outputs(),
      192u);
}

} // namespace
} // namespace troupe::model_test
