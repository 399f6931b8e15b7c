// Attention of a tile of queries over the pages of one sequence, for any vector unit. Queries that
// see the same chunk share its loads; each keeps its own sums in the canonical order
// (docs/numerics.md).
#pragma once

#include "compute/cpu/kernel_math.hpp"
#include "compute/cpu/kernel_table.hpp"

namespace troupe::compute {

template <class S>
struct attention_kernels {
  using f = typename S::f;
  using math = math_kernels<S>;
  static constexpr uint32_t chunk = 64;

  // What the queries of a tile hold between chunks, all in the scratch.
  struct state {
    uint32_t queries;
    uint32_t value_stride; // value_dim rounded up to whole vectors
    float* scores;         // [queries rounded up][chunk]; becomes the weights
    float* turned;         // value_in_key: [queries / 16][key_dim][16], the queries by lanes
    float* part;           // [queries][value_stride], of this chunk
    float* out;            // [queries][value_stride], of all chunks so far
    float* part_max;
    float* part_sum;
    float* max;
    float* sum; // 0: no chunk yet; any real sum is at least 1
  };

  // The chunk at hand: positions base + [begin, end) are visible to some row.
  struct window {
    uint32_t base;
    uint32_t begin;
    uint32_t end;
  };

  // What one query sees of the chunk, relative to its base.
  struct range {
    uint32_t begin;
    uint32_t end;
  };

  static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
  static uint32_t most(uint32_t a, uint32_t b) { return a < b ? b : a; }

  static state lay_out(const attention_tile& t) {
    state s{};
    s.queries = t.rows * t.heads;
    s.value_stride = (t.value_dim + 15) / 16 * 16;
    const size_t rounded = (s.queries + 15) / 16 * 16;
    s.scores = t.scratch;
    s.turned = s.scores + rounded * chunk;
    s.part = s.turned + rounded * t.key_dim;
    s.out = s.part + rounded * s.value_stride;
    s.part_max = s.out + rounded * s.value_stride;
    s.part_sum = s.part_max + rounded;
    s.max = s.part_sum + rounded;
    s.sum = s.max + rounded;
    return s;
  }

  static const float* query(const attention_tile& t, uint32_t q) {
    return t.q + q / t.heads * t.q_stride + size_t{q % t.heads} * t.key_dim;
  }
  static const float* page_of(const attention_tile& t, uint32_t position) {
    return t.pages + t.page_numbers[position / t.page_tokens] * t.page_floats;
  }
  static range seen(const attention_tile& t, uint32_t row) {
    const uint32_t end = t.positions[row] + 1;
    return {t.window != 0 && end > t.window ? end - t.window : 0, end};
  }
  static range seen_in(const attention_tile& t, const window& w, uint32_t q) {
    const range all = seen(t, q / t.heads);
    const uint32_t begin = most(all.begin, w.base);
    const uint32_t end = least(all.end, w.base + chunk);
    return begin < end ? range{begin - w.base, end - w.base} : range{0, 0};
  }

  // Scores over positions: N queries by the 64 positions of the chunk. Eight (or, when pages are
  // large enough, sixteen) positions lie in one page; where that page holds nothing visible the
  // first visible one stands in, and nobody looks at the result.
  template <int N, bool whole_vectors>
  static void score_step(const attention_tile& t, const state& s, uint32_t q0,
                         const float* const* eights) {
    f sums[N][4];
    const float* x[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      x[n] = query(t, q0 + n);
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) sums[n][g] = S::set(0.0f);
    }
    for (uint32_t d = 0; d < t.key_dim; ++d) {
      const size_t at = size_t{d} * t.page_tokens;
      f keys[4];
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
        keys[g] = whole_vectors ? S::load(eights[2 * g] + at)
                                : S::load_halves(eights[2 * g] + at, eights[2 * g + 1] + at);
      }
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const f one = S::set(x[n][d]);
#pragma GCC unroll 4
        for (int g = 0; g < 4; ++g) sums[n][g] = S::fma(one, keys[g], sums[n][g]);
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) S::store(s.scores + (q0 + n) * chunk + g * 16, sums[n][g]);
    }
  }

  template <int N, bool whole_vectors>
  static void score_queries(const attention_tile& t, const state& s, uint32_t q,
                            const float* const* eights) {
    for (; q + N <= s.queries; q += N) score_step<N, whole_vectors>(t, s, q, eights);
    if constexpr (N > 1) score_queries<N - 1, whole_vectors>(t, s, q, eights);
  }

  static void score_by_positions(const attention_tile& t, const state& s, const window& w) {
    const uint32_t unit = t.page_tokens < 16 ? 8 : 16;
    const uint32_t first_page = (w.base + w.begin) / t.page_tokens;
    const uint32_t last_page = (w.base + w.end - 1) / t.page_tokens;
    const float* eights[8];
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t wanted = w.base + i * 8;
      const uint32_t page = wanted / t.page_tokens;
      const bool visible = first_page <= page && page <= last_page;
      const uint32_t position = (visible ? wanted : w.base + w.begin) / unit * unit;
      eights[i] = page_of(t, position) + t.key_offset + position % t.page_tokens;
    }
    if (unit == 16) {
      score_queries<S::score_queries, true>(t, s, 0, eights);
    } else {
      score_queries<S::score_queries, false>(t, s, 0, eights);
    }
  }

  // Scores over queries, for keys that many query heads share: 16 queries by a few positions.
  static void turn_queries(const attention_tile& t, const state& s) {
    for (uint32_t q = 0; q < s.queries; ++q) {
      const float* x = query(t, q);
      float* lane = s.turned + size_t{q / 16} * t.key_dim * 16 + q % 16;
      for (uint32_t d = 0; d < t.key_dim; ++d) lane[size_t{d} * 16] = x[d];
    }
  }

  static const float* shared_key(const attention_tile& t, uint32_t position) {
    return page_of(t, position) + t.key_offset + size_t{position % t.page_tokens} * t.key_dim;
  }

  static void score_by_queries(const attention_tile& t, const state& s, const window& w) {
    constexpr int N = S::shared_key_positions;
    for (uint32_t q0 = 0; q0 < s.queries; q0 += 16) {
      const float* turned = s.turned + size_t{q0} * t.key_dim;
      for (uint32_t p0 = w.begin; p0 < w.end; p0 += N) {
        const float* keys[N];
        f sums[N];
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) {
          keys[n] = shared_key(t, w.base + least(p0 + n, w.end - 1));
          sums[n] = S::set(0.0f);
        }
        for (uint32_t d = 0; d < t.key_dim; ++d) {
          const f x = S::load(turned + size_t{d} * 16);
#pragma GCC unroll 16
          for (int n = 0; n < N; ++n) sums[n] = S::fma(x, S::set(keys[n][d]), sums[n]);
        }
        for (int n = 0; n < N && p0 + n < w.end; ++n) {
          float lanes[16];
          S::store(lanes, sums[n]);
          for (uint32_t q = 0; q < 16; ++q) s.scores[(q0 + q) * chunk + p0 + n] = lanes[q];
        }
      }
    }
  }

  // Scores become weights exp(score - max), zero where nothing is seen.
  static void weigh(const attention_tile& t, const state& s, uint32_t q, const range& r) {
    float* scores = s.scores + size_t{q} * chunk;
    const f factor = S::set(t.scale);
    const f nothing = S::set(-__builtin_inff());
    f largest = nothing;
    for (uint32_t g = 0; g < 4; ++g) {
      const f scaled = S::mul(S::load(scores + g * 16), factor);
      S::store(scores + g * 16, scaled);
      const f visible = S::keep_lanes(scaled, nothing, lane(r.begin, g), lane(r.end, g));
      largest = S::max(visible, largest);
    }
    const float max = S::largest(largest);
    f sums = S::set(0.0f);
    for (uint32_t g = 0; g < 4; ++g) {
      const f weight = math::exp(S::sub(S::load(scores + g * 16), S::set(max)));
      const f visible = S::keep_lanes(weight, S::set(0.0f), lane(r.begin, g), lane(r.end, g));
      S::store(scores + g * 16, visible);
      sums = S::add(sums, visible);
    }
    s.part_max[q] = max;
    s.part_sum[q] = S::tree_sum(sums);
  }
  // Where position p of the chunk stands among the lanes of vector g.
  static uint32_t lane(uint32_t p, uint32_t g) {
    return p <= g * 16 ? 0 : least(p - g * 16, 16);
  }

  // Adds the weighted values of positions [begin, end) to the parts of N queries, V vectors of
  // columns from `column` on, of which the last may have fewer lanes.
  template <int N, int V>
  static void value_step(const state& s, uint32_t q0, const float* const* values, const range& r,
                         uint32_t column, uint32_t lanes) {
    f sums[N][V];
    const float* weights = s.scores + size_t{q0} * chunk;
    float* part = s.part + size_t{q0} * s.value_stride + column;
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[n][v] = S::load(part + n * s.value_stride + v * 16);
    }
    for (uint32_t p = r.begin; p < r.end; ++p) {
      const float* row = values[p] + column;
      f value[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) value[v] = V > 1 ? S::load(row + v * 16) : math::load(row, lanes);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const f weight = S::set(weights[n * chunk + p]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[n][v] = S::fma(weight, value[v], sums[n][v]);
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) S::store(part + n * s.value_stride + v * 16, sums[n][v]);
    }
  }

  template <int N>
  static void add_values(const attention_tile& t, const state& s, uint32_t q0,
                         const float* const* values, const range& r) {
    if (r.begin >= r.end) return;
    uint32_t column = 0;
    for (; column + 64 <= t.value_dim; column += 64) {
      value_step<N, 4>(s, q0, values, r, column, 16);
    }
    for (; column < t.value_dim; column += 16) {
      value_step<N, 1>(s, q0, values, r, column, least(t.value_dim - column, 16));
    }
  }

  // N queries: positions that all of them see are taken together, the others one query at a time.
  template <int N>
  static void value_block(const attention_tile& t, const state& s, const window& w, uint32_t q0,
                          const float* const* values) {
    range common{0, chunk};
    range each[N];
    for (int n = 0; n < N; ++n) {
      each[n] = seen_in(t, w, q0 + n);
      common = {most(common.begin, each[n].begin), least(common.end, each[n].end)};
    }
    if (common.begin >= common.end) {
      for (int n = 0; n < N; ++n) add_values<1>(t, s, q0 + n, values, each[n]);
      return;
    }
    for (int n = 0; n < N; ++n) add_values<1>(t, s, q0 + n, values, {each[n].begin, common.begin});
    add_values<N>(t, s, q0, values, common);
    for (int n = 0; n < N; ++n) add_values<1>(t, s, q0 + n, values, {common.end, each[n].end});
  }

  template <int N>
  static void value_queries(const attention_tile& t, const state& s, const window& w, uint32_t q,
                            const float* const* values) {
    for (; q + N <= s.queries; q += N) value_block<N>(t, s, w, q, values);
    if constexpr (N > 1) value_queries<N - 1>(t, s, w, q, values);
  }

  static void sum_values(const attention_tile& t, const state& s, const window& w) {
    const float* values[chunk];
    for (uint32_t p = w.begin; p < w.end; ++p) {
      const uint32_t position = w.base + p;
      values[p] = t.value_in_key ? shared_key(t, position)
                                 : page_of(t, position) + t.value_offset +
                                       size_t{position % t.page_tokens} * t.value_dim;
    }
    const size_t floats = size_t{s.queries} * s.value_stride;
    for (size_t at = 0; at < floats; at += 16) S::store(s.part + at, S::set(0.0f));
    value_queries<S::value_queries>(t, s, w, 0, values);
  }

  // Adds this chunk's part of a query to what the chunks before gave.
  static void merge(const state& s, uint32_t q) {
    float* out = s.out + size_t{q} * s.value_stride;
    const float* part = s.part + size_t{q} * s.value_stride;
    if (s.sum[q] == 0) {
      s.max[q] = s.part_max[q];
      s.sum[q] = s.part_sum[q];
      for (uint32_t d = 0; d < s.value_stride; d += 16) S::store(out + d, S::load(part + d));
      return;
    }
    const float max = s.max[q] > s.part_max[q] ? s.max[q] : s.part_max[q];
    const f old_factor = math::exp(S::set(s.max[q] - max));
    const f new_factor = math::exp(S::set(s.part_max[q] - max));
    const f sum = S::fma(S::set(s.sum[q]), old_factor, S::mul(S::set(s.part_sum[q]), new_factor));
    s.max[q] = max;
    S::store_part(s.sum + q, sum, 1);
    for (uint32_t d = 0; d < s.value_stride; d += 16) {
      const f added = S::mul(S::load(part + d), new_factor);
      S::store(out + d, S::fma(S::load(out + d), old_factor, added));
    }
  }

  static void attend_chunk(const attention_tile& t, const state& s, const window& w) {
    if (t.value_in_key) {
      score_by_queries(t, s, w);
    } else {
      score_by_positions(t, s, w);
    }
    for (uint32_t q = 0; q < s.queries; ++q) weigh(t, s, q, seen_in(t, w, q));
    sum_values(t, s, w);
    for (uint32_t q = 0; q < s.queries; ++q) {
      const range r = seen_in(t, w, q);
      if (r.begin < r.end) merge(s, q);
    }
  }

  static void attend(const attention_tile& t) {
    const state s = lay_out(t);
    range all = seen(t, 0);
    for (uint32_t r = 1; r < t.rows; ++r) {
      const range one = seen(t, r);
      all = {least(all.begin, one.begin), most(all.end, one.end)};
    }
    if (t.value_in_key) turn_queries(t, s);
    for (uint32_t q = 0; q < s.queries; ++q) s.sum[q] = 0;
    for (uint32_t base = all.begin / chunk * chunk; base < all.end; base += chunk) {
      const uint32_t begin = most(all.begin, base) - base;
      const uint32_t end = least(all.end, base + chunk) - base;
      attend_chunk(t, s, {base, begin, end});
    }
    for (uint32_t q = 0; q < s.queries; ++q) {
      float* y = t.y + q / t.heads * t.y_stride + size_t{q % t.heads} * t.value_dim;
      const float* out = s.out + size_t{q} * s.value_stride;
      const f sum = S::set(s.sum[q]);
      math::for_lanes(t.value_dim, [&](uint32_t at, uint32_t lanes) {
        math::store(y + at, S::div(S::load(out + at), sum), lanes);
      });
    }
  }
};

} // namespace troupe::compute
