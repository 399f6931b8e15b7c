// Rows of the plain kernels against forgetting (docs/numerics.md, "Not forgetting").
#pragma once

#include "compute/reference/scalar_math.hpp"
#include "compute/training_kernels.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace troupe::compute::reference {

// x becomes its softmax; returns the logarithm of the sum of exponentials.
template <class T>
T soften(std::vector<T>& x) {
  T max = -std::numeric_limits<T>::infinity();
  for (const T value : x) max = value > max ? value : max;
  lane_sum<T> lanes;
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = scalar_math<T>::exp(x[i] - max);
    lanes.add(i, x[i]);
  }
  const T sum = lanes.total();
  for (T& value : x) value = value / sum;
  return max + scalar_math<T>::log(sum);
}

template <class T>
void distil_row(const distil_args<T>& args, uint32_t row) {
  const uint32_t count = args.student.cols;
  const T* student = args.student.row(row);
  T* teacher = args.teacher.row(row);
  args.losses[row] = 0;
  if (args.targets[row] < 0) {
    std::fill(teacher, teacher + count, T(0));
    return;
  }
  const T scale = T(1) / args.temperature;
  std::vector<T> p(count), q(count), apart(count);
  for (uint32_t i = 0; i < count; ++i) {
    p[i] = student[i] * scale;
    q[i] = teacher[i] * scale;
    apart[i] = q[i] - p[i];
  }
  const T log_p = soften(p), log_q = soften(q);
  lane_sum<T> lanes;
  for (uint32_t i = 0; i < count; ++i) lanes.add_product(i, q[i], apart[i]);
  const T divergence = (lanes.total() - log_q) + log_p;
  args.losses[row] = args.temperature * args.temperature * divergence;
  const T pull = args.weight * args.temperature;
  for (uint32_t i = 0; i < count; ++i) teacher[i] = (p[i] - q[i]) * pull;
}

template <class T>
void match_row(const match_rows_args<T>& args, uint32_t row) {
  args.losses[row] = 0;
  if (args.targets[row] < 0) return;
  const uint32_t count = args.student.cols;
  const T* student = args.student.row(row);
  const T* teacher = args.teacher.row(row);
  T* slopes = args.dstudent.row(row);
  const T pull = args.weight / static_cast<T>(count);
  lane_sum<T> squares;
  for (uint32_t i = 0; i < count; ++i) {
    const T apart = student[i] - teacher[i];
    squares.add_product(i, apart, apart);
    slopes[i] = slopes[i] + apart * pull;
  }
  args.losses[row] = squares.total() / static_cast<T>(2 * count);
}

} // namespace troupe::compute::reference
