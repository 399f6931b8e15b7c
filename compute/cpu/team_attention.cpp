// Attention over the team: rows of one sequence that follow each other share a tile, so that keys
// and values are loaded once for several queries; tiles are dealt out by the positions they see.
#include "base/check.hpp"
#include "compute/attention_chunks.hpp"
#include "compute/checks.hpp"
#include "compute/cpu/team_kernels.hpp"
#include "compute/kv_layout.hpp"

#include <algorithm>

namespace troupe::compute {
namespace {

constexpr uint32_t queries_wanted = 24; // per tile
constexpr uint32_t heads_max = 32;      // of one row in a tile

struct tile {
  uint32_t row = 0;
  uint32_t rows = 0;
  uint32_t head = 0; // query head
  uint32_t heads = 0;
  uint64_t cost_begin = 0;
};

// How many rows and query heads of one key-value head go into a tile.
struct tile_size {
  uint32_t rows = 1;
  uint32_t heads = 1;
};

} // namespace

struct team_kernels::attention_plan {
  const attention_args& args;
  kv_layout layout;
  uint32_t heads_each; // query heads of a key-value head
  tile_size size;
  std::vector<tile> tiles;
  uint64_t cost = 0;

  attention_plan(const attention_args& a, uint32_t threads)
      : args(a), layout{a.kv.shape}, heads_each(a.q_heads / a.kv.shape.heads) {
    check_pages();
    choose_size(threads);
    cut();
  }

  // Every page that some row reads must exist.
  void check_pages() const {
    const uint32_t page_tokens = args.kv.shape.page_tokens;
    for (uint32_t r = 0; r < args.q.rows;) {
      const uint32_t sequence = args.sequence_of[r];
      visible_range all = visible_at(args.positions[r], args.window);
      for (; r < args.q.rows && args.sequence_of[r] == sequence; ++r) {
        const visible_range one = visible_at(args.positions[r], args.window);
        all = {std::min(all.begin, one.begin), std::max(all.end, one.end)};
      }
      const auto pages = args.page_tables[sequence];
      for (uint32_t p = all.begin / page_tokens; p <= (all.end - 1) / page_tokens; ++p) {
        TROUPE_CHECK(pages[p] < args.kv.pages);
      }
    }
  }

  uint64_t tiles_of(tile_size s) const {
    uint64_t rows = 0;
    for (uint32_t r = 0; r < args.q.rows; r += run_length(r, s.rows)) ++rows;
    return rows * args.kv.shape.heads * ((heads_each + s.heads - 1) / s.heads);
  }
  // Rows from r on that share its sequence, at most `most`.
  uint32_t run_length(uint32_t r, uint32_t most) const {
    uint32_t n = 1;
    while (n < most && r + n < args.q.rows && args.sequence_of[r + n] == args.sequence_of[r]) ++n;
    return n;
  }

  // Large tiles save loads; but every thread wants some. Heads that share their keys are scored
  // sixteen at a time, so fewer than eight make no sense there.
  void choose_size(uint32_t threads) {
    size.heads = std::min(heads_each, heads_max);
    size.rows = std::max(1u, queries_wanted / size.heads);
    const uint32_t heads_min = args.kv.shape.value_in_key ? std::min(8u, size.heads) : 1;
    while (threads > 1 && tiles_of(size) < uint64_t{2} * threads) {
      if (size.rows > 1) {
        size.rows = (size.rows + 1) / 2;
      } else if (size.heads > heads_min) {
        size.heads = std::max(heads_min, (size.heads + 1) / 2);
      } else {
        return;
      }
    }
  }

  void cut() {
    const kv_shape& shape = args.kv.shape;
    for (uint32_t r = 0; r < args.q.rows;) {
      const uint32_t rows = run_length(r, size.rows);
      uint64_t chunks = 0;
      for (uint32_t i = 0; i < rows; ++i) {
        const visible_range v = visible_at(args.positions[r + i], args.window);
        chunks += (v.end - 1) / attention_chunk - v.begin / attention_chunk + 1;
      }
      for (uint32_t kv_head = 0; kv_head < shape.heads; ++kv_head) {
        for (uint32_t h = 0; h < heads_each; h += size.heads) {
          const uint32_t heads = std::min(size.heads, heads_each - h);
          tiles.push_back({r, rows, kv_head * heads_each + h, heads, cost});
          cost += chunks * heads * (attention_chunk / 16) * (shape.key_dim + shape.value_dim);
        }
      }
      r += rows;
    }
  }

  attention_tile describe(const tile& t, float* scratch) const {
    const kv_shape& shape = args.kv.shape;
    const uint32_t kv_head = t.head / heads_each;
    return {.q = args.q.row(t.row) + size_t{t.head} * shape.key_dim,
            .q_stride = args.q.stride,
            .rows = t.rows,
            .heads = t.heads,
            .key_dim = shape.key_dim,
            .value_dim = shape.value_dim,
            .positions = args.positions.data() + t.row,
            .window = args.window,
            .scale = args.scale,
            .pages = reinterpret_cast<const float*>(args.kv.data),
            .page_floats = layout.page_floats(),
            .page_numbers = args.page_tables[args.sequence_of[t.row]].data(),
            .page_tokens = shape.page_tokens,
            .key_offset = layout.key(kv_head, 0, 0),
            .value_offset = layout.value(kv_head, 0, 0),
            .value_in_key = shape.value_in_key,
            .y = args.y.row(t.row) + size_t{t.head} * shape.value_dim,
            .y_stride = args.y.stride,
            .scratch = scratch};
  }
};

void team_kernels::attention(const attention_args& args) {
  check_args(args);
  if (args.q.rows == 0) return;
  const attention_plan plan(args, team_.size());
  const kv_shape& shape = args.kv.shape;
  const size_t floats =
      attention_scratch_floats(plan.size.rows * plan.size.heads, shape.key_dim, shape.value_dim);
  const uint32_t shares = plan.cost <= alone_max ? 1 : team_.size();
  const auto attend = [&](uint32_t share) {
    const uint64_t begin = plan.cost / shares * share;
    const uint64_t end = share + 1 == shares ? plan.cost : plan.cost / shares * (share + 1);
    float* scratch = scratch_floats(share, floats);
    for (const tile& t : plan.tiles) {
      if (t.cost_begin >= begin && t.cost_begin < end) table_.attend(plan.describe(t, scratch));
    }
  };
  if (shares == 1) {
    attend(0);
  } else {
    team_.run(attend);
  }
}

} // namespace troupe::compute
