// Conversions between number formats, over every 16-bit pattern.
#include "compute/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace troupe::compute {
namespace {

TEST(dtype, every_bf16_survives_the_way_through_f32) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float wide = bf16_to_f32(static_cast<uint16_t>(bits));
    EXPECT_EQ(std::bit_cast<uint32_t>(wide), bits << 16);
    if (std::isnan(wide)) continue;
    EXPECT_EQ(f32_to_bf16(wide), bits);
  }
}

TEST(dtype, every_f16_survives_the_way_through_f32) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float wide = f16_to_f32(static_cast<uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double mantissa = bits & 1023;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(wide), mantissa != 0);
    } else {
      const double value =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      EXPECT_EQ(std::fabs(double{wide}), value) << bits;
      EXPECT_EQ(std::signbit(wide), bits >> 15 != 0);
      EXPECT_EQ(f32_to_f16(wide), bits);
    }
  }
}

// Between two neighbours the nearer one wins, and in the middle the even one.
template <class Widen, class Narrow>
void check_rounding(Widen widen, Narrow narrow, uint16_t last) {
  for (uint32_t bits = 0; bits < last; ++bits) {
    const float low = widen(static_cast<uint16_t>(bits));
    const float high = widen(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    EXPECT_EQ(narrow(middle), even);
    EXPECT_EQ(narrow(std::nextafter(middle, low)), bits);
    EXPECT_EQ(narrow(std::nextafter(middle, high)), bits + 1);
    EXPECT_EQ(narrow(-middle), even | 0x8000u);
  }
}

TEST(dtype, narrowing_rounds_to_the_nearest_even) {
  check_rounding(f16_to_f32, f32_to_f16, 0x7bff);
  check_rounding(bf16_to_f32, f32_to_bf16, 0x7f7f);
}

TEST(dtype, narrowing_keeps_infinities_and_nan) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(infinity), 0x7c00);
  EXPECT_EQ(f32_to_f16(-65520.0f), 0xfc00);
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_bf16(-infinity), 0xff80);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  const float small_payload = std::bit_cast<float>(0x7f800001u);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(small_payload))));
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(small_payload))));
}

TEST(dtype, names_are_read_back) {
  EXPECT_EQ(parse_weight_format("int4"), weight_format::int4);
  EXPECT_EQ(parse_weight_format(to_string(weight_format::bf16)), weight_format::bf16);
  EXPECT_EQ(parse_weight_format("int5"), std::nullopt);
}

} // namespace
} // namespace troupe::compute
