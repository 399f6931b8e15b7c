// The plain training kernels, one number after the other: the specification of what training
// computes (docs/numerics.md), for f32 and for the double of central differences.
#pragma once

#include "compute/training_kernels.hpp"

namespace troupe::compute {

template <class T>
class reference_training_kernels : public training_kernels<T> {
public:
  void linear(std::span<const linear_args<T>> parts) override;
  void input_gradient(std::span<const input_gradient_args<T>> parts) override;
  void weight_gradient(std::span<const weight_gradient_args<T>> parts) override;
  void bias_gradient(const bias_gradient_args<T>& args) override;
  void norm(const norm_args<T>& args) override;
  void norm_backward(const norm_backward_args<T>& args) override;
  void gated(const gated_args<T>& args) override;
  void gated_backward(const gated_backward_args<T>& args) override;
  void rotate(const rotation_args<T>& args) override;
  void attention(const training_attention_args<T>& args) override;
  void attention_backward(const training_attention_backward_args<T>& args) override;
  void choose(const choice_args<T>& args) override;
  void choose_backward(const choice_backward_args<T>& args) override;
  void gather_rows(const gather_rows_args<T>& args) override;
  void gather_backward(const gather_backward_args<T>& args) override;
  void combine_rows(const combine_rows_args<T>& args) override;
  void combine_backward(const combine_backward_args<T>& args) override;
  void clamp_rows(const clamp_rows_args<T>& args) override;
  void sum(const sum_args<T>& args) override;
  void gate_rows(const gate_rows_args<T>& args) override;
  void gate_rows_backward(const gate_rows_backward_args<T>& args) override;
  void embed_rows(const embed_rows_args<T>& args) override;
  void embed_backward(const embed_backward_args<T>& args) override;
  void cross_entropy(const cross_entropy_args<T>& args) override;
  void distil(const distil_args<T>& args) override;
  void match_rows(const match_rows_args<T>& args) override;
  void anchor(const anchor_args<T>& args) override;
  void add_squares(std::span<const T> x, std::span<T> totals) override;
  void adamw(const adamw_args<T>& args) override;
  double sum_of_squares(std::span<const T> values) override;
  void transpose(const matrix_of<const T>& source, const matrix_of<T>& target) override;
};

extern template class reference_training_kernels<float>;
extern template class reference_training_kernels<double>;

} // namespace troupe::compute
