// Attention of training as products: blocks of rows of a document against all positions they may
// see. A position that a row does not see has weight zero, which changes no sum.
#include "base/check.hpp"
#include "compute/attention_chunks.hpp"
#include "compute/cpu/team_training.hpp"
#include "compute/reference/scalar_math.hpp"

#include <algorithm>

namespace troupe::compute {
namespace {

constexpr uint32_t block_rows = 48;

// One head of a document, with what its rows share.
struct head_block {
  const training_attention_args<float>& args;
  const training_table& training;
  const document_rows& document;
  uint32_t head;

  uint32_t count() const { return document.count(); }
  uint32_t kv_head() const { return head / (args.heads / args.kv_heads); }
  const float* query(uint32_t row) const {
    return args.q.row(document.begin + row) + size_t{head} * args.key_dim;
  }
  const float* key(uint32_t position) const {
    return args.keys.row(document.begin + position) + size_t{kv_head()} * args.key_dim;
  }
  const float* value(uint32_t position) const {
    return args.values.row(document.begin + position) + size_t{kv_head()} * args.value_dim;
  }
  visible_range visible(uint32_t row) const { return visible_at(row, args.window); }

  // All columns of a product, 64 at a time.
  void multiply(training_product whole, uint32_t columns) const {
    for (uint32_t column = 0; column < columns; column += 64) {
      training_product part = whole;
      part.columns = std::min(64u, columns - column);
      part.b += column;
      part.y += column;
      training.product(part);
    }
  }
};

// transposed[d][position], rows of `count` floats.
void turn(const float* first, size_t stride, uint32_t count, uint32_t dim,
          std::vector<float>& transposed) {
  transposed.resize(size_t{count} * dim);
  for (uint32_t p = 0; p < count; ++p)
    for (uint32_t d = 0; d < dim; ++d) transposed[size_t{d} * count + p] = first[p * stride + d];
}

training_product plain_product(const float* a, size_t a_row, size_t a_step, const float* b,
                               size_t b_step) {
  training_product out{};
  out.a = a;
  out.a_row = a_row;
  out.a_step = a_step;
  out.b = b;
  out.b_step = b_step;
  return out;
}

// scores[row - begin][position] of rows [begin, end) for positions below end, not yet scaled.
void block_scores(const head_block& head, const std::vector<float>& keys, uint32_t begin,
                  uint32_t end, float* scores, size_t stride) {
  auto product = plain_product(head.query(begin), head.args.q.stride, 1, keys.data(), head.count());
  product.rows = end - begin;
  product.steps = head.args.key_dim;
  product.y = scores;
  product.y_stride = stride;
  head.multiply(product, end);
}

struct forward_scratch {
  std::vector<float> keys, scores, values, max, sum;
};

// Merges one chunk into rows [begin, end), whose scores are scaled already.
void attend_chunk(const head_block& head, uint32_t begin, uint32_t end, uint32_t chunk,
                  forward_scratch& scratch) {
  const auto& args = head.args;
  const uint32_t from = chunk * attention_chunk, to = std::min(from + attention_chunk, end);
  const size_t stride = head.count();
  std::vector<float> max(end - begin), sum(end - begin);
  for (uint32_t row = begin; row < end; ++row) {
    const auto visible = head.visible(row);
    const uint32_t first = std::clamp(visible.begin, from, to) - from;
    const uint32_t last = std::clamp(visible.end, from, to) - from;
    float* x = scratch.scores.data() + (row - begin) * stride + from;
    if (first >= last) {
      std::fill(x, x + (to - from), 0.0f);
      continue;
    }
    max[row - begin] = head.training.scale_scores(x, 1, first, last, to - from);
    sum[row - begin] = head.training.exponentials(x, max[row - begin], first, last, to - from);
  }
  auto product =
      plain_product(scratch.scores.data() + from, stride, 1, head.value(from), args.values.stride);
  product.rows = end - begin;
  product.steps = to - from;
  product.y = scratch.values.data();
  product.y_stride = args.value_dim;
  head.multiply(product, args.value_dim);
  for (uint32_t row = begin; row < end; ++row) {
    const auto visible = head.visible(row);
    if (visible.begin >= to || visible.end <= from) continue;
    const uint32_t i = row - begin;
    float* y = args.y.row(head.document.begin + row) + size_t{head.head} * args.value_dim;
    const float* next = scratch.values.data() + size_t{i} * args.value_dim;
    if (visible.begin >= from) { // the first chunk that the row sees
      std::copy_n(next, args.value_dim, y);
      scratch.max[i] = max[i];
      scratch.sum[i] = sum[i];
      continue;
    }
    const float most = scratch.max[i] > max[i] ? scratch.max[i] : max[i];
    const float old_factor = reference::exp(scratch.max[i] - most);
    const float new_factor = reference::exp(max[i] - most);
    scratch.max[i] = most;
    scratch.sum[i] = std::fma(scratch.sum[i], old_factor, sum[i] * new_factor);
    head.training.merge(y, old_factor, next, new_factor, args.value_dim);
  }
}

void attend_head(const head_block& head) {
  const auto& args = head.args;
  const uint32_t count = head.count();
  forward_scratch scratch;
  turn(head.key(0), args.keys.stride, count, args.key_dim, scratch.keys);
  scratch.scores.resize(size_t{block_rows} * count);
  scratch.values.resize(size_t{block_rows} * args.value_dim);
  scratch.max.resize(block_rows);
  scratch.sum.resize(block_rows);
  for (uint32_t begin = 0; begin < count; begin += block_rows) {
    const uint32_t end = std::min(begin + block_rows, count);
    block_scores(head, scratch.keys, begin, end, scratch.scores.data(), count);
    for (uint32_t row = begin; row < end; ++row)
      head.training.scale_scores(scratch.scores.data() + (row - begin) * size_t{count}, args.scale,
                                 0, end, end);
    for (uint32_t chunk = 0; chunk * attention_chunk < end; ++chunk)
      attend_chunk(head, begin, end, chunk, scratch);
    for (uint32_t row = begin; row < end; ++row)
      head.training.divide(
          args.y.row(head.document.begin + row) + size_t{head.head} * args.value_dim,
          scratch.sum[row - begin], args.value_dim);
  }
}

struct backward_scratch {
  std::vector<float> keys, values;          // transposed
  std::vector<float> probabilities, slopes; // [rows, positions] of the document
};

// Probabilities, slopes of the scores, and dq of rows [begin, end).
void block_backward(const head_block& head, const training_attention_backward_args<float>& args,
                    uint32_t begin, uint32_t end, backward_scratch& scratch) {
  const auto& forward = args.forward;
  const size_t count = head.count();
  float* p = scratch.probabilities.data() + begin * count;
  float* ds = scratch.slopes.data() + begin * count;
  block_scores(head, scratch.keys, begin, end, p, count);
  const size_t at = size_t{head.head} * forward.value_dim;
  auto product = plain_product(args.dy.row(head.document.begin + begin) + at, args.dy.stride, 1,
                               scratch.values.data(), count);
  product.rows = end - begin;
  product.steps = forward.value_dim;
  product.y = ds;
  product.y_stride = count;
  head.multiply(product, end);
  for (uint32_t row = begin; row < end; ++row, p += count, ds += count) {
    const auto visible = head.visible(row);
    const float max = head.training.scale_scores(p, forward.scale, visible.begin, visible.end, end);
    const float sum = head.training.exponentials(p, max, visible.begin, visible.end, end);
    head.training.divide(p, sum, end);
    const uint32_t r = head.document.begin + row;
    const float drift =
        head.training.lane_dot(args.dy.row(r) + at, forward.y.row(r) + at, forward.value_dim);
    head.training.score_slopes(p, ds, drift, forward.scale, end);
  }
  auto queries = plain_product(scratch.slopes.data() + begin * count, count, 1, head.key(0),
                               forward.keys.stride);
  queries.rows = end - begin;
  queries.steps = end;
  queries.y = args.dq.row(head.document.begin + begin) + size_t{head.head} * forward.key_dim;
  queries.y_stride = args.dq.stride;
  head.multiply(queries, forward.key_dim);
}

// dkeys and dvalues of the document continue with this head: rows ascending, from the first that
// sees a position on.
void add_key_slopes(const head_block& head, const training_attention_backward_args<float>& args,
                    const backward_scratch& scratch) {
  const auto& forward = args.forward;
  const uint32_t count = head.count(), first_row = head.document.begin;
  for (uint32_t begin = 0; begin < count; begin += block_rows) {
    const size_t at = size_t{begin} * count + begin;
    auto keys =
        plain_product(scratch.slopes.data() + at, 1, count, head.query(begin), forward.q.stride);
    keys.rows = std::min(block_rows, count - begin);
    keys.steps = count - begin;
    keys.add = true;
    keys.y = args.dkeys.row(first_row + begin) + size_t{head.kv_head()} * forward.key_dim;
    keys.y_stride = args.dkeys.stride;
    auto values = keys;
    head.multiply(keys, forward.key_dim);
    values.a = scratch.probabilities.data() + at;
    values.b = args.dy.row(first_row + begin) + size_t{head.head} * forward.value_dim;
    values.b_step = args.dy.stride;
    values.y = args.dvalues.row(first_row + begin) + size_t{head.kv_head()} * forward.value_dim;
    values.y_stride = args.dvalues.stride;
    head.multiply(values, forward.value_dim);
  }
}

void group_backward(const training_attention_backward_args<float>& args,
                    const training_table& training, const document_rows& document,
                    uint32_t kv_head) {
  const auto& forward = args.forward;
  const uint32_t count = document.count(), group = forward.heads / forward.kv_heads;
  const head_block first{forward, training, document, kv_head * group};
  backward_scratch scratch;
  turn(first.key(0), forward.keys.stride, count, forward.key_dim, scratch.keys);
  turn(first.value(0), forward.values.stride, count, forward.value_dim, scratch.values);
  scratch.probabilities.resize(size_t{count} * count);
  scratch.slopes.resize(size_t{count} * count);
  for (uint32_t r = document.begin; r < document.end; ++r) {
    std::fill_n(args.dkeys.row(r) + size_t{kv_head} * forward.key_dim, forward.key_dim, 0.0f);
    std::fill_n(args.dvalues.row(r) + size_t{kv_head} * forward.value_dim, forward.value_dim, 0.0f);
  }
  for (uint32_t h = 0; h < group; ++h) {
    const head_block head{forward, training, document, kv_head * group + h};
    for (uint32_t begin = 0; begin < count; begin += block_rows)
      block_backward(head, args, begin, std::min(begin + block_rows, count), scratch);
    add_key_slopes(head, args, scratch);
  }
}

} // namespace

void team_training_kernels::attention(const training_attention_args<float>& args) {
  TROUPE_CHECK(args.heads % args.kv_heads == 0);
  const auto units = static_cast<uint32_t>(args.documents.size()) * args.heads;
  take_turns(units, [&](uint32_t unit) {
    attend_head({args, training_, args.documents[unit / args.heads], unit % args.heads});
  });
}

void team_training_kernels::attention_backward(
    const training_attention_backward_args<float>& args) {
  const auto& forward = args.forward;
  const auto units = static_cast<uint32_t>(forward.documents.size()) * forward.kv_heads;
  take_turns(units, [&](uint32_t unit) {
    group_backward(args, training_, forward.documents[unit / forward.kv_heads],
                   unit % forward.kv_heads);
  });
}

} // namespace troupe::compute
