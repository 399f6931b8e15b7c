// What the compute tests share: random matrices with gaps between rows, and comparison of bits.
#pragma once

#include "base/random.hpp"
#include "base/text.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/weight.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace troupe::compute::test {

// Uniform in [-1, 1), the n-th draw of a seed.
inline float draw(uint64_t seed, uint64_t n) {
  return 2 * random_unit({.seed = seed, .subsystem = random_subsystem::workload}, n) - 1;
}

// A matrix whose rows lie `gap` floats apart and start at an odd address, surrounded by a mark that
// tells when somebody writes outside of the rows.
class matrix {
public:
  static constexpr float mark = -77.25f;

  matrix(uint32_t rows, uint32_t cols, uint32_t gap = 3)
      : rows_(rows), cols_(cols), stride_(cols + gap), data_(rows * stride_ + 2, mark) {}

  static matrix random(uint32_t rows, uint32_t cols, uint64_t seed, float size = 1) {
    matrix made(rows, cols);
    for (uint32_t r = 0; r < rows; ++r) {
      for (uint32_t c = 0; c < cols; ++c) {
        made.at(r, c) = size * draw(seed, uint64_t{r} * cols + c);
      }
    }
    return made;
  }

  float& at(uint32_t r, uint32_t c) { return data_[1 + r * stride_ + c]; }
  float at(uint32_t r, uint32_t c) const { return data_[1 + r * stride_ + c]; }
  uint32_t rows() const { return rows_; }
  uint32_t cols() const { return cols_; }
  matrix_view view() { return {data_.data() + 1, rows_, cols_, stride_}; }
  const_matrix_view view() const { return {data_.data() + 1, rows_, cols_, stride_}; }
  matrix_source source() const { return {data_.data() + 1, dtype::f32, rows_, cols_, stride_, 1}; }

  // Whether all floats outside of the rows still carry the mark.
  bool frame_intact() const {
    for (size_t i = 0; i < data_.size(); ++i) {
      const bool inside = i > 0 && (i - 1) / stride_ < rows_ && (i - 1) % stride_ < cols_;
      if (!inside && data_[i] != mark) return false;
    }
    return true;
  }

private:
  uint32_t rows_;
  uint32_t cols_;
  size_t stride_;
  std::vector<float> data_;
};

// Same bits; any NaN equals any NaN.
inline bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

inline ::testing::AssertionResult same_bits(const matrix& a, const matrix& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) {
    return ::testing::AssertionFailure() << "shapes differ";
  }
  for (uint32_t r = 0; r < a.rows(); ++r) {
    for (uint32_t c = 0; c < a.cols(); ++c) {
      if (!same_bits(a.at(r, c), b.at(r, c))) {
        return ::testing::AssertionFailure()
               << "row " << r << " column " << c << ": " << a.at(r, c) << " and " << b.at(r, c);
      }
    }
  }
  return ::testing::AssertionSuccess();
}

inline std::unique_ptr<executor> make_executor(uint32_t threads, instruction_set set) {
  auto made = make_cpu_executor({.threads = threads, .set = set});
  TROUPE_CHECK(made.has_value());
  return std::move(*made);
}

// Runs `work` as a job; returns when it is done, since no other thread uses the executor.
inline void run(executor& on, const std::function<void(kernels&)>& work) {
  bool done = false;
  TROUPE_CHECK(on.submit(work, [&done](status s) { done = s.ok(); }).ok());
  TROUPE_CHECK(done);
}

} // namespace troupe::compute::test
