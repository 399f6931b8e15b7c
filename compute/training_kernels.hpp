// The operations training needs beyond those of serving, and the forward ones again on plain rows:
// what backward reads has to be kept, so nothing here works on pages or packed weights. Generic in
// the scalar: f32 is what trains, double is what central differences check.
//
// In f32 every forward operation gives the bits of compute/kernels.hpp. Gradients of weights are
// sums over rows in ascending order that continue from what the target holds, so that cutting the
// rows of a step into calls changes no bit (docs/numerics.md, "Training").
//
// Views must stay valid during the call. Outputs may not overlap inputs unless said. Shapes are the
// caller's responsibility and checked.
#pragma once

#include "compute/kernels.hpp"

#include <cstdint>
#include <span>
#include <type_traits>

namespace troupe::compute {

// Rows of scalars that somebody else owns; data == nullptr: none.
template <class T>
struct matrix_of {
  T* data = nullptr;
  uint32_t rows = 0;
  uint32_t cols = 0;
  size_t stride = 0; // scalars

  bool empty() const { return data == nullptr; }
  T* row(uint32_t r) const { return data + size_t{r} * stride; }
  matrix_of rows_at(uint32_t begin, uint32_t count) const {
    return {row(begin), count, cols, stride};
  }
  matrix_of columns(uint32_t begin, uint32_t count) const {
    return {data + begin, rows, count, stride};
  }
  operator matrix_of<const T>() const // NOLINT: every view may be read
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }
};

// A weight matrix both ways round, so that every product finds its vectors in memory as they are.
template <class T>
struct weight_of {
  matrix_of<const T> values;     // [outputs, inputs]
  matrix_of<const T> transposed; // [inputs, outputs]

  uint32_t outputs() const { return values.rows; }
  uint32_t inputs() const { return values.cols; }
  weight_of turned() const { return {transposed, values}; }
};

// y = x * transpose(w) (+ bias) (+ residual). residual may be y.
template <class T>
struct linear_args {
  matrix_of<const T> x;
  weight_of<T> w;
  std::span<const T> bias;
  matrix_of<const T> residual;
  matrix_of<T> y;
};

// dx = dy * w, outputs ascending; with `add` the sum starts from what dx holds.
template <class T>
struct input_gradient_args {
  matrix_of<const T> dy;
  weight_of<T> w;
  bool add = false;
  matrix_of<T> dx;
};

// dw += transpose(dy) * x, rows ascending.
template <class T>
struct weight_gradient_args {
  matrix_of<const T> dy;
  matrix_of<const T> x;
  matrix_of<T> dw;
};

// total[c] += column c of dy, rows ascending.
template <class T>
struct bias_gradient_args {
  matrix_of<const T> dy;
  std::span<T> total;
};

template <class T>
struct norm_args {
  matrix_of<const T> x;
  std::span<const T> gain;
  T eps = 0;
  uint32_t groups = 1;
  matrix_of<T> y; // may be x
};

// Of rms_norm with this x. dgain (empty: not wanted) continues over rows, then groups. dx may be
// dy; with `add` the gradient is added to what dx holds.
template <class T>
struct norm_backward_args {
  matrix_of<const T> x;
  std::span<const T> gain;
  T eps = 0;
  uint32_t groups = 1;
  matrix_of<const T> dy;
  bool add = false;
  matrix_of<T> dx;
  std::span<T> dgain;
};

template <class T>
struct gated_args {
  activation kind = activation::silu;
  matrix_of<const T> gate;
  matrix_of<const T> up;
  matrix_of<T> y;
};

// dgate and dup may be dy.
template <class T>
struct gated_backward_args {
  activation kind = activation::silu;
  matrix_of<const T> gate;
  matrix_of<const T> up;
  matrix_of<const T> dy;
  matrix_of<T> dgate;
  matrix_of<T> dup;
};

// Rotation in place, or with `backward` its transpose, which takes the gradient of the output to
// that of the input.
template <class T>
struct rotation_args {
  matrix_of<T> x;
  uint32_t heads = 0;
  uint32_t head_dim = 0;
  uint32_t rotary_begin = 0;
  uint32_t rotary_dim = 0;
  rope_style style = rope_style::half_split;
  matrix_of<const T> cos_sin;
  std::span<const uint32_t> angle_rows; // [rows], row of cos_sin
  bool backward = false;
};

// Rows [begin, end) of one document: its tokens at positions 0, 1, …
struct document_rows {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t count() const { return end - begin; }
};

// Causal attention inside of each document. Head h reads key and value head h / (heads / kv_heads).
template <class T>
struct training_attention_args {
  matrix_of<const T> q;      // [rows, heads * key_dim]
  matrix_of<const T> keys;   // [rows, kv_heads * key_dim]
  matrix_of<const T> values; // [rows, kv_heads * value_dim]
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t key_dim = 0;
  uint32_t value_dim = 0;
  T scale = 1;
  uint32_t window = 0; // 0: no limit
  std::span<const document_rows> documents;
  matrix_of<T> y; // [rows, heads * value_dim]
};

// The rows of the documents in dq, dkeys and dvalues are overwritten.
template <class T>
struct training_attention_backward_args {
  training_attention_args<T> forward; // y holds the result
  matrix_of<const T> dy;
  matrix_of<T> dq;
  matrix_of<T> dkeys;
  matrix_of<T> dvalues;
};

template <class T>
struct choice_args {
  router_rule rule;
  matrix_of<const T> logits;
  std::span<const float> bias; // empty or [experts]
  std::span<int32_t> ids;      // [rows, top_k]
  std::span<T> weights;        // [rows, top_k]
};

// Gradient of the logits through the weights of the chosen experts; the choice itself has none.
template <class T>
struct choice_backward_args {
  router_rule rule;
  matrix_of<const T> logits;
  std::span<const int32_t> ids;
  std::span<const T> dweights; // [rows, top_k]
  matrix_of<T> dlogits;        // overwritten
};

template <class T>
struct gather_rows_args {
  matrix_of<const T> x;
  std::span<const uint32_t> rows;
  matrix_of<T> y;
};

// dx[r] += dslots[slots[r, j]], j ascending.
template <class T>
struct gather_backward_args {
  matrix_of<const T> dslots;
  std::span<const uint32_t> slots; // [rows, top_k]
  uint32_t top_k = 0;
  matrix_of<T> dx;
};

// As combine_args.
template <class T>
struct combine_rows_args {
  matrix_of<const T> expert_rows;
  std::span<const uint32_t> slots;
  std::span<const T> weights;
  uint32_t top_k = 0;
  matrix_of<const T> shared;
  matrix_of<const T> residual;
  matrix_of<T> y;
};

// dexpert_rows[slot of (r, j)] = weight * dy[r]; dweights[r, j] = dy[r] . expert_rows[slot].
template <class T>
struct combine_backward_args {
  matrix_of<const T> expert_rows;
  std::span<const uint32_t> slots;
  std::span<const T> weights;
  uint32_t top_k = 0;
  matrix_of<const T> dy;
  matrix_of<T> dexpert_rows;
  std::span<T> dweights;
};

// With `dy` the gradient of x: dy where |x| <= limit, else 0. y may be x or dy.
template <class T>
struct clamp_rows_args {
  matrix_of<const T> x;
  T limit = 0;
  matrix_of<const T> dy; // none: forward
  matrix_of<T> y;
};

// y = a + b (b none: y = a), times factor. y may be either.
template <class T>
struct sum_args {
  matrix_of<const T> a;
  matrix_of<const T> b;
  T factor = 1;
  matrix_of<T> y;
};

template <class T>
struct gate_rows_args {
  matrix_of<const T> x;
  matrix_of<const T> gate; // [rows, 1]
  matrix_of<T> y;          // may be x
};

template <class T>
struct gate_rows_backward_args {
  matrix_of<const T> x;
  matrix_of<const T> gate;
  matrix_of<const T> dy;
  matrix_of<T> dx;    // may be dy
  matrix_of<T> dgate; // [rows, 1], overwritten
};

template <class T>
struct embed_rows_args {
  matrix_of<const T> table;
  std::span<const int32_t> ids;
  matrix_of<T> y;
};

// dtable[ids[r]] += dy[r], rows ascending, but for rows of the id `fixed`.
template <class T>
struct embed_backward_args {
  std::span<const int32_t> ids;
  int32_t fixed = -1;
  matrix_of<const T> dy;
  matrix_of<T> dtable;
};

// Cross-entropy of rows of logits, which become their own gradient times `weight` (1 / number of
// targets of the step). losses[r] is 0 and the gradient zero where targets[r] < 0. With z_loss z
// each row also costs z * log(sum of exponentials)^2; losses are without it.
template <class T>
struct cross_entropy_args {
  matrix_of<T> logits;
  std::span<const int32_t> targets;
  T weight = 1;
  T z_loss = 0;
  bool gradient = true; // false: logits stay as they are
  std::span<T> losses;
};

// One step of AdamW as PyTorch does it. Gradients are multiplied by gradient_factor first.
template <class T>
struct adamw_args {
  std::span<T> values;
  std::span<const T> gradients;
  std::span<T> first; // moments
  std::span<T> second;
  T gradient_factor = 1;
  T beta1 = 0;
  T beta2 = 0;
  T eps = 0;
  T decay = 1;        // 1 - rate * weight decay
  T step_size = 0;    // rate / (1 - beta1^n)
  T second_scale = 1; // 1 / sqrt(1 - beta2^n)
};

// ---- against forgetting ----

// Distillation of rows of logits that a teacher gave for the same tokens. losses[r] becomes
// T^2 KL(softmax(teacher / T) || softmax(student / T)), T being the temperature, and the teacher's
// row the gradient of `weight` times that by the student's. Both are 0 where targets[r] < 0.
template <class T>
struct distil_args {
  matrix_of<const T> student;
  matrix_of<T> teacher;
  std::span<const int32_t> targets;
  T temperature = 1;
  T weight = 1;
  std::span<T> losses;
};

// losses[r] = half the mean square of student[r] - teacher[r]; `weight` times its gradient is added
// to dstudent. Rows without a target are left out.
template <class T>
struct match_rows_args {
  matrix_of<const T> student;
  matrix_of<const T> teacher;
  std::span<const int32_t> targets;
  T weight = 1;
  matrix_of<T> dstudent;
  std::span<T> losses;
};

// gradients += strength * importance * (values - anchor).
template <class T>
struct anchor_args {
  std::span<const T> values;
  std::span<const T> anchor;
  std::span<const T> importance;
  T strength = 0;
  std::span<T> gradients;
};

template <class T>
class training_kernels {
public:
  virtual ~training_kernels() = default;

  // The parts of one call must not write to the same place.
  virtual void linear(std::span<const linear_args<T>> parts) = 0;
  virtual void input_gradient(std::span<const input_gradient_args<T>> parts) = 0;
  virtual void weight_gradient(std::span<const weight_gradient_args<T>> parts) = 0;
  virtual void bias_gradient(const bias_gradient_args<T>& args) = 0;
  virtual void norm(const norm_args<T>& args) = 0;
  virtual void norm_backward(const norm_backward_args<T>& args) = 0;
  virtual void gated(const gated_args<T>& args) = 0;
  virtual void gated_backward(const gated_backward_args<T>& args) = 0;
  virtual void rotate(const rotation_args<T>& args) = 0;
  virtual void attention(const training_attention_args<T>& args) = 0;
  virtual void attention_backward(const training_attention_backward_args<T>& args) = 0;
  virtual void choose(const choice_args<T>& args) = 0;
  virtual void choose_backward(const choice_backward_args<T>& args) = 0;
  virtual void gather_rows(const gather_rows_args<T>& args) = 0;
  virtual void gather_backward(const gather_backward_args<T>& args) = 0;
  virtual void combine_rows(const combine_rows_args<T>& args) = 0;
  virtual void combine_backward(const combine_backward_args<T>& args) = 0;
  virtual void clamp_rows(const clamp_rows_args<T>& args) = 0;
  virtual void sum(const sum_args<T>& args) = 0;
  virtual void gate_rows(const gate_rows_args<T>& args) = 0;
  virtual void gate_rows_backward(const gate_rows_backward_args<T>& args) = 0;
  virtual void embed_rows(const embed_rows_args<T>& args) = 0;
  virtual void embed_backward(const embed_backward_args<T>& args) = 0;
  virtual void cross_entropy(const cross_entropy_args<T>& args) = 0;
  virtual void distil(const distil_args<T>& args) = 0;
  virtual void match_rows(const match_rows_args<T>& args) = 0;
  virtual void anchor(const anchor_args<T>& args) = 0;
  // totals[i] += x[i]^2.
  virtual void add_squares(std::span<const T> x, std::span<T> totals) = 0;
  virtual void adamw(const adamw_args<T>& args) = 0;
  // Sum of squares in f64 over sixteen lanes, whatever the scalar.
  virtual double sum_of_squares(std::span<const T> values) = 0;
  // target = transpose(source).
  virtual void transpose(const matrix_of<const T>& source, const matrix_of<T>& target) = 0;
};

} // namespace troupe::compute
