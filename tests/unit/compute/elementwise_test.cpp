// Row-wise kernels: embedding, norms, activations, rope, gather, combine and the small ones.
#include "tests/unit/compute/kernels_fixture.hpp"

#include "compute/rotary_table.hpp"

#include <limits>

namespace troupe::compute {
namespace {

using test::matrix;
using test::same_bits;

class elementwise_test : public test::kernels_test {};

constexpr uint32_t widths[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 255, 256, 1000, 1537};

TEST_F(elementwise_test, embeds_rows_of_the_table) {
  for (const auto format : {weight_format::f32, weight_format::bf16, weight_format::int4}) {
    const matrix stored = matrix::random(90, 70, 1);
    const weight_matrix table = *pack(stored.source(), format);
    const std::vector<int32_t> ids = {0, 89, 64, 15, 16, 64};
    const matrix y = all_agree(matrix(6, 70), [&](kernels& k, matrix& out) {
      k.embed({.table = &table, .ids = ids, .y = out.view()});
    });
    std::vector<float> row(70);
    for (uint32_t r = 0; r < 6; ++r) {
      unpack_row(table, static_cast<uint32_t>(ids[r]), row.data());
      for (uint32_t c = 0; c < 70; ++c) ASSERT_EQ(y.at(r, c), row[c]);
    }
  }
}

TEST_F(elementwise_test, rms_norm_agrees_everywhere_and_with_double_precision) {
  for (const uint32_t width : widths) {
    for (const uint32_t groups : {1u, 3u}) {
      const matrix x = matrix::random(5, width * groups, width, 3);
      const matrix gain = matrix::random(1, width, 8);
      const rms_norm_args args{.x = x.view(),
                               .gain = {gain.view().data, width},
                               .eps = 1e-5f,
                               .groups = groups,
                               .y = {}};
      const matrix y = all_agree(matrix(5, width * groups), [&](kernels& k, matrix& out) {
        rms_norm_args a = args;
        a.y = out.view();
        k.rms_norm(a);
      });
      const matrix in_place = all_agree(x, [&](kernels& k, matrix& out) {
        rms_norm_args a = args;
        a.x = a.y = out.view();
        k.rms_norm(a);
      });
      EXPECT_TRUE(same_bits(y, in_place));
      for (uint32_t g = 0; g < groups; ++g) {
        double sum = 0;
        for (uint32_t c = 0; c < width; ++c) sum += std::pow(double{x.at(4, g * width + c)}, 2);
        const double factor = 1 / std::sqrt(sum / width + 1e-5);
        for (uint32_t c = 0; c < width; ++c) {
          const double exact = x.at(4, g * width + c) * factor * gain.at(0, c);
          ASSERT_NEAR(y.at(4, g * width + c), exact, std::fabs(exact) * 1e-6);
        }
      }
    }
  }
}

// Every kind of float: all exponents, both signs, denormals, infinities, NaN.
matrix every_kind_of_float(uint32_t rows, uint32_t cols) {
  matrix x(rows, cols);
  for (uint32_t i = 0; i < rows * cols; ++i) {
    const auto bits =
        static_cast<uint32_t>(random_bits({.seed = 4, .subsystem = random_subsystem::workload}, i));
    x.at(i / cols, i % cols) = std::bit_cast<float>(bits);
  }
  const float special[] = {0.0f,
                           -0.0f,
                           1e-45f,
                           -1e-45f,
                           1e-38f,
                           88.72f,
                           88.73f,
                           -87.3f,
                           -103.9f,
                           -104.1f,
                           std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::max(),
                           std::numeric_limits<float>::lowest(),
                           std::numeric_limits<float>::quiet_NaN(),
                           1.0f,
                           -1.0f,
                           1.4142135f,
                           1.4142137f};
  for (uint32_t i = 0; i < std::size(special); ++i) x.at(0, i) = special[i];
  return x;
}

TEST_F(elementwise_test, activations_agree_on_every_kind_of_float) {
  const matrix gate = every_kind_of_float(40, 500);
  matrix one(40, 500);
  for (uint32_t r = 0; r < 40; ++r) {
    for (uint32_t c = 0; c < 500; ++c) one.at(r, c) = 1;
  }
  for (const auto kind :
       {activation::silu, activation::gelu_tanh, activation::gelu_erf, activation::relu}) {
    const matrix y = all_agree(matrix(40, 500), [&](kernels& k, matrix& out) {
      k.gated_activation({.kind = kind, .gate = gate.view(), .up = one.view(), .y = out.view()});
    });
    for (uint32_t r = 0; r < 40; ++r) {
      for (uint32_t c = 0; c < 500; ++c) {
        const float x = gate.at(r, c);
        if (!std::isfinite(x)) continue;
        ASSERT_TRUE(std::isfinite(y.at(r, c))) << x;
        if (std::fabs(x) > 120) {
          ASSERT_EQ(y.at(r, c), x > 0 ? x : 0.0f) << x;
        }
      }
    }
  }
}

TEST_F(elementwise_test, activations_are_near_the_library_functions) {
  matrix x(1, 20001);
  for (uint32_t c = 0; c < x.cols(); ++c) x.at(0, c) = (static_cast<float>(c) - 10000) * 0.0015f;
  const matrix up = matrix::random(1, x.cols(), 3);
  const auto check = [&](activation kind, auto exact, double relative) {
    const matrix y = all_agree(matrix(1, x.cols()), [&](kernels& k, matrix& out) {
      k.gated_activation({.kind = kind, .gate = x.view(), .up = up.view(), .y = out.view()});
    });
    for (uint32_t c = 0; c < x.cols(); ++c) {
      const double wanted = exact(double{x.at(0, c)}) * up.at(0, c);
      ASSERT_NEAR(y.at(0, c), wanted, std::fabs(wanted) * relative + 1e-37) << x.at(0, c);
    }
  };
  check(
      activation::silu, [](double v) { return v / (1 + std::exp(-v)); }, 3e-7);
  // The tails of gelu_tanh magnify the rounding of its argument, up to |argument| * 2^-24.
  check(
      activation::gelu_tanh,
      [](double v) {
        return v / (1 + std::exp(-2 * 0.79788456080286536 * (v + 0.044715 * v * v * v)));
      },
      5e-5);
  check(
      activation::gelu_erf, [](double v) { return v * 0.5 * std::erfc(-v / std::sqrt(2.0)); },
      2e-5);
  check(
      activation::relu, [](double v) { return std::max(v, 0.0); }, 1e-7);
}

TEST_F(elementwise_test, activations_agree_for_every_width) {
  for (const uint32_t width : widths) {
    for (const uint32_t rows : {0u, 1u, 4u}) {
      const matrix gate = matrix::random(rows, width, 1, 6);
      const matrix up = matrix::random(rows, width, 2);
      const auto work = [&](kernels& k, const_matrix_view g, matrix& out) {
        k.gated_activation({.kind = activation::silu, .gate = g, .up = up.view(), .y = out.view()});
      };
      const matrix y = all_agree(matrix(rows, width),
                                 [&](kernels& k, matrix& out) { work(k, gate.view(), out); });
      const matrix in_place =
          all_agree(gate, [&](kernels& k, matrix& out) { work(k, out.view(), out); });
      EXPECT_TRUE(same_bits(y, in_place));
    }
  }
}

TEST_F(elementwise_test, rope_agrees_and_turns_by_the_angle) {
  for (const uint32_t rotary : {2u, 6u, 32u, 34u, 64u, 128u}) {
    const uint32_t heads = 3;
    const uint32_t head_dim = rotary + 5;
    std::vector<float> frequencies;
    for (uint32_t i = 0; i < rotary / 2; ++i)
      frequencies.push_back(1.0f / static_cast<float>(1 + i));
    matrix table(50, rotary);
    fill_rotary_table(frequencies, 1, 0, table.view());
    const std::vector<uint32_t> positions = {0, 49, 7, 7, 23};
    const matrix x = matrix::random(5, heads * head_dim, rotary);
    for (const auto style :
         {rope_style::half_split, rope_style::interleaved, rope_style::interleaved_in_place}) {
      const matrix y = all_agree(x, [&](kernels& k, matrix& out) {
        k.rope({.x = out.view(),
                .heads = heads,
                .head_dim = head_dim,
                .rotary_begin = 4,
                .rotary_dim = rotary,
                .style = style,
                .cos_sin = table.view(),
                .positions = positions});
      });
      for (uint32_t h = 0; h < heads; ++h) {
        const uint32_t at = h * head_dim + 4;
        const bool halves = style == rope_style::half_split;
        for (uint32_t i = 0; i < rotary / 2; ++i) {
          const double angle = 23.0 * frequencies[i];
          const double a = x.at(4, halves ? at + i : at + 2 * i);
          const double b = x.at(4, halves ? at + i + rotary / 2 : at + 2 * i + 1);
          const bool in_place = style == rope_style::interleaved_in_place;
          ASSERT_NEAR(y.at(4, in_place ? at + 2 * i : at + i),
                      a * std::cos(angle) - b * std::sin(angle), 1e-6);
          ASSERT_NEAR(y.at(4, in_place ? at + 2 * i + 1 : at + i + rotary / 2),
                      b * std::cos(angle) + a * std::sin(angle), 1e-6);
        }
        ASSERT_EQ(y.at(4, h * head_dim), x.at(4, h * head_dim)) << "columns before the rotary part";
        ASSERT_EQ(y.at(4, at + rotary), x.at(4, at + rotary)) << "columns behind the rotary part";
      }
      for (uint32_t c = 0; c < x.cols() && style != rope_style::interleaved; ++c) {
        ASSERT_EQ(y.at(0, c), x.at(0, c)) << "position 0 turns nothing";
      }
    }
  }
}

TEST_F(elementwise_test, gathers_rows) {
  const matrix x = matrix::random(9, 33, 1);
  const std::vector<uint32_t> rows = {8, 0, 3, 3, 5};
  const matrix y = all_agree(matrix(5, 33), [&](kernels& k, matrix& out) {
    k.gather({.x = x.view(), .rows = rows, .y = out.view()});
  });
  for (uint32_t r = 0; r < 5; ++r) {
    for (uint32_t c = 0; c < 33; ++c) EXPECT_EQ(y.at(r, c), x.at(rows[r], c));
  }
}

TEST_F(elementwise_test, combines_in_routing_order) {
  for (const uint32_t width : widths) {
    for (const uint32_t top_k : {1u, 2u, 8u}) {
      const matrix experts = matrix::random(20, width, 1);
      const matrix shared = matrix::random(3, width, 2);
      const matrix residual = matrix::random(3, width, 3);
      std::vector<uint32_t> slots;
      std::vector<float> weights;
      for (uint32_t i = 0; i < 3 * top_k; ++i) {
        slots.push_back(i * 7 % 20);
        weights.push_back(test::draw(6, i));
      }
      for (const bool with : {false, true}) {
        const matrix y = all_agree(matrix(3, width), [&](kernels& k, matrix& out) {
          k.combine({.expert_rows = experts.view(),
                     .slots = slots,
                     .weights = weights,
                     .top_k = top_k,
                     .shared = with ? shared.view() : const_matrix_view{},
                     .residual = with ? residual.view() : const_matrix_view{},
                     .y = out.view()});
        });
        for (uint32_t r = 0; r < 3; ++r) {
          float sum = 0;
          for (uint32_t j = 0; j < top_k; ++j) {
            sum =
                std::fma(weights[r * top_k + j], experts.at(slots[r * top_k + j], width - 1), sum);
          }
          if (with) sum = residual.at(r, width - 1) + (shared.at(r, width - 1) + sum);
          ASSERT_EQ(y.at(r, width - 1), sum);
        }
      }
    }
  }
}

TEST_F(elementwise_test, clamp_scale_and_gate_agree) {
  const matrix x = every_kind_of_float(6, 700);
  const matrix gate = matrix::random(6, 1, 3, 20);
  const matrix clamped = all_agree(matrix(6, 700), [&](kernels& k, matrix& y) {
    k.clamp({.x = x.view(), .limit = 2.5f, .y = y.view()});
  });
  const matrix scaled = all_agree(
      x, [&](kernels& k, matrix& y) { k.scale({.x = y.view(), .factor = -0.3f, .y = y.view()}); });
  const matrix gated = all_agree(x, [&](kernels& k, matrix& y) {
    k.sigmoid_gate({.x = y.view(), .gate = gate.view(), .y = y.view()});
  });
  for (uint32_t r = 0; r < 6; ++r) {
    const double sigmoid = 1 / (1 + std::exp(-double{gate.at(r, 0)}));
    for (uint32_t c = 0; c < 700; ++c) {
      const float value = x.at(r, c);
      if (std::isnan(value)) continue;
      ASSERT_EQ(clamped.at(r, c), std::clamp(value, -2.5f, 2.5f));
      ASSERT_EQ(scaled.at(r, c), value * -0.3f);
      if (std::fabs(value) > 1e-30f && std::fabs(value) < 1e30f) {
        ASSERT_NEAR(gated.at(r, c) / value, sigmoid, sigmoid * 3e-7);
      }
    }
  }
}

TEST_F(elementwise_test, for_each_runs_every_index_once) {
  for (const uint32_t count : {0u, 1u, 2u, 1000u}) {
    std::vector<int> runs(count);
    test::run(widest(), [&](kernels& k) { k.for_each(count, [&](uint32_t i) { runs[i] += 1; }); });
    EXPECT_EQ(runs, std::vector<int>(count, 1));
  }
}

} // namespace
} // namespace troupe::compute
