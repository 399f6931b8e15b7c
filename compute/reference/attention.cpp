// Reference attention: per chunk of 64 positions scores, maximum, exponentials and weighted values;
// chunks merged in ascending order.
#include "base/check.hpp"
#include "compute/attention_chunks.hpp"
#include "compute/checks.hpp"
#include "compute/kv_layout.hpp"
#include "compute/reference/kernels.hpp"
#include "compute/reference/math.hpp"

#include <array>
#include <limits>
#include <vector>

namespace troupe::compute {
namespace {

struct partial {
  float max = 0;
  float sum = 0;
  std::vector<float> values;
};

// One query head against one key-value head of its sequence.
struct head_view {
  const attention_args* args;
  kv_layout layout;
  std::span<const uint32_t> pages;
  const float* q;
  uint32_t kv_head;

  const float* page(uint32_t position) const {
    const uint32_t number = pages[position / layout.shape.page_tokens];
    TROUPE_CHECK(number < args->kv.pages);
    return reinterpret_cast<const float*>(args->kv.data) + number * layout.page_floats();
  }
  // First entry; the others follow key_step() apart.
  const float* key(uint32_t position) const {
    return page(position) + layout.key(kv_head, position % layout.shape.page_tokens, 0);
  }
  const float* value(uint32_t position) const {
    return page(position) + layout.value(kv_head, position % layout.shape.page_tokens, 0);
  }
};

float score(const head_view& head, uint32_t position) {
  const float* key = head.key(position);
  const size_t step = head.layout.key_step();
  float sum = 0;
  for (uint32_t d = 0; d < head.layout.shape.key_dim; ++d) {
    sum = std::fma(head.q[d], key[d * step], sum);
  }
  return sum * head.args->scale;
}

// Positions [begin, end) of one chunk.
partial attend_chunk(const head_view& head, uint32_t begin, uint32_t end) {
  std::array<float, attention_chunk> weights{};
  partial made;
  made.max = -std::numeric_limits<float>::infinity();
  for (uint32_t p = begin; p < end; ++p) {
    weights[p % attention_chunk] = score(head, p);
    made.max = reference::max(weights[p % attention_chunk], made.max);
  }
  std::array<float, 16> lanes{};
  for (uint32_t p = begin; p < end; ++p) {
    float& weight = weights[p % attention_chunk];
    weight = reference::exp(weight - made.max);
    lanes[p % 16] = lanes[p % 16] + weight;
  }
  made.sum = reference::tree_sum(lanes);
  made.values.assign(head.layout.shape.value_dim, 0.0f);
  for (uint32_t p = begin; p < end; ++p) {
    const float* value = head.value(p);
    const float weight = weights[p % attention_chunk];
    for (uint32_t d = 0; d < head.layout.shape.value_dim; ++d) {
      made.values[d] = std::fma(weight, value[d], made.values[d]);
    }
  }
  return made;
}

void merge(partial& so_far, const partial& next) {
  const float max = reference::max(so_far.max, next.max);
  const float old_factor = reference::exp(so_far.max - max);
  const float new_factor = reference::exp(next.max - max);
  so_far.max = max;
  so_far.sum = std::fma(so_far.sum, old_factor, next.sum * new_factor);
  for (size_t d = 0; d < next.values.size(); ++d) {
    so_far.values[d] = std::fma(so_far.values[d], old_factor, next.values[d] * new_factor);
  }
}

partial attend(const head_view& head, const visible_range& visible) {
  partial so_far;
  for (uint32_t begin = visible.begin; begin < visible.end;) {
    const uint32_t chunk_end = (begin / attention_chunk + 1) * attention_chunk;
    const uint32_t end = std::min(chunk_end, visible.end);
    partial next = attend_chunk(head, begin, end);
    if (begin == visible.begin) {
      so_far = std::move(next);
    } else {
      merge(so_far, next);
    }
    begin = end;
  }
  return so_far;
}

} // namespace

void reference_kernels::attention(const attention_args& args) {
  check_args(args);
  const kv_shape& shape = args.kv.shape;
  for (uint32_t r = 0; r < args.q.rows; ++r) {
    for (uint32_t h = 0; h < args.q_heads; ++h) {
      const head_view head{&args, kv_layout{shape}, args.page_tables[args.sequence_of[r]],
                           args.q.row(r) + size_t{h} * shape.key_dim,
                           h / (args.q_heads / shape.heads)};
      const partial whole = attend(head, visible_at(args.positions[r], args.window));
      float* y = args.y.row(r) + size_t{h} * shape.value_dim;
      for (uint32_t d = 0; d < shape.value_dim; ++d) y[d] = whole.values[d] / whole.sum;
    }
  }
}

} // namespace troupe::compute
