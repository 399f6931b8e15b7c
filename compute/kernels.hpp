// The operations a transformer needs, as one interface per device. Every implementation follows the
// numerics contract (docs/numerics.md): an output element depends only on its own row's inputs and
// the weights, through one fixed expression, so batch, threads and instruction set change no bit.
//
// All calls are made from inside a job of an executor (compute/executor.hpp) and take effect in
// order. Views must stay valid until the job's completion. Shapes are the caller's responsibility
// and checked.
#pragma once

#include "compute/tensor.hpp"
#include "compute/weight.hpp"

#include <cstdint>
#include <functional>
#include <span>

namespace troupe::compute {

// y[r, :] = row ids[r] of the table (a weight matrix [vocabulary, hidden]), widened.
struct embed_args {
  const weight_matrix* table = nullptr;
  std::span<const int32_t> ids;
  matrix_view y;
};

// y = x / sqrt(mean(x^2) + eps) * gain, over `groups` equal parts of each row (1 = the whole row;
// the number of heads for per-head norms; gain has cols / groups entries). y may be x.
struct rms_norm_args {
  const_matrix_view x;
  std::span<const float> gain;
  float eps = 0;
  uint32_t groups = 1;
  matrix_view y;
};

// y = x * transpose(w) (+ bias) (+ residual). residual may be y itself.
struct matmul_args {
  const_matrix_view x;
  const weight_matrix* w = nullptr;
  std::span<const float> bias; // empty or [outputs]
  const_matrix_view residual;  // data == nullptr: none
  matrix_view y;
};

// Several products in one call (the experts of a layer; q, k and v of one input): they share a
// single split over the threads.
struct grouped_matmul_args {
  std::span<const matmul_args> parts;
};

// y = activation(gate) * up, element by element. y may be gate.
enum class activation : uint8_t { silu, gelu_tanh, gelu_erf, relu };
struct gated_activation_args {
  activation kind = activation::silu;
  const_matrix_view gate;
  const_matrix_view up;
  matrix_view y;
};

// Rotary position embedding in place on `heads` heads of head_dim columns each, starting at each
// head's column rotary_begin and touching rotary_dim columns. cos_sin is a table [positions_max,
// rotary_dim] with rotary_dim/2 cosines, then rotary_dim/2 sines (already scaled).
// half_split: pairs (i, i + rotary_dim/2). interleaved: pairs (2i, 2i+1) on input, and the result
// is written in half-split order, as the DeepSeek reference implementation does.
// interleaved_in_place: pairs (2i, 2i+1) on input and output.
enum class rope_style : uint8_t { half_split, interleaved, interleaved_in_place };
struct rope_args {
  matrix_view x; // [rows, heads * head_dim]
  uint32_t heads = 0;
  uint32_t head_dim = 0;
  uint32_t rotary_begin = 0;
  uint32_t rotary_dim = 0;
  rope_style style = rope_style::half_split;
  const_matrix_view cos_sin;
  std::span<const uint32_t> positions; // [rows]
};

// One layer's keys and values (f32) for a pool of pages; page_tokens is a power of two from 8
// to 64. The order of bytes inside a page is the kernels' business; a page is copied or dropped as
// a whole.
struct kv_shape {
  uint32_t page_tokens = 16;
  uint32_t heads = 0;
  uint32_t key_dim = 0;
  uint32_t value_dim = 0;
  bool value_in_key = false; // latent attention: a value is the first value_dim entries of its key
};
size_t kv_page_bytes(const kv_shape& shape);
struct kv_view {
  kv_shape shape;
  std::byte* data = nullptr; // [pages, kv_page_bytes]
  uint32_t pages = 0;
};

// Where a token lives: page * page_tokens + offset.
using kv_slot = uint32_t;

// Stores one key (and value) row per token.
struct kv_store_args {
  kv_view kv;
  const_matrix_view keys;         // [rows, heads * key_dim]
  const_matrix_view values;       // [rows, heads * value_dim]; unused when value_in_key
  std::span<const kv_slot> slots; // [rows]
};

// Causal attention of rows over the pages of their sequences. Row r belongs to sequence_of[r],
// stands at positions[r], and sees positions max(0, p - window + 1) .. p, all of which are already
// stored. y[r, h] = sum_p softmax_p(scale * q[r, h] . k[p, h / (q_heads / heads)]) v[p]; the
// context is cut into fixed chunks by absolute position and merged in order.
struct attention_args {
  kv_view kv;
  const_matrix_view q; // [rows, q_heads * key_dim]
  uint32_t q_heads = 0;
  float scale = 1;
  uint32_t window = 0;                   // 0: no limit
  std::span<const uint32_t> positions;   // [rows]
  std::span<const uint32_t> sequence_of; // [rows], index into page_tables
  // Page numbers in position order; those of pages that no row sees any more may be anything.
  std::span<const std::span<const uint32_t>> page_tables;
  matrix_view y; // [rows, q_heads * value_dim]
};

// y[:, h] = x[:, h] * transpose(w[h]) for every head: the absorbed products of latent attention.
struct per_head_matmul_args {
  const_matrix_view x; // head h at column h * x_head_stride, w[h].inputs() columns
  uint32_t x_head_stride = 0;
  std::span<const weight_matrix> w; // [heads]
  matrix_view y;                    // head h at column h * y_head_stride, w[h].outputs() columns
  uint32_t y_head_stride = 0;
};

// Chooses experts. Scores are softmax(logits) or sigmoid(logits) or, for softmax_of_chosen, the
// logits with a softmax over the chosen ones. The choice adds `bias`; the weights do not.
enum class router_score : uint8_t { softmax, sigmoid, softmax_of_chosen };
enum class group_score : uint8_t { max, sum_of_top_2 };
struct router_rule {
  router_score score = router_score::softmax;
  uint32_t experts = 0;
  uint32_t top_k = 0;
  uint32_t groups = 1;      // experts are cut into equal groups …
  uint32_t groups_kept = 1; // … and only the best groups may be chosen from
  group_score group_by = group_score::max;
  bool masked_to_zero = true; // experts of other groups: score 0 (as transformers does) or excluded
  bool normalise = false;     // weights divided by (their sum + normalise_eps)
  float normalise_eps = 0;
  float scale = 1; // factor on the weights at the end
};
// ids[r, :] are in routing order: best choice score first, on equal scores the lower expert first,
// NaN last.
struct route_args {
  router_rule rule;
  const_matrix_view logits;    // [rows, experts]
  std::span<const float> bias; // empty or [experts]
  std::span<int32_t> ids;      // [rows, top_k]
  std::span<float> weights;    // [rows, top_k]
};

// y[i, :] = x[rows[i], :].
struct gather_args {
  const_matrix_view x;
  std::span<const uint32_t> rows;
  matrix_view y;
};

// y[r] = residual[r] + (shared[r] + sum over j in routing order of weights[r, j] *
// expert_rows[slot[r, j]]). The sum over experts starts from zero; then shared (when given) is
// added, then the residual.
struct combine_args {
  const_matrix_view expert_rows;
  std::span<const uint32_t> slots; // [rows, top_k] rows of expert_rows
  std::span<const float> weights;  // [rows, top_k]
  uint32_t top_k = 0;
  const_matrix_view shared;   // data == nullptr: none
  const_matrix_view residual; // data == nullptr: none
  matrix_view y;
};

// y = min(max(x, -limit), limit). y may be x.
struct clamp_args {
  const_matrix_view x;
  float limit = 0;
  matrix_view y;
};

// y = x * factor. y may be x.
struct scale_args {
  const_matrix_view x;
  float factor = 1;
  matrix_view y;
};

// y[r, :] = x[r, :] * sigmoid(gate[r, 0]) (the shared-expert gate of Qwen2-MoE). y may be x.
struct sigmoid_gate_args {
  const_matrix_view x;
  const_matrix_view gate; // [rows, 1]
  matrix_view y;
};

// What a step's time is accounted to.
enum class part : uint8_t { other, embedding, attention, router, experts, head, sampling };

class kernels {
public:
  virtual ~kernels() = default;
  // What follows, up to the next call or the end of the job, belongs to this part; for measuring.
  virtual void enter(part) {}
  virtual void embed(const embed_args& args) = 0;
  virtual void rms_norm(const rms_norm_args& args) = 0;
  virtual void matmul(const matmul_args& args) = 0;
  virtual void grouped_matmul(const grouped_matmul_args& args) = 0;
  virtual void per_head_matmul(const per_head_matmul_args& args) = 0;
  virtual void gated_activation(const gated_activation_args& args) = 0;
  virtual void rope(const rope_args& args) = 0;
  virtual void kv_store(const kv_store_args& args) = 0;
  virtual void attention(const attention_args& args) = 0;
  virtual void route(const route_args& args) = 0;
  virtual void gather(const gather_args& args) = 0;
  virtual void combine(const combine_args& args) = 0;
  virtual void clamp(const clamp_args& args) = 0;
  virtual void scale(const scale_args& args) = 0;
  virtual void sigmoid_gate(const sigmoid_gate_args& args) = 0;
  // Host work split over the threads of the device's host side: body(i) for i in [0, count), any
  // order, any thread. Everything enqueued before is visible to it.
  virtual void for_each(uint32_t count, const std::function<void(uint32_t)>& body) = 0;
};

} // namespace troupe::compute
