// Philox4x32-10 and the draws made from it.
#include "base/random.hpp"

#include "base/check.hpp"

#include <random>

namespace troupe {
namespace {

constexpr uint32_t multiplier_a = 0xD2511F53u;
constexpr uint32_t multiplier_b = 0xCD9E8D57u;
constexpr uint32_t weyl_a = 0x9E3779B9u;
constexpr uint32_t weyl_b = 0xBB67AE85u;
constexpr int rounds = 10;

} // namespace

std::array<uint32_t, 4> random_block(const random_key& key, uint64_t n) {
  std::array<uint32_t, 4> x = {static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32), key.entity,
                               static_cast<uint32_t>(key.subsystem)};
  uint32_t key_a = static_cast<uint32_t>(key.seed);
  uint32_t key_b = static_cast<uint32_t>(key.seed >> 32);
  for (int round = 0; round < rounds; ++round) {
    const uint64_t product_a = uint64_t{multiplier_a} * x[0];
    const uint64_t product_b = uint64_t{multiplier_b} * x[2];
    x = {static_cast<uint32_t>(product_b >> 32) ^ x[1] ^ key_a, static_cast<uint32_t>(product_b),
         static_cast<uint32_t>(product_a >> 32) ^ x[3] ^ key_b, static_cast<uint32_t>(product_a)};
    key_a += weyl_a;
    key_b += weyl_b;
  }
  return x;
}

uint64_t random_bits(const random_key& key, uint64_t n) {
  const auto block = random_block(key, n);
  return uint64_t{block[0]} | uint64_t{block[1]} << 32;
}

float random_unit(const random_key& key, uint64_t n) {
  return static_cast<float>(random_bits(key, n) >> 40) * 0x1p-24f;
}

uint64_t random_below(const random_key& key, uint64_t n, uint64_t bound) {
  TROUPE_CHECK(bound > 0);
  __extension__ using wide = unsigned __int128;
  return static_cast<uint64_t>((wide{random_bits(key, n)} * bound) >> 64);
}

uint64_t entropy_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

} // namespace troupe
