// Argument checks of the kernels, and the two definitions that belong to the seam itself.
#include "compute/checks.hpp"

#include "base/check.hpp"
#include "compute/kv_layout.hpp"

#include <bit>

namespace troupe::compute {
namespace {

void check_view(const const_matrix_view& view) {
  TROUPE_CHECK(view.rows == 0 || view.cols == 0 || view.data != nullptr);
  TROUPE_CHECK(view.rows <= 1 || view.cols <= view.stride);
}

void check_same_shape(const const_matrix_view& a, const const_matrix_view& b) {
  check_view(a);
  check_view(b);
  TROUPE_CHECK(a.rows == b.rows && a.cols == b.cols);
}

void check_kv(const kv_view& kv) {
  const kv_shape& shape = kv.shape;
  TROUPE_CHECK(std::has_single_bit(shape.page_tokens));
  TROUPE_CHECK(shape.page_tokens >= 8 && shape.page_tokens <= 64);
  TROUPE_CHECK(shape.heads > 0 && shape.key_dim > 0 && shape.value_dim > 0);
  TROUPE_CHECK(!shape.value_in_key || shape.value_dim <= shape.key_dim);
}

} // namespace

size_t kv_page_bytes(const kv_shape& shape) {
  return kv_layout{shape}.page_floats() * sizeof(float);
}

void check_args(const embed_args& args) {
  TROUPE_CHECK(args.table != nullptr);
  check_view(args.y);
  TROUPE_CHECK(args.y.rows == args.ids.size() && args.y.cols == args.table->inputs());
  for (const int32_t id : args.ids) {
    TROUPE_CHECK(id >= 0 && static_cast<uint32_t>(id) < args.table->outputs());
  }
}

void check_args(const rms_norm_args& args) {
  check_same_shape(args.x, args.y);
  TROUPE_CHECK(args.groups > 0 && args.x.cols % args.groups == 0);
  TROUPE_CHECK(args.gain.size() == args.x.cols / args.groups);
}

void check_args(const matmul_args& args) {
  TROUPE_CHECK(args.w != nullptr);
  check_view(args.x);
  check_view(args.y);
  TROUPE_CHECK(args.x.cols == args.w->inputs() && args.y.cols == args.w->outputs());
  TROUPE_CHECK(args.x.rows == args.y.rows);
  TROUPE_CHECK(args.bias.empty() || args.bias.size() == args.y.cols);
  if (args.residual.data != nullptr) check_same_shape(args.residual, args.y);
}

void check_args(const per_head_matmul_args& args) {
  TROUPE_CHECK(args.x.rows == args.y.rows);
  const size_t heads = args.w.size();
  if (heads == 0) return;
  for (const weight_matrix& w : args.w) {
    TROUPE_CHECK((heads - 1) * args.x_head_stride + w.inputs() <= args.x.cols);
    TROUPE_CHECK((heads - 1) * args.y_head_stride + w.outputs() <= args.y.cols);
  }
}

matmul_args head_product(const per_head_matmul_args& args, uint32_t head) {
  matmul_args part;
  part.w = &args.w[head];
  part.x = const_matrix_view(args.x.data + size_t{head} * args.x_head_stride, args.x.rows,
                             part.w->inputs(), args.x.stride);
  part.y = args.y.columns(head * args.y_head_stride, part.w->outputs());
  return part;
}

void check_args(const gated_activation_args& args) {
  check_same_shape(args.gate, args.y);
  check_same_shape(args.up, args.y);
}

void check_args(const rope_args& args) {
  check_view(args.x);
  TROUPE_CHECK(args.x.cols == size_t{args.heads} * args.head_dim);
  TROUPE_CHECK(args.rotary_dim % 2 == 0 && args.rotary_begin + args.rotary_dim <= args.head_dim);
  TROUPE_CHECK(args.positions.size() == args.x.rows && args.cos_sin.cols == args.rotary_dim);
  for (const uint32_t position : args.positions) TROUPE_CHECK(position < args.cos_sin.rows);
}

void check_args(const kv_store_args& args) {
  check_kv(args.kv);
  const kv_shape& shape = args.kv.shape;
  check_view(args.keys);
  TROUPE_CHECK(args.keys.cols == size_t{shape.heads} * shape.key_dim);
  TROUPE_CHECK(args.slots.size() == args.keys.rows);
  if (!shape.value_in_key) {
    check_view(args.values);
    TROUPE_CHECK(args.values.rows == args.keys.rows);
    TROUPE_CHECK(args.values.cols == size_t{shape.heads} * shape.value_dim);
  }
  for (const kv_slot slot : args.slots) TROUPE_CHECK(slot / shape.page_tokens < args.kv.pages);
}

void check_args(const attention_args& args) {
  check_kv(args.kv);
  const kv_shape& shape = args.kv.shape;
  check_view(args.q);
  check_view(args.y);
  TROUPE_CHECK(args.q_heads > 0 && args.q_heads % shape.heads == 0);
  TROUPE_CHECK(args.q.cols == size_t{args.q_heads} * shape.key_dim);
  TROUPE_CHECK(args.y.cols == size_t{args.q_heads} * shape.value_dim);
  TROUPE_CHECK(args.q.rows == args.y.rows && args.positions.size() == args.q.rows);
  TROUPE_CHECK(args.sequence_of.size() == args.q.rows);
  for (uint32_t r = 0; r < args.q.rows; ++r) {
    TROUPE_CHECK(args.sequence_of[r] < args.page_tables.size());
    const auto table = args.page_tables[args.sequence_of[r]];
    TROUPE_CHECK(args.positions[r] / shape.page_tokens < table.size());
  }
  // Page numbers are checked where they are read: those behind the window may be gone.
}

void check_args(const route_args& args) {
  const router_rule& rule = args.rule;
  check_view(args.logits);
  TROUPE_CHECK(rule.experts > 0 && args.logits.cols == rule.experts);
  TROUPE_CHECK(rule.groups > 0 && rule.experts % rule.groups == 0);
  TROUPE_CHECK(rule.groups_kept > 0 && rule.groups_kept <= rule.groups);
  const uint32_t eligible =
      rule.masked_to_zero ? rule.experts : rule.experts / rule.groups * rule.groups_kept;
  TROUPE_CHECK(rule.top_k > 0 && rule.top_k <= eligible);
  TROUPE_CHECK(args.bias.empty() || args.bias.size() == rule.experts);
  TROUPE_CHECK(args.ids.size() == size_t{args.logits.rows} * rule.top_k);
  TROUPE_CHECK(args.weights.size() == args.ids.size());
}

void check_args(const gather_args& args) {
  check_view(args.x);
  check_view(args.y);
  TROUPE_CHECK(args.y.rows == args.rows.size() && args.x.cols == args.y.cols);
  for (const uint32_t row : args.rows) TROUPE_CHECK(row < args.x.rows);
}

void check_args(const combine_args& args) {
  check_view(args.expert_rows);
  check_view(args.y);
  TROUPE_CHECK(args.expert_rows.cols == args.y.cols || args.slots.empty());
  TROUPE_CHECK(args.slots.size() == size_t{args.y.rows} * args.top_k);
  TROUPE_CHECK(args.weights.size() == args.slots.size());
  if (args.shared.data != nullptr) check_same_shape(args.shared, args.y);
  if (args.residual.data != nullptr) check_same_shape(args.residual, args.y);
  for (const uint32_t slot : args.slots) TROUPE_CHECK(slot < args.expert_rows.rows);
}

void check_args(const clamp_args& args) {
  check_same_shape(args.x, args.y);
}
void check_args(const scale_args& args) {
  check_same_shape(args.x, args.y);
}

void check_args(const sigmoid_gate_args& args) {
  check_same_shape(args.x, args.y);
  check_view(args.gate);
  TROUPE_CHECK(args.gate.rows == args.x.rows && (args.gate.cols == 1 || args.gate.rows == 0));
}

} // namespace troupe::compute
