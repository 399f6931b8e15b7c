// Turns checkpoints of tests into GGUF files as llama.cpp's converter does: its keys, its names,
// its order of rows, experts of a layer in one tensor.
#pragma once

#include "tests/support/gguf_writer.hpp"
#include "tests/unit/model/checkpoint.hpp"

#include <functional>
#include <optional>

namespace troupe::model_test {

using test_support::gguf_writer;

// Bytes and type number of a matrix's values; `cols` is the length of a row.
struct encoded {
  uint32_t type = 0;
  std::string bytes;
};
using matrix_encoder = std::function<encoded(const std::vector<float>& values, uint64_t cols)>;

encoded as_f32(const std::vector<float>& values, uint64_t cols = 0);
encoded as_f16(const std::vector<float>& values, uint64_t cols = 0);
encoded as_bf16(const std::vector<float>& values, uint64_t cols = 0);
encoded as_q8_0(const std::vector<float>& values, uint64_t cols = 0);
encoded as_q4_0(const std::vector<float>& values, uint64_t cols = 0);
// Blocks of any format with random content of about the size of weights.
matrix_encoder as_random_blocks(std::string_view format);

// Why the format has no words for a model; empty when it has.
std::string beyond_gguf(const model::description& model);

struct export_options {
  matrix_encoder encode = [](const std::vector<float>& v, uint64_t cols) {
    return as_f32(v, cols);
  };
  bool split_kv_b = false; // latent attention as files since 2025 have it
};

// The whole model of a checkpoint, without a tokenizer. Fails the test on tensors it does not know.
gguf_writer export_gguf(const checkpoint& files, const export_options& options = {});

// A model loaded from the bytes of a GGUF file, which it keeps.
struct loaded_gguf {
  std::string bytes;
  model::description description;
  model::weight_survey survey;
  model::model_weights weights;
};
result<std::unique_ptr<loaded_gguf>> load_gguf(std::string bytes, compute::executor& executor,
                                               model::load_options options = {});

} // namespace troupe::model_test
