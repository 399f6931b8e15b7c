// Cosine and sine in double precision: Cody-Waite reduction by quarter turns, then Taylor
// polynomials on
// [-pi/4, pi/4]. No fused operations and no library functions, so every machine gives the same
// bits.
#include "compute/rotary_table.hpp"

#include "base/check.hpp"

namespace troupe::compute {
namespace {

struct cos_sin_pair {
  double cosine;
  double sine;
};

// Taylor with the last terms below 1e-17 for |r| <= pi/4.
double sine_near_zero(double r) {
  const double s = r * r;
  double p = -1.0 / 1307674368000.0;
  p = p * s + 1.0 / 6227020800.0;
  p = p * s - 1.0 / 39916800.0;
  p = p * s + 1.0 / 362880.0;
  p = p * s - 1.0 / 5040.0;
  p = p * s + 1.0 / 120.0;
  p = p * s - 1.0 / 6.0;
  return r + r * (s * p);
}

double cosine_near_zero(double r) {
  const double s = r * r;
  double p = 1.0 / 20922789888000.0;
  p = p * s - 1.0 / 87178291200.0;
  p = p * s + 1.0 / 479001600.0;
  p = p * s - 1.0 / 3628800.0;
  p = p * s + 1.0 / 40320.0;
  p = p * s - 1.0 / 720.0;
  p = p * s + 1.0 / 24.0;
  p = p * s - 0.5;
  return 1.0 + s * p;
}

// pi/2 in three parts; the first two have 25 bits, so their products with a count below 2^28 are
// exact.
constexpr double quarter_1 = 0x1.921fb5p+0;
constexpr double quarter_2 = 0x1.110b46p-26;
constexpr double quarter_3 = 0x1.1a62633145c07p-54;

cos_sin_pair cos_sin_of(double angle) {
  constexpr double round = 6755399441055744.0; // 1.5 * 2^52: adding it rounds to an integer
  const double turns = (angle * 0.63661977236758134308 + round) - round;
  const double r = ((angle - turns * quarter_1) - turns * quarter_2) - turns * quarter_3;
  const double c = cosine_near_zero(r);
  const double s = sine_near_zero(r);
  switch (static_cast<int64_t>(turns) & 3) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

} // namespace

void fill_rotary_table(std::span<const float> inverse_frequency, float attention_factor,
                       uint32_t position_begin, matrix_view cos_sin) {
  const size_t pairs = inverse_frequency.size();
  TROUPE_CHECK(cos_sin.cols == 2 * pairs);
  for (uint32_t i = 0; i < cos_sin.rows; ++i) {
    const auto position = static_cast<float>(position_begin + i);
    float* row = cos_sin.row(i);
    for (size_t p = 0; p < pairs; ++p) {
      const float angle = position * inverse_frequency[p];
      const cos_sin_pair value = cos_sin_of(angle);
      row[p] = static_cast<float>(value.cosine) * attention_factor;
      row[pairs + p] = static_cast<float>(value.sine) * attention_factor;
    }
  }
}

} // namespace troupe::compute
