// Weights of one byte with a scale for every square of them.
#include "model/fp8.hpp"

#include "base/random.hpp"
#include "compute/cpu_executor.hpp"
#include "model/staged_slice.hpp"
#include "model/synthetic_checkpoint.hpp"
#include "tests/unit/model/checkpoint.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace troupe::model_test {
namespace {

using compute::weight_format;
using tensor_map = std::map<std::string, model::stored_tensor, std::less<>>;

TEST(fp8_test, bytes_are_worth_what_the_format_says) {
  EXPECT_EQ(model::e4m3_to_f32(0x00), 0.0f);
  EXPECT_TRUE(std::signbit(model::e4m3_to_f32(0x80)));
  EXPECT_EQ(model::e4m3_to_f32(0x01), 0.001953125f); // least subnormal, 2^-9
  EXPECT_EQ(model::e4m3_to_f32(0x07), 0.013671875f);
  EXPECT_EQ(model::e4m3_to_f32(0x08), 0.015625f); // least normal, 2^-6
  EXPECT_EQ(model::e4m3_to_f32(0x38), 1.0f);
  EXPECT_EQ(model::e4m3_to_f32(0xbc), -1.5f);
  EXPECT_EQ(model::e4m3_to_f32(0x7e), 448.0f);
  EXPECT_TRUE(std::isnan(model::e4m3_to_f32(0x7f)) && std::isnan(model::e4m3_to_f32(0xff)));
  for (int bits = 1; bits < 0x7f; ++bits) {
    EXPECT_GT(model::e4m3_to_f32(uint8_t(bits)), model::e4m3_to_f32(uint8_t(bits - 1)));
    EXPECT_EQ(model::e4m3_to_f32(uint8_t(bits | 0x80)), -model::e4m3_to_f32(uint8_t(bits)));
  }
}

// The nearest byte.
uint8_t to_e4m3(float value) {
  static const std::vector<float> magnitudes = [] {
    std::vector<float> out;
    for (int bits = 0; bits < 0x7f; ++bits) out.push_back(model::e4m3_to_f32(uint8_t(bits)));
    return out;
  }();
  const float wanted = std::fabs(value);
  auto at = std::lower_bound(magnitudes.begin(), magnitudes.end() - 1, wanted);
  if (at != magnitudes.begin() && wanted - at[-1] < *at - wanted) --at;
  const auto bits = static_cast<uint8_t>(at - magnitudes.begin());
  return static_cast<uint8_t>(bits | (std::signbit(value) ? 0x80 : 0));
}

struct written {
  std::string type;
  std::vector<uint64_t> shape;
  std::string bytes;
};

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string safetensors(const std::map<std::string, written>& tensors) {
  std::vector<model::tensor_to_store> stored;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    stored.push_back({name, tensor.type, tensor.shape, tensor.bytes.size()});
    data += tensor.bytes;
  }
  return model::safetensors_header(stored) + data;
}

// A matrix, or several, with a scale for every 128 x 128: the bytes, and what they are worth.
struct squares {
  std::vector<uint8_t> bytes;
  std::vector<float> scales, values;
};

squares quantise(const std::vector<float>& from, const std::vector<uint64_t>& shape) {
  const size_t cols = shape[shape.size() - 1], rows = shape[shape.size() - 2];
  const size_t across = (cols + 127) / 128, down = (rows + 127) / 128;
  squares out;
  out.scales.assign(from.size() / (rows * cols) * down * across, 0);
  const auto scale_of = [&](size_t i) -> float& {
    const size_t matrix = i / (rows * cols), row = i / cols % rows, col = i % cols;
    return out.scales[(matrix * down + row / 128) * across + col / 128];
  };
  for (size_t i = 0; i < from.size(); ++i)
    scale_of(i) = std::max(scale_of(i), std::fabs(from[i]) / 448);
  for (size_t i = 0; i < from.size(); ++i) {
    const float scale = scale_of(i);
    out.bytes.push_back(to_e4m3(scale == 0 ? 0 : from[i] / scale));
    out.values.push_back(model::e4m3_to_f32(out.bytes.back()) * scale);
  }
  return out;
}

std::vector<float> random_values(size_t count) {
  const random_key key{5, random_subsystem::workload, 1};
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = random_unit(key, i) - 0.5f;
  return out;
}

tensor_map one_tensor(const squares& from, const std::vector<uint64_t>& shape,
                      const std::vector<uint64_t>& scale_shape) {
  tensor_map out;
  out["w"] = {.name = "w",
              .type_name = "F8_E4M3",
              .type = std::nullopt,
              .shape = shape,
              .data = std::as_bytes(std::span(from.bytes)),
              .file = "f"};
  out["w_scale_inv"] = {.name = "w_scale_inv",
                        .type_name = "F32",
                        .type = compute::dtype::f32,
                        .shape = scale_shape,
                        .data = std::as_bytes(std::span(from.scales)),
                        .file = "f"};
  return out;
}

TEST(fp8_test, every_element_finds_the_scale_of_its_square) {
  for (const auto& [shape, scale_shape] :
       std::vector<std::pair<std::vector<uint64_t>, std::vector<uint64_t>>>{
           {{300, 200}, {3, 2}},
           {{128, 128}, {1, 1}},
           {{1, 129}, {1, 2}},
           {{3, 130, 140}, {3, 2, 2}}}) {
    size_t count = 1;
    for (const auto n : shape) count *= n;
    const auto from = quantise(random_values(count), shape);
    auto tensors = one_tensor(from, shape, scale_shape);
    model::attach_fp8_scales(tensors);
    ASSERT_TRUE(tensors["w"].is_readable());
    EXPECT_EQ(model::values_of(tensors["w"]), from.values);
    // A part that begins in the middle of a square.
    const auto cols = static_cast<uint32_t>(shape.back());
    const uint32_t rows = count / cols > 130 ? 70 : 1;
    const size_t offset = count / cols > 130 ? size_t{60} * cols : 0;
    const model::staged_slice staged(
        tensors["w"], {.offset = offset, .rows = rows, .cols = cols, .row_stride = cols});
    const auto* values = static_cast<const float*>(staged.source().data);
    for (size_t i = 0; i < size_t{rows} * cols; ++i)
      ASSERT_EQ(values[i], from.values[offset + i]) << i;
  }
}

TEST(fp8_test, bytes_without_fitting_scales_cannot_be_read) {
  const auto from = quantise(random_values(300 * 200), {300, 200});
  for (const auto& shape : std::vector<std::vector<uint64_t>>{{2, 3}, {6}, {3, 2, 1}}) {
    auto tensors = one_tensor(from, {300, 200}, shape);
    model::attach_fp8_scales(tensors);
    EXPECT_FALSE(tensors["w"].is_readable());
    EXPECT_NE(tensors["w"].type_name.find("'w_scale_inv'"), std::string::npos);
  }
}

// A checkpoint whose projections are bytes with scales, and one with what these are worth.
std::pair<checkpoint, checkpoint> twins(std::string_view config, const std::string& worth_type) {
  const auto plan = model::synthetic_checkpoint::plan({"small", "", config}, 3, UINT64_MAX).value();
  std::string bytes;
  for (const auto& shard : plan.shards())
    EXPECT_TRUE(plan.write(shard,
                           [&](std::span<const std::byte> part) {
                             bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
                             return status();
                           })
                    .ok());
  const auto file =
      model::safetensors_file::parse("model.safetensors", std::as_bytes(std::span(bytes))).value();
  std::map<std::string, written> narrow, wide;
  for (const auto& tensor : file.tensors()) {
    if (!tensor.name.ends_with("_proj.weight")) {
      const std::string own(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
      narrow[tensor.name] = wide[tensor.name] = {tensor.type_name, tensor.shape, own};
      continue;
    }
    const auto made = quantise(model::values_of(tensor), tensor.shape);
    narrow[tensor.name] = {"F8_E4M3", tensor.shape, bytes_of(made.bytes)};
    narrow[tensor.name + "_scale_inv"] = {
        "F32",
        {(tensor.shape[0] + 127) / 128, (tensor.shape[1] + 127) / 128},
        bytes_of(made.scales)};
    std::vector<uint16_t> halves;
    for (const float value : made.values) halves.push_back(compute::f32_to_bf16(value));
    wide[tensor.name] = {worth_type, tensor.shape,
                         worth_type == "F32" ? bytes_of(made.values) : bytes_of(halves)};
  }
  auto json = nlohmann::json::parse(config);
  std::pair<checkpoint, checkpoint> out;
  out.second.files = {{"config.json", json.dump()}, {"model.safetensors", safetensors(wide)}};
  json["quantization_config"] = {{"quant_method", "fp8"},
                                 {"fmt", "e4m3"},
                                 {"activation_scheme", "dynamic"},
                                 {"weight_block_size", {128, 128}}};
  out.first.files = {{"config.json", json.dump()}, {"model.safetensors", safetensors(narrow)}};
  return out;
}

// Latent attention, shared and routed experts, a dense layer; no width is a multiple of 128.
constexpr std::string_view small_deepseek = R"({"model_type": "deepseek_v3", "vocab_size": 96,
  "hidden_size": 192, "intermediate_size": 160, "moe_intermediate_size": 144,
  "num_hidden_layers": 2, "first_k_dense_replace": 1, "num_attention_heads": 2,
  "num_key_value_heads": 2, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
  "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.5, "norm_topk_prob": true,
  "kv_lora_rank": 160, "q_lora_rank": 136, "qk_nope_head_dim": 96, "qk_rope_head_dim": 32,
  "v_head_dim": 80, "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
  "tie_word_embeddings": false})";

TEST(fp8_test, a_model_computes_with_what_its_bytes_are_worth) {
  const auto executor = *compute::make_cpu_executor({.threads = 1});
  for (const std::string type : {"F32", "BF16"}) {
    std::vector<std::vector<float>> logits;
    const auto [narrow, wide] = twins(small_deepseek, type);
    for (const auto* files : {&narrow, &wide}) {
      model::load_options how;
      if (type == "F32") how.format = weight_format::f32; // else as stored
      const auto loaded = load(*files, *executor, how);
      ASSERT_TRUE(loaded.has_value()) << loaded.error().why();
      EXPECT_EQ((*loaded)->survey.unused, std::vector<std::string>());
      auto runner = model::decoder::make((*loaded)->description, (*loaded)->weights, *executor,
                                         {.positions_max = 64, .sequences_max = 1, .rows_max = 64});
      ASSERT_TRUE(runner.has_value()) << runner.error().why();
      logits.push_back(runner->logits_of(std::vector<int32_t>{5, 17, 90, 3, 44, 8}).value());
    }
    EXPECT_EQ(logits[0], logits[1]) << type;
  }
}

TEST(fp8_test, a_byte_that_is_no_number_is_refused_by_name) {
  const auto executor = *compute::make_cpu_executor({.threads = 1});
  auto files = twins(small_deepseek, "F32").first;
  auto index = index_of(files).value();
  const std::string name = "model.layers.1.mlp.experts.2.up_proj.weight";
  const auto& data = index.find(name)->data;
  auto& bytes = files.files["model.safetensors"];
  bytes[static_cast<size_t>(data.data() - reinterpret_cast<const std::byte*>(bytes.data())) + 77] =
      0x7f;
  const auto loaded = load(files, *executor);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().why().find(name), std::string::npos) << loaded.error().why();
  EXPECT_NE(loaded.error().why().find("NaN"), std::string::npos) << loaded.error().why();
}

} // namespace
} // namespace troupe::model_test
