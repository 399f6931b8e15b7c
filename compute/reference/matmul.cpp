// Reference products: one sum per output element, inputs (or blocks of inputs) in ascending order.
#include "compute/checks.hpp"
#include "compute/quantise.hpp"
#include "compute/reference/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace troupe::compute {
namespace {

float float_dot(const float* x, const std::vector<float>& w) {
  float sum = 0;
  for (size_t k = 0; k < w.size(); ++k) sum = std::fma(x[k], w[k], sum);
  return sum;
}

// One output column of a block format, ready for many rows.
struct block_column {
  std::vector<int> values;
  std::vector<float> scales;
};

block_column read_column(const weight_matrix& w, uint32_t output) {
  block_column made;
  for (uint32_t k = 0; k < w.inputs(); ++k) made.values.push_back(quant_at(w, output, k));
  for (uint32_t b = 0; b < w.layout().blocks(); ++b) made.scales.push_back(scale_at(w, output, b));
  return made;
}

std::vector<activation_block> quantise_row(const float* x, uint32_t count) {
  std::vector<activation_block> made;
  for (uint32_t k = 0; k < count; k += quant_block) {
    made.push_back(quantise_activations(x + k, std::min(quant_block, count - k)));
  }
  return made;
}

float block_dot(const std::vector<activation_block>& x, const block_column& w) {
  float sum = 0;
  for (size_t b = 0; b < x.size(); ++b) {
    int dot = 0;
    const size_t count = std::min<size_t>(quant_block, w.values.size() - b * quant_block);
    for (size_t i = 0; i < count; ++i) dot += x[b].values[i] * w.values[b * quant_block + i];
    sum = std::fma(static_cast<float>(dot), x[b].scale * w.scales[b], sum);
  }
  return sum;
}

void store(const matmul_args& args, uint32_t r, uint32_t n, float sum) {
  if (!args.bias.empty()) sum = sum + args.bias[n];
  if (args.residual.data != nullptr) sum = sum + args.residual.row(r)[n];
  args.y.row(r)[n] = sum;
}

void float_product(const matmul_args& args) {
  std::vector<float> column(args.w->inputs());
  for (uint32_t n = 0; n < args.y.cols; ++n) {
    unpack_row(*args.w, n, column.data());
    for (uint32_t r = 0; r < args.y.rows; ++r) store(args, r, n, float_dot(args.x.row(r), column));
  }
}

void block_product(const matmul_args& args) {
  std::vector<std::vector<activation_block>> rows;
  for (uint32_t r = 0; r < args.x.rows; ++r) {
    rows.push_back(quantise_row(args.x.row(r), args.x.cols));
  }
  for (uint32_t n = 0; n < args.y.cols; ++n) {
    const block_column column = read_column(*args.w, n);
    for (uint32_t r = 0; r < args.y.rows; ++r) store(args, r, n, block_dot(rows[r], column));
  }
}

} // namespace

void reference_kernels::matmul(const matmul_args& args) {
  check_args(args);
  if (args.y.rows == 0) return;
  if (meter_ != nullptr)
    meter_->add_product(args.w->bytes(), uint64_t{2} * args.y.rows * args.y.cols * args.x.cols);
  if (args.w->layout().quantised()) {
    block_product(args);
  } else {
    float_product(args);
  }
}

void reference_kernels::grouped_matmul(const grouped_matmul_args& args) {
  for (const matmul_args& part : args.parts) matmul(part);
}

void reference_kernels::per_head_matmul(const per_head_matmul_args& args) {
  check_args(args);
  for (uint32_t h = 0; h < args.w.size(); ++h) matmul(head_product(args, h));
}

} // namespace troupe::compute
