// The training kernels of one instruction set, split over the threads of a device by rows, columns,
// heads or elements, never along a sum. What costs little next to the products stays with the plain
// kernels, row by row.
#pragma once

#include "compute/cpu/kernel_table.hpp"
#include "compute/cpu/training_table.hpp"
#include "compute/reference/training_kernels.hpp"

#include <functional>
#include <vector>

namespace troupe::compute {

class team_training_kernels final : public reference_training_kernels<float> {
public:
  // All must outlive the kernels.
  team_training_kernels(const kernel_table& table, const training_table& training, kernels& device)
      : table_(table), training_(training), device_(device) {}

  void linear(std::span<const linear_args<float>> parts) override;
  void input_gradient(std::span<const input_gradient_args<float>> parts) override;
  void weight_gradient(std::span<const weight_gradient_args<float>> parts) override;
  void bias_gradient(const bias_gradient_args<float>& args) override;
  void norm(const norm_args<float>& args) override;
  void norm_backward(const norm_backward_args<float>& args) override;
  void gated(const gated_args<float>& args) override;
  void gated_backward(const gated_backward_args<float>& args) override;
  void rotate(const rotation_args<float>& args) override;
  void attention(const training_attention_args<float>& args) override;
  void attention_backward(const training_attention_backward_args<float>& args) override;
  void choose(const choice_args<float>& args) override;
  void choose_backward(const choice_backward_args<float>& args) override;
  void gather_rows(const gather_rows_args<float>& args) override;
  void gather_backward(const gather_backward_args<float>& args) override;
  void combine_rows(const combine_rows_args<float>& args) override;
  void combine_backward(const combine_backward_args<float>& args) override;
  void sum(const sum_args<float>& args) override;
  void cross_entropy(const cross_entropy_args<float>& args) override;
  void distil(const distil_args<float>& args) override;
  void match_rows(const match_rows_args<float>& args) override;
  void anchor(const anchor_args<float>& args) override;
  void add_squares(std::span<const float> x, std::span<float> totals) override;
  void adamw(const adamw_args<float>& args) override;
  double sum_of_squares(std::span<const float> values) override;
  void transpose(const matrix_of<const float>& source, const matrix_of<float>& target) override;

private:
  // A product cut into units of some rows by 64 columns.
  struct cut_product {
    training_product whole; // columns: all of them
    uint32_t columns = 0;
    uint32_t row_chunks = 0;
    uint64_t unit_begin = 0; // among the units of the call
  };
  void add_product(const training_product& whole, uint32_t columns);
  void run_products();
  void run_unit(const cut_product& product, uint64_t unit) const;

  // body(begin, end) over parts of [0, count); `cost` of one, in vector steps.
  void split(uint32_t count, uint64_t cost, const std::function<void(uint32_t, uint32_t)>& body);
  // body(from, to) over parts of a long row of elements.
  void split_elements(size_t count, const std::function<void(size_t, size_t)>& body);
  // Takes indices one after another on every thread: for work of unequal size.
  void take_turns(uint32_t count, const std::function<void(uint32_t)>& body);
  // x becomes its softmax; returns the logarithm of the sum of exponentials.
  float soften(std::span<float> x) const;

  const kernel_table& table_;
  const training_table& training_;
  kernels& device_;
  std::vector<cut_product> products_;
  std::vector<float> factors_;
};

} // namespace troupe::compute
