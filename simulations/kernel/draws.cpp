// Logarithms by table and interpolation instead of libm, whose last bit differs between machines.
#include "simulations/kernel/draws.hpp"

#include "base/check.hpp"

#include <array>
#include <bit>

namespace troupe::simulations {
namespace {

__extension__ using wide = unsigned __int128;

constexpr int table_bits = 10;
constexpr uint64_t ln2_fixed = 2977044472; // ln(2) * 2^32

// log2 of a number in [1, 2), given and returned with 32 bits behind the point: squaring doubles
// the logarithm, and what overflows is its next bit.
constexpr uint32_t log2_of_fraction(uint64_t x) {
  uint32_t out = 0;
  x <<= 30; // 62 bits behind the point
  for (int bit = 31; bit >= 0; --bit) {
    x = static_cast<uint64_t>(wide{x} * x >> 62);
    if (x >> 63 == 0) continue;
    out |= uint32_t{1} << bit;
    x >>= 1;
  }
  return out;
}

constexpr auto make_table() {
  std::array<uint64_t, (1 << table_bits) + 1> table{};
  for (uint64_t i = 0; i < table.size() - 1; ++i)
    table[i] = log2_of_fraction((uint64_t{1} << 32) + (i << (32 - table_bits)));
  table.back() = uint64_t{1} << 32;
  return table;
}
constexpr auto table = make_table();

} // namespace

uint64_t log2_fixed(uint64_t x) {
  TROUPE_CHECK(x > 0);
  const int whole = 63 - std::countl_zero(x);
  const uint64_t fraction = (x << (63 - whole)) & ~(uint64_t{1} << 63); // of 2^63
  const uint64_t index = fraction >> (63 - table_bits);
  const uint64_t rest = fraction & ((uint64_t{1} << (63 - table_bits)) - 1);
  const uint64_t step = table[index + 1] - table[index];
  const auto between = static_cast<uint64_t>(wide{step} * rest >> (63 - table_bits));
  return (static_cast<uint64_t>(whole) << 32) + table[index] + between;
}

duration exponential(uint32_t bits, duration mean) {
  if (mean.count() <= 0) return {};
  // -ln(u) for u in (0, 1]
  const uint64_t halvings = (uint64_t{32} << 32) - log2_fixed(uint64_t{bits} + 1);
  const auto means = static_cast<uint64_t>(wide{halvings} * ln2_fixed >> 32);
  return duration(static_cast<int64_t>(wide{means} * static_cast<uint64_t>(mean.count()) >> 32));
}

} // namespace troupe::simulations
