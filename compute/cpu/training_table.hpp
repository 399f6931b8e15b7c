// The training kernels of one instruction set as functions on plain pointers, like
// compute/cpu/kernel_table.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::compute {

// y[i, j] = start + sum over t ascending of a(i, t) * b(t, j), with fma; then bias, then residual.
// Start is what y holds with `add`, else 0. Element (i, t) of a lies at i * a_row + t * a_step, row
// t of b at t * b_step: with the two strides of a this is every product of training.
struct training_product {
  const float* a;
  size_t a_row;
  size_t a_step;
  const float* b;
  size_t b_step;
  uint32_t rows;
  uint32_t steps;
  uint32_t columns; // at most 64
  float* y;
  size_t y_stride;
  bool add;
  const float* bias;     // or null
  const float* residual; // or null
  size_t residual_stride;
};

// One group of one row: dx from the factor of forward.
struct norm_row_backward {
  const float* x;
  const float* gain;
  const float* dy;
  float* dx;
  float factor;
  uint32_t count;
  bool add;
};

struct adamw_run {
  float* values;
  const float* gradients;
  float* first;
  float* second;
  size_t count;
  float gradient_factor, beta1, beta2, eps, decay, step_size, second_scale;
};

struct anchor_run {
  const float* values;
  const float* anchor;
  const float* importance;
  float strength;
  float* gradients;
  size_t count;
};

struct training_table {
  void (*product)(const training_product& product);
  // x[i] *= scale for i below count; the largest of [begin, end).
  float (*scale_scores)(float* x, float scale, uint32_t begin, uint32_t end, uint32_t count);
  // x[i] = exp(x[i] - max) inside of [begin, end), 0 elsewhere below count; the sum over lanes.
  float (*exponentials)(float* x, float max, uint32_t begin, uint32_t end, uint32_t count);
  void (*divide)(float* x, float by, uint32_t count);
  // dp[i] = (p[i] * (dp[i] - drift)) * scale.
  void (*score_slopes)(const float* p, float* dp, float drift, float scale, uint32_t count);
  // total = fma(total, old_factor, next * new_factor).
  void (*merge)(float* total, float old_factor, const float* next, float new_factor,
                uint32_t count);
  float (*lane_dot)(const float* a, const float* b, uint32_t count);
  float (*norm_factor)(const float* x, uint32_t count, float eps);
  void (*norm_backward)(const norm_row_backward& row);
  // total[i] = fma(dy[i], x[i] * factor, total[i]).
  void (*gain_slopes)(const float* dy, const float* x, float factor, float* total, uint32_t count);
  void (*silu_backward)(const float* gate, const float* up, const float* dy, float* dgate,
                        float* dup, uint32_t count);
  void (*add)(const float* x, float* total, uint32_t count);
  // y = (a + b) * factor; b may be null.
  void (*sum)(const float* a, const float* b, float factor, float* y, uint32_t count);
  // x = e / sum * pull * weight, apart from the target.
  void (*loss_slopes)(float* x, float sum, float pull, float weight, uint32_t count);
  // y = (a - b) * factor; y may be a or b.
  void (*difference)(const float* a, const float* b, float factor, float* y, uint32_t count);
  void (*anchor)(const anchor_run& run);
  // totals = fma(x, x, totals).
  void (*add_squares)(const float* x, float* totals, size_t count);
  void (*adamw)(const adamw_run& run);
  double (*sum_of_squares)(const float* x, size_t count);
};

const training_table& avx2_training();
const training_table& avx512_training();

} // namespace troupe::compute
