// Series on a reduced range; the normal quantile is algorithm AS 241 (PPND7) of Wichura, Applied
// Statistics 37 (1988).
#include "simulations/capacity/fixed_math.hpp"

#include "base/check.hpp"

#include <bit>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

constexpr double square_root_2 = 1.4142135623730951;
constexpr double ln_2_high = 0.693147180369123816490; // its last bits are zero: multiples are exact
constexpr double ln_2_low = 1.90821492927058770002e-10;
constexpr double exponent_max = 700;

double two_to_the(int64_t exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

} // namespace

double natural_log(double x) {
  TROUPE_CHECK(x >= 2.2250738585072014e-308);
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double mantissa =
      std::bit_cast<double>((bits & ((uint64_t{1} << 52) - 1)) | uint64_t{1023} << 52);
  if (mantissa > square_root_2) {
    mantissa *= 0.5;
    ++exponent;
  }
  // log m = 2 artanh((m - 1) / (m + 1)); the argument is below 0.172.
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int k = 21; k >= 3; k -= 2) sum = (sum + 1.0 / k) * square;
  return static_cast<double>(exponent) * ln_2 + 2 * s * (1 + sum);
}

double exponential(double x) {
  if (x > exponent_max) x = exponent_max;
  if (x < -exponent_max) x = -exponent_max;
  const double scaled = x / ln_2;
  const auto k = static_cast<int64_t>(scaled + (scaled < 0 ? -0.5 : 0.5));
  const auto n = static_cast<double>(k);
  const double rest = (x - n * ln_2_high) - n * ln_2_low; // at most 0.347
  double sum = 1;
  for (int i = 15; i >= 1; --i) sum = 1 + sum * rest / i;
  return sum * two_to_the(k);
}

double power(double x, double y) {
  return exponential(y * natural_log(x));
}

double normal_quantile(double p) {
  TROUPE_CHECK(p > 0 && p < 1);
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q *
           (((5.9109374720e+01 * r + 1.5929113202e+02) * r + 5.0434271938e+01) * r +
            3.3871327179e+00) /
           (((6.7187563600e+01 * r + 7.8757757664e+01) * r + 1.7895169469e+01) * r + 1.0);
  }
  double r = std::sqrt(-natural_log(q < 0 ? p : 1 - p));
  double z = 0;
  if (r <= 5) {
    r -= 1.6;
    z = (((1.7023821103e-01 * r + 1.3067284816e+00) * r + 2.7568153900e+00) * r +
         1.4234372777e+00) /
        ((1.2021132975e-01 * r + 7.3700164250e-01) * r + 1.0);
  } else {
    r -= 5;
    z = (((1.7337203997e-02 * r + 4.2868294337e-01) * r + 3.0812263860e+00) * r +
         6.6579051150e+00) /
        ((1.2258202635e-02 * r + 2.4197894225e-01) * r + 1.0);
  }
  return q < 0 ? -z : z;
}

double draws::unit() {
  return static_cast<double>(bits() >> 11) * 0x1p-53;
}

double draws::open_unit() {
  return (static_cast<double>(bits() >> 12) + 0.5) * 0x1p-52;
}

double draws::gamma(double mean, uint32_t halves) {
  TROUPE_CHECK(halves > 0);
  double sum = 0;
  for (uint32_t n = 0; n < halves / 2; ++n) sum += expovariate(1);
  if (halves % 2 == 1) {
    const double z = normal();
    sum += z * z / 2;
  }
  return sum * mean / (halves * 0.5);
}

double draws::log_normal(double low, double high) {
  constexpr double z_95 = 1.6448536269514722;
  const double middle = (natural_log(low) + natural_log(high)) / 2;
  const double deviation = (natural_log(high) - natural_log(low)) / 2 / z_95;
  return exponential(middle + deviation * normal());
}

} // namespace troupe::simulations::capacity
