// Packing: what goes in comes out again, as exactly as the format allows.
#include "compute/weight.hpp"

#include "compute/cpu/dispatch.hpp"
#include "tests/unit/compute/support.hpp"

#include <algorithm>
#include <limits>

namespace troupe::compute {
namespace {

using test::matrix;

constexpr uint32_t sizes[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255, 257};

std::vector<float> unpacked(const weight_matrix& from, uint32_t output) {
  std::vector<float> row(from.inputs());
  unpack_row(from, output, row.data());
  return row;
}

// Calls body(stored matrix, packed matrix) for many shapes.
template <class Body>
void for_shapes(weight_format format, Body body) {
  for (const uint32_t rows : sizes) {
    for (const uint32_t cols : {1u, 7u, 32u, 33u, 64u, 300u}) {
      const matrix stored = matrix::random(rows, cols, rows * 1000 + cols);
      const auto packed = pack(stored.source(), format);
      ASSERT_TRUE(packed.has_value());
      ASSERT_EQ(packed->outputs(), rows);
      ASSERT_EQ(packed->inputs(), cols);
      body(stored, *packed);
    }
  }
}

TEST(weight, f32_comes_back_exactly) {
  for_shapes(weight_format::f32, [](const matrix& stored, const weight_matrix& packed) {
    for (uint32_t r = 0; r < stored.rows(); ++r) {
      const auto row = unpacked(packed, r);
      for (uint32_t c = 0; c < stored.cols(); ++c) ASSERT_EQ(row[c], stored.at(r, c));
    }
  });
}

TEST(weight, sixteen_bit_formats_round_to_nearest) {
  for_shapes(weight_format::bf16, [](const matrix& stored, const weight_matrix& packed) {
    for (uint32_t r = 0; r < stored.rows(); ++r) {
      const auto row = unpacked(packed, r);
      for (uint32_t c = 0; c < stored.cols(); ++c) {
        ASSERT_EQ(row[c], bf16_to_f32(f32_to_bf16(stored.at(r, c))));
      }
    }
  });
  for_shapes(weight_format::f16, [](const matrix& stored, const weight_matrix& packed) {
    for (uint32_t r = 0; r < stored.rows(); ++r) {
      const auto row = unpacked(packed, r);
      for (uint32_t c = 0; c < stored.cols(); ++c) {
        ASSERT_EQ(row[c], f16_to_f32(f32_to_f16(stored.at(r, c))));
      }
    }
  });
}

float block_most(const matrix& stored, uint32_t row, uint32_t block) {
  float most = 0;
  for (uint32_t c = block * 32; c < std::min(stored.cols(), block * 32 + 32); ++c) {
    most = std::max(most, std::fabs(stored.at(row, c)));
  }
  return most;
}

TEST(weight, int8_is_off_by_at_most_half_a_step) {
  for_shapes(weight_format::int8, [](const matrix& stored, const weight_matrix& packed) {
    for (uint32_t r = 0; r < stored.rows(); ++r) {
      const auto row = unpacked(packed, r);
      for (uint32_t c = 0; c < stored.cols(); ++c) {
        const float scale = scale_at(packed, r, c / 32);
        // The scale is the smallest bf16 that suffices: within a 128th of absmax / 127.
        ASSERT_LE(scale, block_most(stored, r, c / 32) / 127 * (1 + 1.0f / 100));
        ASSERT_LE(std::fabs(row[c] - stored.at(r, c)), scale * 0.5001f);
        ASSERT_LE(std::abs(quant_at(packed, r, c)), 127);
        ASSERT_EQ(row[c], scale * static_cast<float>(quant_at(packed, r, c)));
      }
    }
  });
}

double squared_error(const matrix& stored, const std::vector<float>& row, uint32_t r,
                     uint32_t block) {
  double sum = 0;
  for (uint32_t c = block * 32; c < std::min(stored.cols(), block * 32 + 32); ++c) {
    sum += std::pow(double{row[c]} - stored.at(r, c), 2);
  }
  return sum;
}

// What absmax / -8 without any search would lose.
double plain_int4_error(const matrix& stored, uint32_t r, uint32_t block) {
  float extreme = 0;
  for (uint32_t c = block * 32; c < std::min(stored.cols(), block * 32 + 32); ++c) {
    if (std::fabs(stored.at(r, c)) > std::fabs(extreme)) extreme = stored.at(r, c);
  }
  const float scale = bf16_to_f32(f32_to_bf16(extreme / -8));
  std::vector<float> row(stored.cols());
  for (uint32_t c = block * 32; c < std::min(stored.cols(), block * 32 + 32); ++c) {
    row[c] = scale * std::clamp(std::nearbyint(stored.at(r, c) / scale), -8.0f, 7.0f);
  }
  return squared_error(stored, row, r, block);
}

TEST(weight, int4_is_never_worse_than_the_plain_scale_and_mostly_better) {
  double plain = 0;
  double searched = 0;
  for_shapes(weight_format::int4, [&](const matrix& stored, const weight_matrix& packed) {
    for (uint32_t r = 0; r < stored.rows(); ++r) {
      const auto row = unpacked(packed, r);
      for (uint32_t b = 0; b * 32 < stored.cols(); ++b) {
        const double error = squared_error(stored, row, r, b);
        const double without_search = plain_int4_error(stored, r, b);
        ASSERT_LE(error, without_search * 1.000001);
        plain += without_search;
        searched += error;
      }
      for (uint32_t c = 0; c < stored.cols(); ++c) {
        ASSERT_GE(quant_at(packed, r, c), -8);
        ASSERT_LE(quant_at(packed, r, c), 7);
      }
    }
  });
  EXPECT_LT(searched, 0.9 * plain);
}

TEST(weight, blocks_of_zeros_and_of_extreme_sizes_survive) {
  for (const float size : {0.0f, 1e-44f, 1e-33f, 1e-20f, 1e20f, 3.3e38f}) {
    const matrix stored = matrix::random(3, 64, 5, size);
    for (const auto format : {weight_format::int8, weight_format::int4}) {
      const auto packed = pack(stored.source(), format);
      ASSERT_TRUE(packed.has_value());
      for (uint32_t r = 0; r < 3; ++r) {
        const auto row = unpacked(*packed, r);
        const float step = size / (format == weight_format::int8 ? 120.0f : 4.0f);
        for (uint32_t c = 0; c < 64; ++c) {
          ASSERT_LE(std::fabs(row[c] - stored.at(r, c)), std::max(step, 0x1p-100f)) << size;
        }
      }
    }
  }
}

TEST(weight, any_stride_and_misaligned_sources_are_read) {
  // A column-major bf16 matrix at an odd address.
  const uint32_t rows = 19;
  const uint32_t cols = 35;
  std::vector<std::byte> bytes(rows * cols * 2 + 1);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < cols; ++c) {
      const uint16_t bits = f32_to_bf16(test::draw(9, r * cols + c));
      std::memcpy(bytes.data() + 1 + (c * rows + r) * 2, &bits, 2);
    }
  }
  const auto packed =
      pack({bytes.data() + 1, dtype::bf16, rows, cols, 1, rows}, weight_format::f32);
  ASSERT_TRUE(packed.has_value());
  for (uint32_t r = 0; r < rows; ++r) {
    const auto row = unpacked(*packed, r);
    for (uint32_t c = 0; c < cols; ++c) {
      EXPECT_EQ(row[c], bf16_to_f32(f32_to_bf16(test::draw(9, r * cols + c))));
    }
  }
}

TEST(weight, a_weight_that_is_no_number_is_refused_by_row_and_column) {
  for (const auto format : {weight_format::f32, weight_format::bf16, weight_format::int4}) {
    matrix stored = matrix::random(40, 300, 3);
    stored.at(37, 299) = std::numeric_limits<float>::quiet_NaN();
    auto refused = pack(stored.source(), format);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), status_code::corrupt);
    EXPECT_EQ(refused.error().why(), "weight at row 37, column 299 is NaN");
    stored.at(37, 299) = -std::numeric_limits<float>::infinity();
    refused = pack(stored.source(), format);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().why(), "weight at row 37, column 299 is infinite");
  }
}

TEST(weight, a_weight_too_large_for_f16_is_refused) {
  matrix stored = matrix::random(4, 4, 3);
  stored.at(1, 2) = 70000;
  const auto refused = pack(stored.source(), weight_format::f16);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().why(), "weight at row 1, column 2 is 70000, too large for f16");
}

TEST(weight, panels_packed_apart_make_the_same_matrix) {
  const matrix stored = matrix::random(150, 70, 12);
  for (const auto format : {weight_format::f32, weight_format::f16, weight_format::int4}) {
    const auto whole = pack(stored.source(), format);
    ASSERT_TRUE(whole.has_value());
    weight_matrix parts(format, 150, 70);
    for (const auto& [begin, end] : {std::pair{7u, 10u}, {0u, 1u}, {1u, 7u}, {3u, 3u}}) {
      ASSERT_TRUE(pack_panels(stored.source(), begin, end, parts).ok());
    }
    EXPECT_EQ(std::memcmp(whole->values().data(), parts.values().data(), whole->values().bytes()),
              0);
    EXPECT_EQ(whole->scales().bytes(), parts.scales().bytes());
  }
}

TEST(weight, an_empty_matrix_is_packed) {
  EXPECT_TRUE(pack({}, weight_format::int8).has_value());
}

// Blocks of every kind: zero, tiny, at the floor, huge, equal magnitudes of both signs, few steps.
matrix unlike_blocks(uint32_t rows, uint32_t cols) {
  constexpr float sizes_of[] = {1,       0,        0x1p-100f, 0x1.fffffep-101f, 1e-40f, 1e-30f,
                                3.4e38f, 0x1p-20f, 1e30f,     0x1p-99f,         7};
  matrix made(rows, cols);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < cols; ++c) {
      const uint64_t at = uint64_t{r} * cols + c;
      const uint64_t kind = uint64_t{r} * 31 + c / quant_block;
      const float size = sizes_of[kind % std::size(sizes_of)];
      float x = test::draw(11, at);
      if (kind % 3 == 1) x = x < 0 ? -1.0f : 1.0f;
      if (kind % 3 == 2) x = std::nearbyint(x * 8) / 8;
      made.at(r, c) = x * size;
    }
  }
  return made;
}

TEST(weight, vector_kernels_pack_to_the_bytes_of_the_plain_code) {
  for (const auto set : {instruction_set::avx2, instruction_set::avx512}) {
    if (!supported(set)) continue;
    for (const weight_format format : {weight_format::int8, weight_format::int4}) {
      for (const uint32_t rows : {1u, 16u, 17u, 64u, 100u, 333u}) {
        for (const uint32_t cols : {1u, 31u, 33u, 256u, 700u}) {
          SCOPED_TRACE(text(to_string(set), " ", to_string(format), " ", rows, " x ", cols));
          const matrix stored = unlike_blocks(rows, cols);
          const auto plain = pack(stored.source(), format);
          weight_matrix packed(format, rows, cols);
          ASSERT_TRUE(
              pack_panels(stored.source(), 0, packed.layout().panels(), packed, kernels_of(set))
                  .ok());
          ASSERT_EQ(
              std::memcmp(packed.values().data(), plain->values().data(), plain->values().bytes()),
              0);
          ASSERT_EQ(
              std::memcmp(packed.scales().data(), plain->scales().data(), plain->scales().bytes()),
              0);
        }
      }
    }
  }
}

} // namespace
} // namespace troupe::compute
