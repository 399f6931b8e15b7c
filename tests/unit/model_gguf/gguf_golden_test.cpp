// Files that the Python package gguf wrote: its blocks dequantised, its names, a model through its
// converter's tables, and the tokens that sentencepiece makes.
#include "tests/unit/model_gguf/gguf_export.hpp"

#include "compute/cpu_executor.hpp"
#include "model/gguf/block_formats.hpp"
#include "model/gguf/gguf_config.hpp"
#include "model/gguf/gguf_file.hpp"
#include "model/gguf/gguf_tensors.hpp"
#include "model/gguf/gguf_tokenizer.hpp"
#include "model/staged_slice.hpp"
#include "model/tokenizer.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>

namespace troupe::model_test {
namespace {

std::string golden_file(const std::string& name) {
  std::ifstream in(std::filesystem::path(TROUPE_SOURCE_DIR) / "tests/golden/gguf" / name,
                   std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

model::gguf_file parsed(const std::string& bytes) {
  auto file = model::gguf_file::parse("golden.gguf", std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(file.has_value()) << file.error().why();
  return std::move(*file);
}

TEST(gguf_blocks, are_worth_what_the_reference_says) {
  const auto bytes = golden_file("blocks.gguf");
  const auto file = parsed(bytes);
  size_t checked = 0;
  for (const auto& format : model::block_formats()) {
    if (format.decode == nullptr) continue;
    const auto* blocks = file.find_tensor(format.name);
    const auto* wanted = file.find_tensor(std::string(format.name) + ".f32");
    ASSERT_TRUE(blocks != nullptr && wanted != nullptr) << format.name;
    ASSERT_EQ(blocks->blocks, &format);
    EXPECT_EQ(model::values_of(*blocks), model::values_of(*wanted)) << format.name;
    ++checked;
  }
  EXPECT_EQ(checked, 11u);
}

TEST(gguf_blocks, can_be_read_from_any_element_to_any_other) {
  const auto bytes = golden_file("blocks.gguf");
  const auto file = parsed(bytes);
  for (const auto& format : model::block_formats()) {
    if (format.decode == nullptr) continue;
    const auto* blocks = file.find_tensor(format.name);
    const auto whole = model::values_of(*blocks);
    const model::tensor_slice slices[] = {
        {.offset = 0, .rows = 2, .cols = 512, .row_stride = 512},
        {.offset = 517, .rows = 1, .cols = 300, .row_stride = 512},
        {.offset = 3, .rows = 5, .cols = 2, .row_stride = 1, .col_stride = 512},
        {.offset = 1023, .rows = 1, .cols = 1, .row_stride = 1},
    };
    for (const auto& part : slices) {
      const model::staged_slice staged(*blocks, part);
      const auto& source = staged.source();
      ASSERT_EQ(source.type, compute::dtype::f32);
      for (size_t r = 0; r < part.rows; ++r) {
        for (size_t c = 0; c < part.cols; ++c) {
          const auto* at = static_cast<const float*>(source.data) + r * source.row_stride +
                           c * source.col_stride;
          ASSERT_EQ(*at, whole[part.offset + r * part.row_stride + c * part.col_stride])
              << format.name << " " << r << " " << c;
        }
      }
    }
  }
}

TEST(gguf_names, are_those_of_the_reference) {
  const auto table = nlohmann::json::parse(golden_file("names.json"));
  EXPECT_EQ(table.size(), 8u);
  for (const auto& [architecture, names] : table.items()) {
    for (const auto& [ours, theirs] : names.items())
      EXPECT_EQ(model::gguf_tensor_name(ours), theirs.get<std::string>()) << architecture;
  }
}

// And back: a file with just these tensors has an index with just our names.
TEST(gguf_names, lead_back_to_ours) {
  const auto table = nlohmann::json::parse(golden_file("names.json"));
  for (const auto& [architecture, names] : table.items()) {
    gguf_writer file;
    file.put_word("general.architecture", architecture);
    for (const auto& [key, value] :
         {std::pair("block_count", 4), {"expert_count", 3}, {"attention.head_count", 2}})
      file.put_u32(architecture + "." + key, static_cast<uint64_t>(value));
    for (const auto& [ours, theirs] : names.items()) {
      const bool stacked = ours.find(".experts.") != std::string::npos;
      const auto shape = stacked ? std::vector<uint64_t>{3, 4, 8} : std::vector<uint64_t>{4, 8};
      file.tensors.push_back(
          {theirs.get<std::string>(), shape, 0, std::string(stacked ? 384 : 128, '\0')});
    }
    const auto bytes = file.bytes();
    const auto index = model::gguf_tensor_index(parsed(bytes));
    ASSERT_TRUE(index.has_value()) << index.error().why();
    for (const auto& [ours, theirs] : names.items())
      EXPECT_NE(index->find(ours), nullptr) << architecture << ": " << ours;
  }
}

TEST(gguf_names, of_early_files_have_a_tensor_for_each_expert) {
  gguf_writer file;
  file.put_word("general.architecture", "llama");
  file.put_u32("llama.block_count", 1);
  file.put_u32("llama.attention.head_count", 2);
  file.tensors.push_back({"blk.0.ffn_gate.5.weight", {1, 1}, 0, std::string(4, '\0')});
  file.tensors.push_back({"blk.0.ffn_down.0.weight", {1, 1}, 0, std::string(4, '\0')});
  const auto bytes = file.bytes();
  const auto index = model::gguf_tensor_index(parsed(bytes)).value();
  EXPECT_NE(index.find("model.layers.0.block_sparse_moe.experts.5.w1.weight"), nullptr);
  EXPECT_NE(index.find("model.layers.0.block_sparse_moe.experts.0.w2.weight"), nullptr);
}

TEST(gguf_model, written_by_the_reference_is_the_checkpoint_in_f16) {
  const auto executor = *compute::make_cpu_executor({.threads = 1});
  const auto written = load_gguf(golden_file("llama.gguf"), *executor);
  ASSERT_TRUE(written.has_value()) << written.error().why();
  EXPECT_EQ((*written)->survey.unused, std::vector<std::string>());
  const auto ours = load_gguf(
      export_gguf(checkpoint::read(golden_folder("llama_base")), {.encode = as_f16}).bytes(),
      *executor);
  ASSERT_TRUE(ours.has_value()) << ours.error().why();
  std::vector<std::vector<float>> logits;
  for (const auto* each : {&**written, &**ours}) {
    auto runner = model::decoder::make(each->description, each->weights, *executor,
                                       {.positions_max = 64, .sequences_max = 1, .rows_max = 64});
    ASSERT_TRUE(runner.has_value()) << runner.error().why();
    logits.push_back(runner->logits_of(std::vector<int32_t>{5, 9, 100, 7, 42, 11, 3, 190}).value());
  }
  EXPECT_EQ(logits[0], logits[1]);
  EXPECT_EQ((*written)->description.layers[0].attention.kv_heads,
            (*ours)->description.layers[0].attention.kv_heads);
}

TEST(gguf_tokenizer, makes_the_tokens_of_sentencepiece) {
  const auto bytes = golden_file("llama.gguf");
  const auto file = parsed(bytes);
  const auto tokenizer = model::tokenizer::parse(
      model::gguf_tokenizer_json(file).value(), "tokenizer.json",
      model::gguf_tokenizer_config_json(file).value(), "tokenizer_config.json");
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().why();
  EXPECT_EQ(tokenizer->bos_token(), "<s>");
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->unk_token(), "<unk>");
  const auto cases = nlohmann::json::parse(golden_file("sentences.json"));
  ASSERT_GE(cases.size(), 250u);
  for (const auto& [text, wanted] :
       cases.get<std::vector<std::pair<std::string, std::vector<int32_t>>>>()) {
    EXPECT_EQ(tokenizer->encode(text, {.add_special_tokens = false}).value(), wanted) << text;
    EXPECT_EQ(tokenizer->decode(wanted, true), text);
    auto framed = wanted;
    framed.insert(framed.begin(), 1);
    EXPECT_EQ(tokenizer->encode(text).value(), framed);
  }
}

} // namespace
} // namespace troupe::model_test
