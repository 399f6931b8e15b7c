// Attention: the same bits from every instruction set, number of threads, batch, page size and page
// placement, and the value of a plain softmax in double precision.
#include "tests/unit/compute/kernels_fixture.hpp"

#include "compute/kv_layout.hpp"

#include <limits>
#include <numeric>

namespace troupe::compute {
namespace {

using test::matrix;
using test::same_bits;

class attention_test : public test::kernels_test {};

struct heads_shape {
  uint32_t kv_heads, q_heads, key_dim, value_dim;
  bool value_in_key = false;
};

// A pool of pages with one or more sequences in it; every float of a page that no token owns is
// NaN, so that a kernel that looks at one is found out.
class cache {
public:
  cache(const heads_shape& heads, uint32_t page_tokens, uint32_t pages)
      : shape_{page_tokens, heads.kv_heads, heads.key_dim, heads.value_dim, heads.value_in_key},
        memory_(pages * kv_page_bytes(shape_)),
        pages_(pages) {
    for (float& value : memory_.as<float>()) value = std::numeric_limits<float>::quiet_NaN();
  }

  // Stores tokens [0, tokens) of a sequence whose keys and values come from `seed`, into pages
  // taken in steps of `stride` from `first`.
  void fill(executor& device, uint64_t seed, uint32_t tokens, uint32_t first, uint32_t stride) {
    std::vector<uint32_t>& table = tables_.emplace_back();
    for (uint32_t p = 0; p * shape_.page_tokens < tokens; ++p) {
      table.push_back((first + p * stride) % pages_);
    }
    const matrix keys = keys_of(seed, tokens);
    const matrix values = values_of(seed, tokens);
    std::vector<kv_slot> slots;
    for (uint32_t t = 0; t < tokens; ++t) {
      slots.push_back(table[t / shape_.page_tokens] * shape_.page_tokens + t % shape_.page_tokens);
    }
    test::run(device, [&](kernels& k) {
      k.kv_store({.kv = view(), .keys = keys.view(), .values = values.view(), .slots = slots});
    });
  }
  // One stream of draws a column, so that a longer sequence begins like a shorter one.
  matrix keys_of(uint64_t seed, uint32_t tokens) const {
    return matrix::random(tokens, shape_.heads * shape_.key_dim, seed, 2);
  }
  matrix values_of(uint64_t seed, uint32_t tokens) const {
    if (shape_.value_in_key) return matrix(0, 0);
    return matrix::random(tokens, shape_.heads * shape_.value_dim, seed + 1000);
  }

  kv_view view() { return {shape_, memory_.data(), pages_}; }
  std::vector<std::span<const uint32_t>> tables() const { return {tables_.begin(), tables_.end()}; }
  std::vector<std::vector<uint32_t>>& raw_tables() { return tables_; }
  const buffer& memory() const { return memory_; }

private:
  kv_shape shape_;
  buffer memory_;
  uint32_t pages_;
  std::vector<std::vector<uint32_t>> tables_;
};

struct query_rows {
  matrix q;
  std::vector<uint32_t> positions;
  std::vector<uint32_t> sequence_of;
};

query_rows rows_at(const heads_shape& heads, std::vector<uint32_t> positions,
                   std::vector<uint32_t> sequence_of) {
  query_rows made{matrix(static_cast<uint32_t>(positions.size()), heads.q_heads * heads.key_dim),
                  std::move(positions), std::move(sequence_of)};
  for (uint32_t r = 0; r < made.q.rows(); ++r) { // a row's query depends on its place only
    const uint64_t seed = made.sequence_of[r] * 100000 + made.positions[r];
    for (uint32_t c = 0; c < made.q.cols(); ++c) made.q.at(r, c) = 2 * test::draw(seed, c);
  }
  return made;
}

attention_args args_of(cache& pages, const std::vector<std::span<const uint32_t>>& tables,
                       const query_rows& rows, const heads_shape& heads, uint32_t window,
                       matrix_view y) {
  return {.kv = pages.view(),
          .q = rows.q.view(),
          .q_heads = heads.q_heads,
          .scale = 1 / std::sqrt(static_cast<float>(heads.key_dim)),
          .window = window,
          .positions = rows.positions,
          .sequence_of = rows.sequence_of,
          .page_tables = tables,
          .y = y};
}

std::vector<uint32_t> counted(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> made(end - begin);
  std::iota(made.begin(), made.end(), begin);
  return made;
}

constexpr heads_shape head_shapes[] = {
    {2, 2, 16, 16},        {1, 4, 33, 17},        {2, 14, 24, 80},
    {3, 3, 1, 1},          {1, 40, 8, 130},       {1, 1, 20, 7, true},
    {1, 16, 40, 32, true}, {1, 37, 24, 24, true}, {2, 10, 12, 5, true},
};

TEST_F(attention_test, all_instruction_sets_and_threads_give_the_same_bits) {
  struct layout_case {
    uint32_t page_tokens;
    std::vector<uint32_t> windows;
  };
  const layout_case cases[] = {{8, {0, 20}}, {16, {0, 1, 100}}, {64, {0, 64}}};
  for (const heads_shape& heads : head_shapes) {
    for (const auto& [page_tokens, windows] : cases) {
      cache pages(heads, page_tokens, 50);
      pages.fill(plain(), 1, 200, 7, 3);
      pages.fill(plain(), 2, 70, 2, 3);
      const auto tables = pages.tables();
      const auto mixed = rows_at(heads, {0, 1, 5, 63, 64, 65, 130, 199, 69, 0, 17},
                                 {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0});
      const auto prefill = rows_at(heads, counted(40, 75), std::vector<uint32_t>(35, 0));
      for (const uint32_t window : windows) {
        SCOPED_TRACE(text("heads ", heads.kv_heads, " ", heads.q_heads, " dims ", heads.key_dim,
                          " ", heads.value_dim, " page ", page_tokens, " window ", window));
        for (const auto* rows : {&mixed, &prefill}) {
          const matrix y =
              all_agree(matrix(rows->q.rows(), heads.q_heads * heads.value_dim),
                        [&](kernels& k, matrix& out) {
                          k.attention(args_of(pages, tables, *rows, heads, window, out.view()));
                        });
          for (uint32_t r = 0; r < y.rows(); ++r) ASSERT_FALSE(std::isnan(y.at(r, 0)));
          ASSERT_FALSE(HasFailure());
        }
      }
    }
  }
}

// softmax over the visible positions, all in double.
std::vector<double> exact_head(const cache& pages, const query_rows& rows, uint32_t r, uint32_t h,
                               const heads_shape& heads, uint32_t window, uint64_t seed) {
  const uint32_t position = rows.positions[r];
  const matrix keys = pages.keys_of(seed, position + 1);
  const matrix values = pages.values_of(seed, position + 1);
  const uint32_t kv_head = h / (heads.q_heads / heads.kv_heads);
  const uint32_t begin = window != 0 && position + 1 > window ? position + 1 - window : 0;
  std::vector<double> y(heads.value_dim);
  double total = 0;
  for (uint32_t p = begin; p <= position; ++p) {
    double score = 0;
    for (uint32_t d = 0; d < heads.key_dim; ++d) {
      score +=
          double{rows.q.at(r, h * heads.key_dim + d)} * keys.at(p, kv_head * heads.key_dim + d);
    }
    const double weight = std::exp(score / std::sqrt(double{static_cast<float>(heads.key_dim)}));
    total += weight;
    for (uint32_t d = 0; d < heads.value_dim; ++d) {
      y[d] += weight * (heads.value_in_key ? keys.at(p, kv_head * heads.key_dim + d)
                                           : values.at(p, kv_head * heads.value_dim + d));
    }
  }
  for (double& value : y) value /= total;
  return y;
}

TEST_F(attention_test, agrees_with_a_plain_softmax_in_double_precision) {
  for (const heads_shape& heads : head_shapes) {
    cache pages(heads, 16, 30);
    pages.fill(widest(), 5, 300, 3, 7);
    const auto tables = pages.tables();
    const auto rows = rows_at(heads, {0, 63, 64, 150, 299}, {0, 0, 0, 0, 0});
    for (const uint32_t window : {0u, 90u}) {
      const matrix y =
          all_agree(matrix(5, heads.q_heads * heads.value_dim), [&](kernels& k, matrix& out) {
            k.attention(args_of(pages, tables, rows, heads, window, out.view()));
          });
      for (uint32_t r = 0; r < 5; ++r) {
        for (uint32_t h = 0; h < heads.q_heads; h += 3) {
          const auto exact = exact_head(pages, rows, r, h, heads, window, 5);
          for (uint32_t d = 0; d < heads.value_dim; ++d) {
            ASSERT_NEAR(y.at(r, h * heads.value_dim + d), exact[d], 4e-6);
          }
        }
      }
    }
  }
}

TEST_F(attention_test, a_row_gives_the_same_bits_whatever_is_computed_with_it) {
  for (const heads_shape& heads : head_shapes) {
    for (const uint32_t window : {0u, 30u}) {
      cache pages(heads, 16, 40);
      pages.fill(widest(), 1, 180, 1, 3);
      pages.fill(widest(), 2, 180, 2, 3);
      const auto tables = pages.tables();
      const uint32_t width = heads.q_heads * heads.value_dim;
      const auto all = rows_at(heads, counted(0, 180), std::vector<uint32_t>(180, 0));
      matrix together(180, width);
      test::run(widest(), [&](kernels& k) {
        k.attention(args_of(pages, tables, all, heads, window, together.view()));
      });
      for (const uint32_t position : {0u, 15u, 16u, 63u, 64u, 100u, 179u}) {
        // Alone, and between rows of another sequence.
        const auto alone = rows_at(heads, {position}, {0});
        const auto between = rows_at(heads, {3, position, 170, 171}, {1, 0, 1, 1});
        matrix y(1, width);
        matrix z(4, width);
        test::run(widest(), [&](kernels& k) {
          k.attention(args_of(pages, tables, alone, heads, window, y.view()));
          k.attention(args_of(pages, tables, between, heads, window, z.view()));
        });
        for (uint32_t c = 0; c < width; ++c) {
          ASSERT_TRUE(same_bits(y.at(0, c), together.at(position, c)));
          ASSERT_TRUE(same_bits(z.at(1, c), together.at(position, c)));
        }
      }
    }
  }
}

TEST_F(attention_test, page_size_and_placement_change_no_bit) {
  for (const heads_shape& heads : head_shapes) {
    const auto rows = rows_at(heads, {5, 64, 127, 128, 149}, {0, 0, 0, 0, 0});
    std::vector<matrix> results;
    for (const uint32_t page_tokens : {8u, 16u, 32u, 64u}) {
      for (const uint32_t first : {0u, 11u}) {
        cache pages(heads, page_tokens, 31);
        pages.fill(widest(), 4, 150, first, 13);
        const auto tables = pages.tables();
        matrix y(5, heads.q_heads * heads.value_dim);
        test::run(widest(), [&](kernels& k) {
          k.attention(args_of(pages, tables, rows, heads, 0, y.view()));
        });
        results.push_back(std::move(y));
      }
    }
    for (const matrix& y : results) ASSERT_TRUE(same_bits(y, results.front()));
  }
}

TEST_F(attention_test, pages_behind_the_window_may_be_gone) {
  const heads_shape heads{1, 2, 16, 16};
  cache pages(heads, 8, 40);
  pages.fill(widest(), 4, 200, 0, 1);
  const auto rows = rows_at(heads, {199}, {0});
  const auto attend = [&] {
    return all_agree(matrix(1, 32), [&](kernels& k, matrix& out) {
      k.attention(args_of(pages, pages.tables(), rows, heads, 50, out.view()));
    });
  };
  const matrix before = attend();
  for (uint32_t p = 0; p < 150 / 8; ++p) pages.raw_tables()[0][p] = 0xffffffff;
  EXPECT_TRUE(same_bits(before, attend()));
}

TEST_F(attention_test, stored_tokens_land_in_the_same_bytes_everywhere) {
  for (const heads_shape& heads : head_shapes) {
    cache expected(heads, 16, 12);
    cache actual(heads, 16, 12);
    expected.fill(plain(), 3, 100, 5, 5);
    actual.fill(widest(), 3, 100, 5, 5);
    EXPECT_EQ(
        std::memcmp(expected.memory().data(), actual.memory().data(), actual.memory().bytes()), 0);
  }
}

TEST_F(attention_test, no_rows_are_no_work) {
  const heads_shape heads{1, 2, 16, 16};
  cache pages(heads, 8, 4);
  const auto rows = rows_at(heads, {}, {});
  all_agree(matrix(0, 32), [&](kernels& k, matrix& out) {
    k.attention(args_of(pages, {}, rows, heads, 0, out.view()));
  });
}

} // namespace
} // namespace troupe::compute
