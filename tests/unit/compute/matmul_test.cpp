// Products: the same bits from every instruction set, number of threads and batch, and the right
// value.
#include "tests/unit/compute/kernels_fixture.hpp"

#include <limits>

namespace troupe::compute {
namespace {

using test::matrix;
using test::same_bits;

class matmul_test : public test::kernels_test {};

constexpr weight_format formats[] = {weight_format::f32, weight_format::bf16, weight_format::f16,
                                     weight_format::int8, weight_format::int4};

struct shape {
  uint32_t rows, outputs, inputs;
};

// Edges of every blocking: rows 4 and 6, columns 16 and 64, blocks of 32, chunks of 96 rows,
// several runs of units for each thread.
std::vector<shape> shapes() {
  std::vector<shape> made;
  for (const uint32_t rows : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 9u, 10u, 13u}) {
    for (const uint32_t outputs : {1u, 15u, 17u, 64u, 65u, 112u}) {
      for (const uint32_t inputs : {1u, 31u, 32u, 33u, 100u})
        made.push_back({rows, outputs, inputs});
    }
  }
  made.insert(made.end(), {{97, 70, 64},
                           {200, 33, 40},
                           {1, 1030, 255},
                           {2, 256, 300},
                           {2, 16, 50},
                           {4, 7, 0},
                           {40, 700, 200}});
  return made;
}

weight_matrix packed(uint32_t outputs, uint32_t inputs, weight_format format, uint64_t seed) {
  const matrix stored = matrix::random(outputs, inputs, seed);
  return *pack(stored.source(), format);
}

std::vector<float> random_bias(uint32_t count) {
  std::vector<float> bias(count);
  for (uint32_t i = 0; i < count; ++i) bias[i] = test::draw(77, i);
  return bias;
}

TEST_F(matmul_test, all_instruction_sets_and_threads_give_the_same_bits) {
  for (const weight_format format : formats) {
    for (const shape& s : shapes()) {
      SCOPED_TRACE(text(to_string(format), " ", s.rows, " x ", s.outputs, " x ", s.inputs));
      const weight_matrix w = packed(s.outputs, s.inputs, format, s.outputs + s.inputs);
      const matrix x = matrix::random(s.rows, s.inputs, s.rows);
      all_agree(matrix::random(s.rows, s.outputs, 5), [&](kernels& k, matrix& y) {
        k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = y.view()});
      });
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST_F(matmul_test, bias_and_residual_are_added_in_order) {
  for (const weight_format format : formats) {
    const weight_matrix w = packed(150, 70, format, 3);
    const matrix x = matrix::random(7, 70, 4);
    const matrix residual = matrix::random(7, 150, 5);
    const auto bias = random_bias(150);
    const matrix plain = all_agree(matrix(7, 150), [&](kernels& k, matrix& y) {
      k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = y.view()});
    });
    const matrix full = all_agree(matrix(7, 150), [&](kernels& k, matrix& y) {
      k.matmul({.x = x.view(), .w = &w, .bias = bias, .residual = residual.view(), .y = y.view()});
    });
    const matrix in_place = all_agree(residual, [&](kernels& k, matrix& y) {
      k.matmul({.x = x.view(), .w = &w, .bias = bias, .residual = y.view(), .y = y.view()});
    });
    EXPECT_TRUE(same_bits(full, in_place));
    for (uint32_t r = 0; r < 7; ++r) {
      for (uint32_t c = 0; c < 150; ++c) {
        ASSERT_EQ(full.at(r, c), (plain.at(r, c) + bias[c]) + residual.at(r, c));
      }
    }
  }
}

// The exact value from what is stored; the error bound is that of `inputs` roundings.
TEST_F(matmul_test, agrees_with_double_precision) {
  for (const weight_format format : {weight_format::f32, weight_format::bf16, weight_format::f16}) {
    const uint32_t inputs = 500;
    const weight_matrix w = packed(40, inputs, format, 3);
    const matrix x = matrix::random(5, inputs, 4);
    const matrix y = all_agree(matrix(5, 40), [&](kernels& k, matrix& out) {
      k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = out.view()});
    });
    std::vector<float> row(inputs);
    for (uint32_t n = 0; n < 40; ++n) {
      unpack_row(w, n, row.data());
      for (uint32_t r = 0; r < 5; ++r) {
        double exact = 0;
        double size = 0;
        for (uint32_t k = 0; k < inputs; ++k) {
          exact += double{x.at(r, k)} * row[k];
          size += std::fabs(double{x.at(r, k)} * row[k]);
        }
        ASSERT_NEAR(y.at(r, n), exact, size * 1e-6);
      }
    }
  }
}

// Against the unquantised activations: each is off by at most half a 127th of its block's largest.
TEST_F(matmul_test, block_formats_are_off_only_by_the_rounding_of_activations) {
  for (const weight_format format : {weight_format::int8, weight_format::int4}) {
    const uint32_t inputs = 450;
    const weight_matrix w = packed(40, inputs, format, 3);
    const matrix x = matrix::random(5, inputs, 4);
    const matrix y = all_agree(matrix(5, 40), [&](kernels& k, matrix& out) {
      k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = out.view()});
    });
    std::vector<float> row(inputs);
    for (uint32_t n = 0; n < 40; ++n) {
      unpack_row(w, n, row.data());
      for (uint32_t r = 0; r < 5; ++r) {
        double exact = 0;
        double slack = 0;
        for (uint32_t k = 0; k < inputs; ++k) {
          exact += double{x.at(r, k)} * row[k];
          slack += std::fabs(double{row[k]}) * 0.5 / 127; // |x| < 1
        }
        ASSERT_NEAR(y.at(r, n), exact, slack + 1e-4);
        EXPECT_NEAR(y.at(r, n), exact, 0.35) << "far beyond what rounding at random would give";
      }
    }
  }
}

TEST_F(matmul_test, a_row_gives_the_same_bits_alone_and_anywhere_in_a_batch) {
  for (const weight_format format : formats) {
    const weight_matrix w = packed(130, 100, format, 9);
    const matrix x = matrix::random(40, 100, 6);
    matrix together(40, 130);
    test::run(widest(), [&](kernels& k) {
      k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = together.view()});
    });
    for (uint32_t r = 0; r < 40; ++r) {
      matrix alone(1, 130);
      const const_matrix_view row(x.view().row(r), 1, 100, x.view().stride);
      test::run(widest(), [&](kernels& k) {
        k.matmul({.x = row, .w = &w, .bias = {}, .residual = {}, .y = alone.view()});
      });
      for (uint32_t c = 0; c < 130; ++c) ASSERT_TRUE(same_bits(alone.at(0, c), together.at(r, c)));
    }
  }
}

TEST_F(matmul_test, grouped_products_equal_single_ones) {
  // Experts of unequal load, formats mixed, gate and up on one input, one part empty.
  struct part {
    weight_matrix w;
    matrix x;
    matrix y;
  };
  std::vector<part> parts;
  for (uint32_t i = 0; i < 9; ++i) {
    const uint32_t rows = i == 4 ? 0 : 1 + i * i;
    parts.push_back({packed(20 + 31 * i, 64 + i, formats[i % 5], i),
                     matrix::random(rows, 64 + i, i), matrix(rows, 20 + 31 * i)});
  }
  const auto args_of = [](part& p) {
    return matmul_args{.x = p.x.view(), .w = &p.w, .bias = {}, .residual = {}, .y = p.y.view()};
  };
  std::vector<matrix> expected;
  for (part& p : parts) {
    test::run(plain(), [&](kernels& k) { k.matmul(args_of(p)); });
    expected.push_back(p.y);
  }
  for (const uint32_t threads : {1u, 2u, 4u}) {
    std::vector<matmul_args> args;
    for (part& p : parts) {
      p.y = matrix(p.y.rows(), p.y.cols());
      args.push_back(args_of(p));
    }
    const auto device = test::make_executor(threads, instruction_set::automatic);
    test::run(*device, [&](kernels& k) { k.grouped_matmul({args}); });
    for (size_t i = 0; i < parts.size(); ++i) EXPECT_TRUE(same_bits(parts[i].y, expected[i])) << i;
  }
}

TEST_F(matmul_test, shared_inputs_of_block_formats_are_recognised_by_view_not_by_chance) {
  // Same data pointer but different rows or columns: must not share a quantised form.
  const matrix x = matrix::random(8, 96, 2);
  const weight_matrix narrow = packed(33, 64, weight_format::int8, 1);
  const weight_matrix wide = packed(33, 96, weight_format::int4, 2);
  const const_matrix_view part(x.view().data, 8, 64, x.view().stride);
  const const_matrix_view few(x.view().data, 3, 96, x.view().stride);
  all_agree(matrix(27, 33), [&](kernels& k, matrix& y) {
    const matmul_args parts[] = {
        {.x = x.view(), .w = &wide, .bias = {}, .residual = {}, .y = y.view().rows_at(0, 8)},
        {.x = part, .w = &narrow, .bias = {}, .residual = {}, .y = y.view().rows_at(8, 8)},
        {.x = few, .w = &wide, .bias = {}, .residual = {}, .y = y.view().rows_at(16, 3)},
        {.x = x.view(), .w = &wide, .bias = {}, .residual = {}, .y = y.view().rows_at(19, 8)}};
    k.grouped_matmul({parts});
  });
}

TEST_F(matmul_test, heads_are_products_of_their_columns) {
  const uint32_t heads = 5;
  std::vector<weight_matrix> w;
  for (uint32_t h = 0; h < heads; ++h) w.push_back(packed(48, 37, formats[h], h));
  const matrix x = matrix::random(4, heads * 40, 8);
  const matrix y = all_agree(matrix(4, heads * 50), [&](kernels& k, matrix& out) {
    k.per_head_matmul(
        {.x = x.view(), .x_head_stride = 40, .w = w, .y = out.view(), .y_head_stride = 50});
  });
  for (uint32_t h = 0; h < heads; ++h) {
    matrix one(4, 48);
    const const_matrix_view columns(x.view().data + h * 40, 4, 37, x.view().stride);
    test::run(plain(), [&](kernels& k) {
      k.matmul({.x = columns, .w = &w[h], .bias = {}, .residual = {}, .y = one.view()});
    });
    for (uint32_t c = 0; c < 48; ++c) EXPECT_TRUE(same_bits(y.at(2, h * 50 + c), one.at(2, c)));
    EXPECT_EQ(y.at(2, h * 50 + 48), matrix(1, 1).at(0, 0))
        << "columns between heads are not touched";
  }
}

TEST_F(matmul_test, activations_of_any_size_and_no_numbers_agree_too) {
  const float infinity = std::numeric_limits<float>::infinity();
  matrix x = matrix::random(6, 96, 2);
  for (uint32_t c = 0; c < 96; ++c) {
    x.at(1, c) *= 1e30f;
    x.at(2, c) *= 1e-35f; // below the floor: counts as zero in block formats
    x.at(3, c) = 0;
  }
  x.at(4, 40) = infinity;
  x.at(5, 95) = std::numeric_limits<float>::quiet_NaN();
  for (const weight_format format : formats) {
    const weight_matrix w = packed(20, 96, format, 1);
    const matrix y = all_agree(matrix(6, 20), [&](kernels& k, matrix& out) {
      k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = out.view()});
    });
    for (uint32_t c = 0; c < 20; ++c) {
      EXPECT_TRUE(std::isfinite(y.at(0, c)));
      EXPECT_TRUE(std::isfinite(y.at(1, c)));
      EXPECT_EQ(y.at(3, c), 0.0f);
      EXPECT_FALSE(std::isfinite(y.at(4, c)));
      EXPECT_TRUE(std::isnan(y.at(5, c)));
    }
  }
}

} // namespace
} // namespace troupe::compute
