// Reference attention of training: forward chunk by chunk as when serving, backward from the
// probabilities over the whole visible context.
#pragma once

#include "compute/attention_chunks.hpp"
#include "compute/reference/scalar_math.hpp"
#include "compute/training_kernels.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace troupe::compute::reference {

// One query head of one row and the keys and values of its document.
template <class T>
struct attention_head {
  const training_attention_args<T>& args;
  const document_rows& document;
  uint32_t row;
  uint32_t head;

  uint32_t kv_head() const { return head / (args.heads / args.kv_heads); }
  visible_range visible() const { return visible_at(row - document.begin, args.window); }
  const T* query() const { return args.q.row(row) + size_t{head} * args.key_dim; }
  const T* key(uint32_t position) const {
    return args.keys.row(document.begin + position) + size_t{kv_head()} * args.key_dim;
  }
  const T* value(uint32_t position) const {
    return args.values.row(document.begin + position) + size_t{kv_head()} * args.value_dim;
  }
  T score(uint32_t position) const {
    const T* q = query();
    const T* k = key(position);
    T sum = 0;
    for (uint32_t d = 0; d < args.key_dim; ++d) sum = std::fma(q[d], k[d], sum);
    return sum * args.scale;
  }
};

template <class T>
struct attention_partial {
  T max = 0;
  T sum = 0;
  std::vector<T> values;
};

template <class T>
attention_partial<T> attend_chunk(const attention_head<T>& head, uint32_t begin, uint32_t end) {
  std::array<T, attention_chunk> weights{};
  attention_partial<T> made;
  made.max = -std::numeric_limits<T>::infinity();
  for (uint32_t p = begin; p < end; ++p) {
    const T s = head.score(p);
    weights[p % attention_chunk] = s;
    made.max = s > made.max ? s : made.max;
  }
  lane_sum<T> lanes;
  for (uint32_t p = begin; p < end; ++p) {
    T& weight = weights[p % attention_chunk];
    weight = scalar_math<T>::exp(weight - made.max);
    lanes.add(p, weight);
  }
  made.sum = lanes.total();
  made.values.assign(head.args.value_dim, T(0));
  for (uint32_t p = begin; p < end; ++p) {
    const T* value = head.value(p);
    const T weight = weights[p % attention_chunk];
    for (uint32_t d = 0; d < head.args.value_dim; ++d)
      made.values[d] = std::fma(weight, value[d], made.values[d]);
  }
  return made;
}

template <class T>
void merge_partial(attention_partial<T>& so_far, const attention_partial<T>& next) {
  const T max = so_far.max > next.max ? so_far.max : next.max;
  const T old_factor = scalar_math<T>::exp(so_far.max - max);
  const T new_factor = scalar_math<T>::exp(next.max - max);
  so_far.max = max;
  so_far.sum = std::fma(so_far.sum, old_factor, next.sum * new_factor);
  for (size_t d = 0; d < next.values.size(); ++d)
    so_far.values[d] = std::fma(so_far.values[d], old_factor, next.values[d] * new_factor);
}

template <class T>
void attend(const attention_head<T>& head) {
  const visible_range visible = head.visible();
  attention_partial<T> so_far;
  for (uint32_t begin = visible.begin; begin < visible.end;) {
    const uint32_t chunk_end = (begin / attention_chunk + 1) * attention_chunk;
    const uint32_t end = std::min(chunk_end, visible.end);
    attention_partial<T> next = attend_chunk(head, begin, end);
    if (begin == visible.begin)
      so_far = std::move(next);
    else
      merge_partial(so_far, next);
    begin = end;
  }
  T* y = head.args.y.row(head.row) + size_t{head.head} * head.args.value_dim;
  for (uint32_t d = 0; d < head.args.value_dim; ++d) y[d] = so_far.values[d] / so_far.sum;
}

// Probabilities of the visible positions, entry 0 being the first of them.
template <class T>
std::vector<T> probabilities(const attention_head<T>& head) {
  const visible_range visible = head.visible();
  std::vector<T> out(visible.end - visible.begin);
  T max = -std::numeric_limits<T>::infinity();
  for (uint32_t p = visible.begin; p < visible.end; ++p) {
    const T s = head.score(p);
    out[p - visible.begin] = s;
    max = s > max ? s : max;
  }
  lane_sum<T> lanes;
  for (uint32_t p = visible.begin; p < visible.end; ++p) {
    T& weight = out[p - visible.begin];
    weight = scalar_math<T>::exp(weight - max);
    lanes.add(p, weight);
  }
  const T sum = lanes.total();
  for (T& weight : out) weight = weight / sum;
  return out;
}

// Adds what one row's head contributes to dkeys and dvalues, and sets its dq.
template <class T>
void attend_backward(const attention_head<T>& head,
                     const training_attention_backward_args<T>& args) {
  const auto& forward = args.forward;
  const visible_range visible = head.visible();
  const std::vector<T> weights = probabilities(head);
  const size_t at = size_t{head.head} * forward.value_dim;
  const T* dy = args.dy.row(head.row) + at;
  const T* y = forward.y.row(head.row) + at;
  lane_sum<T> lanes;
  for (uint32_t d = 0; d < forward.value_dim; ++d) lanes.add_product(d, dy[d], y[d]);
  const T drift = lanes.total();

  T* dq = args.dq.row(head.row) + size_t{head.head} * forward.key_dim;
  std::fill(dq, dq + forward.key_dim, T(0));
  for (uint32_t p = visible.begin; p < visible.end; ++p) {
    const T weight = weights[p - visible.begin];
    const T* value = head.value(p);
    T dweight = 0;
    for (uint32_t d = 0; d < forward.value_dim; ++d) dweight = std::fma(dy[d], value[d], dweight);
    const T dscore = weight * (dweight - drift) * forward.scale;
    const T* key = head.key(p);
    const T* q = head.query();
    const uint32_t row = head.document.begin + p;
    T* dkey = args.dkeys.row(row) + size_t{head.kv_head()} * forward.key_dim;
    T* dvalue = args.dvalues.row(row) + size_t{head.kv_head()} * forward.value_dim;
    for (uint32_t d = 0; d < forward.key_dim; ++d) {
      dq[d] = std::fma(dscore, key[d], dq[d]);
      dkey[d] = std::fma(dscore, q[d], dkey[d]);
    }
    for (uint32_t d = 0; d < forward.value_dim; ++d) dvalue[d] = std::fma(weight, dy[d], dvalue[d]);
  }
}

} // namespace troupe::compute::reference
