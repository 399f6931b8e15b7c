// Every training operation in plain loops; attention and routing have headers of their own.
#include "compute/reference/training_kernels.hpp"

#include "base/check.hpp"
#include "compute/reference/scalar_math.hpp"
#include "compute/reference/training_attention.hpp"
#include "compute/reference/training_choice.hpp"
#include "compute/reference/training_retention.hpp"

#include <algorithm>
#include <limits>

namespace troupe::compute {
namespace {

using reference::lane_sum;

template <class A, class B>
bool same_shape(const matrix_of<A>& a, const matrix_of<B>& b) {
  return a.rows == b.rows && a.cols == b.cols;
}

// Of one group of columns.
template <class T>
T norm_factor(const T* x, uint32_t count, T eps) {
  lane_sum<T> squares;
  for (uint32_t i = 0; i < count; ++i) squares.add_product(i, x[i], x[i]);
  return T(1) / std::sqrt(squares.total() / static_cast<T>(count) + eps);
}

// With f = 1 / sqrt(mean(x^2) + eps): dx = f (g dy) - x (f^3 / n) sum(g dy x).
template <class T>
void norm_group_backward(const norm_backward_args<T>& args, uint32_t row, uint32_t begin,
                         uint32_t count) {
  const T* x = args.x.row(row) + begin;
  const T* dy = args.dy.row(row) + begin;
  T* dx = args.dx.row(row) + begin;
  const T factor = norm_factor(x, count, args.eps);
  lane_sum<T> lanes;
  for (uint32_t i = 0; i < count; ++i) lanes.add_product(i, args.gain[i] * dy[i], x[i]);
  const T pull = lanes.total() * (factor * factor * factor) / static_cast<T>(count);
  for (uint32_t i = 0; i < count; ++i) {
    const T slope = dy[i];
    if (!args.dgain.empty()) args.dgain[i] = std::fma(slope, x[i] * factor, args.dgain[i]);
    const T value = std::fma(-x[i], pull, factor * (args.gain[i] * slope));
    dx[i] = args.add ? dx[i] + value : value;
  }
}

struct pair_places {
  uint32_t in_a, in_b, out_a, out_b;
};
pair_places places_of(rope_style style, uint32_t i, uint32_t pairs) {
  const bool neighbours = style != rope_style::half_split;
  const bool in_place = style == rope_style::interleaved_in_place;
  return {.in_a = neighbours ? 2 * i : i,
          .in_b = neighbours ? 2 * i + 1 : i + pairs,
          .out_a = in_place ? 2 * i : i,
          .out_b = in_place ? 2 * i + 1 : i + pairs};
}

template <class T>
void rotate_head(const rotation_args<T>& args, T* x, const T* cos_sin) {
  const uint32_t pairs = args.rotary_dim / 2;
  const std::vector<T> in(x, x + args.rotary_dim);
  for (uint32_t i = 0; i < pairs; ++i) {
    const auto at = places_of(args.style, i, pairs);
    const T cosine = cos_sin[i], sine = cos_sin[i + pairs];
    if (args.backward) {
      const T a = in[at.out_a], b = in[at.out_b];
      x[at.in_a] = a * cosine + b * sine;
      x[at.in_b] = b * cosine - a * sine;
    } else {
      const T a = in[at.in_a], b = in[at.in_b];
      x[at.out_a] = a * cosine - b * sine;
      x[at.out_b] = b * cosine + a * sine;
    }
  }
}

template <class T>
void cross_entropy_row(const cross_entropy_args<T>& args, uint32_t row) {
  T* x = args.logits.row(row);
  const uint32_t count = args.logits.cols;
  const int32_t target = args.targets[row];
  args.losses[row] = 0;
  if (target < 0) {
    if (args.gradient) std::fill(x, x + count, T(0));
    return;
  }
  T max = -std::numeric_limits<T>::infinity();
  for (uint32_t i = 0; i < count; ++i) max = x[i] > max ? x[i] : max;
  lane_sum<T> lanes;
  std::vector<T> e(count);
  for (uint32_t i = 0; i < count; ++i) {
    e[i] = reference::scalar_math<T>::exp(x[i] - max);
    lanes.add(i, e[i]);
  }
  const T sum = lanes.total();
  const T log_sum = max + reference::scalar_math<T>::log(sum);
  args.losses[row] = log_sum - x[target];
  if (!args.gradient) return;
  const T pull = std::fma(T(2) * args.z_loss, log_sum, T(1));
  for (uint32_t i = 0; i < count; ++i) {
    const T slope = e[i] / sum * pull;
    x[i] = (i == static_cast<uint32_t>(target) ? slope - T(1) : slope) * args.weight;
  }
}

} // namespace

template <class T>
void reference_training_kernels<T>::linear(std::span<const linear_args<T>> parts) {
  for (const auto& part : parts) {
    TROUPE_CHECK(part.x.cols == part.w.inputs() && part.y.cols == part.w.outputs());
    TROUPE_CHECK(part.x.rows == part.y.rows);
    for (uint32_t r = 0; r < part.y.rows; ++r) {
      const T* x = part.x.row(r);
      for (uint32_t n = 0; n < part.y.cols; ++n) {
        const T* w = part.w.values.row(n);
        T sum = 0;
        for (uint32_t k = 0; k < part.x.cols; ++k) sum = std::fma(x[k], w[k], sum);
        if (!part.bias.empty()) sum = sum + part.bias[n];
        if (!part.residual.empty()) sum = sum + part.residual.row(r)[n];
        part.y.row(r)[n] = sum;
      }
    }
  }
}

template <class T>
void reference_training_kernels<T>::input_gradient(std::span<const input_gradient_args<T>> parts) {
  for (const auto& part : parts) {
    TROUPE_CHECK(part.dy.cols == part.w.outputs() && part.dx.cols == part.w.inputs());
    TROUPE_CHECK(part.dy.rows == part.dx.rows);
    for (uint32_t r = 0; r < part.dx.rows; ++r) {
      T* dx = part.dx.row(r);
      if (!part.add) std::fill(dx, dx + part.dx.cols, T(0));
      for (uint32_t n = 0; n < part.dy.cols; ++n) {
        const T slope = part.dy.row(r)[n];
        const T* w = part.w.values.row(n);
        for (uint32_t k = 0; k < part.dx.cols; ++k) dx[k] = std::fma(slope, w[k], dx[k]);
      }
    }
  }
}

template <class T>
void reference_training_kernels<T>::weight_gradient(
    std::span<const weight_gradient_args<T>> parts) {
  for (const auto& part : parts) {
    TROUPE_CHECK(part.dw.rows == part.dy.cols && part.dw.cols == part.x.cols);
    TROUPE_CHECK(part.dy.rows == part.x.rows);
    for (uint32_t r = 0; r < part.x.rows; ++r) {
      const T* x = part.x.row(r);
      for (uint32_t n = 0; n < part.dw.rows; ++n) {
        const T slope = part.dy.row(r)[n];
        T* dw = part.dw.row(n);
        for (uint32_t k = 0; k < part.dw.cols; ++k) dw[k] = std::fma(slope, x[k], dw[k]);
      }
    }
  }
}

template <class T>
void reference_training_kernels<T>::bias_gradient(const bias_gradient_args<T>& args) {
  TROUPE_CHECK(args.total.size() == args.dy.cols);
  for (uint32_t r = 0; r < args.dy.rows; ++r)
    for (uint32_t c = 0; c < args.dy.cols; ++c) args.total[c] = args.total[c] + args.dy.row(r)[c];
}

template <class T>
void reference_training_kernels<T>::norm(const norm_args<T>& args) {
  TROUPE_CHECK(same_shape(args.x, args.y) && args.gain.size() * args.groups == args.x.cols);
  const uint32_t count = args.x.cols / args.groups;
  for (uint32_t r = 0; r < args.x.rows; ++r) {
    for (uint32_t g = 0; g < args.groups; ++g) {
      const T* x = args.x.row(r) + size_t{g} * count;
      T* y = args.y.row(r) + size_t{g} * count;
      const T factor = norm_factor(x, count, args.eps);
      for (uint32_t i = 0; i < count; ++i) y[i] = x[i] * factor * args.gain[i];
    }
  }
}

template <class T>
void reference_training_kernels<T>::norm_backward(const norm_backward_args<T>& args) {
  TROUPE_CHECK(same_shape(args.x, args.dy) && same_shape(args.x, args.dx));
  TROUPE_CHECK(args.gain.size() * args.groups == args.x.cols);
  const uint32_t count = args.x.cols / args.groups;
  for (uint32_t r = 0; r < args.x.rows; ++r)
    for (uint32_t g = 0; g < args.groups; ++g) norm_group_backward(args, r, g * count, count);
}

template <class T>
void reference_training_kernels<T>::gated(const gated_args<T>& args) {
  TROUPE_CHECK(same_shape(args.gate, args.y) && same_shape(args.up, args.y));
  for (uint32_t r = 0; r < args.y.rows; ++r)
    for (uint32_t c = 0; c < args.y.cols; ++c)
      args.y.row(r)[c] = reference::activate(args.kind, args.gate.row(r)[c]) * args.up.row(r)[c];
}

template <class T>
void reference_training_kernels<T>::gated_backward(const gated_backward_args<T>& args) {
  TROUPE_CHECK(same_shape(args.gate, args.dy) && same_shape(args.up, args.dy));
  TROUPE_CHECK(same_shape(args.dgate, args.dy) && same_shape(args.dup, args.dy));
  for (uint32_t r = 0; r < args.dy.rows; ++r) {
    for (uint32_t c = 0; c < args.dy.cols; ++c) {
      const T gate = args.gate.row(r)[c], up = args.up.row(r)[c], slope = args.dy.row(r)[c];
      args.dgate.row(r)[c] = slope * up * reference::activate_slope(args.kind, gate);
      args.dup.row(r)[c] = slope * reference::activate(args.kind, gate);
    }
  }
}

template <class T>
void reference_training_kernels<T>::rotate(const rotation_args<T>& args) {
  TROUPE_CHECK(args.angle_rows.size() == args.x.rows && args.cos_sin.cols == args.rotary_dim);
  for (uint32_t r = 0; r < args.x.rows; ++r)
    for (uint32_t h = 0; h < args.heads; ++h)
      rotate_head(args, args.x.row(r) + size_t{h} * args.head_dim + args.rotary_begin,
                  args.cos_sin.row(args.angle_rows[r]));
}

template <class T>
void reference_training_kernels<T>::attention(const training_attention_args<T>& args) {
  TROUPE_CHECK(args.heads % args.kv_heads == 0);
  for (const auto& document : args.documents)
    for (uint32_t r = document.begin; r < document.end; ++r)
      for (uint32_t h = 0; h < args.heads; ++h)
        reference::attend(reference::attention_head<T>{args, document, r, h});
}

template <class T>
void reference_training_kernels<T>::attention_backward(
    const training_attention_backward_args<T>& args) {
  const auto& forward = args.forward;
  for (const auto& document : forward.documents) {
    for (uint32_t r = document.begin; r < document.end; ++r) {
      std::fill_n(args.dkeys.row(r), args.dkeys.cols, T(0));
      std::fill_n(args.dvalues.row(r), args.dvalues.cols, T(0));
    }
    for (uint32_t h = 0; h < forward.heads; ++h)
      for (uint32_t r = document.begin; r < document.end; ++r)
        reference::attend_backward(reference::attention_head<T>{forward, document, r, h}, args);
  }
}

template <class T>
void reference_training_kernels<T>::choose(const choice_args<T>& args) {
  expert_chooser chooser;
  for (uint32_t r = 0; r < args.logits.rows; ++r) reference::choose_row(args, r, chooser);
}

template <class T>
void reference_training_kernels<T>::choose_backward(const choice_backward_args<T>& args) {
  TROUPE_CHECK(same_shape(args.logits, args.dlogits));
  for (uint32_t r = 0; r < args.logits.rows; ++r) reference::choose_row_backward(args, r);
}

template <class T>
void reference_training_kernels<T>::gather_rows(const gather_rows_args<T>& args) {
  TROUPE_CHECK(args.rows.size() == args.y.rows && args.x.cols == args.y.cols);
  for (uint32_t r = 0; r < args.y.rows; ++r)
    std::copy_n(args.x.row(args.rows[r]), args.y.cols, args.y.row(r));
}

template <class T>
void reference_training_kernels<T>::gather_backward(const gather_backward_args<T>& args) {
  TROUPE_CHECK(args.slots.size() == size_t{args.dx.rows} * args.top_k);
  for (uint32_t r = 0; r < args.dx.rows; ++r) {
    for (uint32_t j = 0; j < args.top_k; ++j) {
      const T* from = args.dslots.row(args.slots[size_t{r} * args.top_k + j]);
      for (uint32_t c = 0; c < args.dx.cols; ++c) args.dx.row(r)[c] = args.dx.row(r)[c] + from[c];
    }
  }
}

template <class T>
void reference_training_kernels<T>::combine_rows(const combine_rows_args<T>& args) {
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) {
      T sum = 0;
      for (uint32_t j = 0; j < args.top_k; ++j) {
        const size_t at = size_t{r} * args.top_k + j;
        sum = std::fma(args.weights[at], args.expert_rows.row(args.slots[at])[c], sum);
      }
      if (!args.shared.empty()) sum = args.shared.row(r)[c] + sum;
      if (!args.residual.empty()) sum = args.residual.row(r)[c] + sum;
      args.y.row(r)[c] = sum;
    }
  }
}

template <class T>
void reference_training_kernels<T>::combine_backward(const combine_backward_args<T>& args) {
  for (uint32_t r = 0; r < args.dy.rows; ++r) {
    const T* dy = args.dy.row(r);
    for (uint32_t j = 0; j < args.top_k; ++j) {
      const size_t at = size_t{r} * args.top_k + j;
      const T* row = args.expert_rows.row(args.slots[at]);
      T* drow = args.dexpert_rows.row(args.slots[at]);
      lane_sum<T> lanes;
      for (uint32_t c = 0; c < args.dy.cols; ++c) {
        lanes.add_product(c, dy[c], row[c]);
        drow[c] = args.weights[at] * dy[c];
      }
      args.dweights[at] = lanes.total();
    }
  }
}

template <class T>
void reference_training_kernels<T>::clamp_rows(const clamp_rows_args<T>& args) {
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) {
      const T x = args.x.row(r)[c];
      if (!args.dy.empty()) {
        const bool inside = x >= -args.limit && x <= args.limit;
        args.y.row(r)[c] = inside ? args.dy.row(r)[c] : T(0);
        continue;
      }
      const T above = -args.limit > x ? -args.limit : x;
      args.y.row(r)[c] = args.limit < above ? args.limit : above;
    }
  }
}

template <class T>
void reference_training_kernels<T>::sum(const sum_args<T>& args) {
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) {
      const T a = args.a.row(r)[c];
      args.y.row(r)[c] = (args.b.empty() ? a : a + args.b.row(r)[c]) * args.factor;
    }
  }
}

template <class T>
void reference_training_kernels<T>::gate_rows(const gate_rows_args<T>& args) {
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    const T gate = reference::sigmoid_of(args.gate.row(r)[0]);
    for (uint32_t c = 0; c < args.y.cols; ++c) args.y.row(r)[c] = args.x.row(r)[c] * gate;
  }
}

template <class T>
void reference_training_kernels<T>::gate_rows_backward(const gate_rows_backward_args<T>& args) {
  for (uint32_t r = 0; r < args.dy.rows; ++r) {
    const T gate = reference::sigmoid_of(args.gate.row(r)[0]);
    lane_sum<T> lanes;
    for (uint32_t c = 0; c < args.dy.cols; ++c) {
      const T slope = args.dy.row(r)[c];
      lanes.add_product(c, slope, args.x.row(r)[c]);
      args.dx.row(r)[c] = slope * gate;
    }
    args.dgate.row(r)[0] = lanes.total() * (gate * (T(1) - gate));
  }
}

template <class T>
void reference_training_kernels<T>::embed_rows(const embed_rows_args<T>& args) {
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    TROUPE_CHECK(args.ids[r] >= 0 && static_cast<uint32_t>(args.ids[r]) < args.table.rows);
    std::copy_n(args.table.row(static_cast<uint32_t>(args.ids[r])), args.y.cols, args.y.row(r));
  }
}

template <class T>
void reference_training_kernels<T>::embed_backward(const embed_backward_args<T>& args) {
  for (uint32_t r = 0; r < args.dy.rows; ++r) {
    if (args.ids[r] == args.fixed) continue;
    T* row = args.dtable.row(static_cast<uint32_t>(args.ids[r]));
    for (uint32_t c = 0; c < args.dy.cols; ++c) row[c] = row[c] + args.dy.row(r)[c];
  }
}

template <class T>
void reference_training_kernels<T>::cross_entropy(const cross_entropy_args<T>& args) {
  TROUPE_CHECK(args.targets.size() == args.logits.rows && args.losses.size() == args.logits.rows);
  for (uint32_t r = 0; r < args.logits.rows; ++r) cross_entropy_row(args, r);
}

template <class T>
void reference_training_kernels<T>::distil(const distil_args<T>& args) {
  TROUPE_CHECK(same_shape(args.student, args.teacher) && args.temperature > 0);
  TROUPE_CHECK(args.targets.size() == args.student.rows && args.losses.size() == args.student.rows);
  for (uint32_t r = 0; r < args.student.rows; ++r) reference::distil_row(args, r);
}

template <class T>
void reference_training_kernels<T>::match_rows(const match_rows_args<T>& args) {
  TROUPE_CHECK(same_shape(args.student, args.teacher) && same_shape(args.student, args.dstudent));
  TROUPE_CHECK(args.targets.size() == args.student.rows && args.losses.size() == args.student.rows);
  for (uint32_t r = 0; r < args.student.rows; ++r) reference::match_row(args, r);
}

template <class T>
void reference_training_kernels<T>::anchor(const anchor_args<T>& args) {
  const size_t count = args.gradients.size();
  TROUPE_CHECK(args.values.size() == count && args.anchor.size() == count);
  TROUPE_CHECK(args.importance.size() == count);
  for (size_t i = 0; i < count; ++i) {
    const T pull = args.strength * args.importance[i];
    args.gradients[i] = std::fma(pull, args.values[i] - args.anchor[i], args.gradients[i]);
  }
}

template <class T>
void reference_training_kernels<T>::add_squares(std::span<const T> x, std::span<T> totals) {
  TROUPE_CHECK(x.size() == totals.size());
  for (size_t i = 0; i < x.size(); ++i) totals[i] = std::fma(x[i], x[i], totals[i]);
}

template <class T>
void reference_training_kernels<T>::adamw(const adamw_args<T>& args) {
  for (size_t i = 0; i < args.values.size(); ++i) {
    const T gradient = args.gradients[i] * args.gradient_factor;
    const T first = std::fma(T(1) - args.beta1, gradient - args.first[i], args.first[i]);
    const T second = std::fma(T(1) - args.beta2, gradient * gradient, args.beta2 * args.second[i]);
    args.first[i] = first;
    args.second[i] = second;
    const T step = first / (std::sqrt(second) * args.second_scale + args.eps);
    args.values[i] = std::fma(-args.step_size, step, args.values[i] * args.decay);
  }
}

template <class T>
double reference_training_kernels<T>::sum_of_squares(std::span<const T> values) {
  lane_sum<double> lanes;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<double>(values[i]);
    lanes.add(i, value * value);
  }
  return lanes.total();
}

template <class T>
void reference_training_kernels<T>::transpose(const matrix_of<const T>& source,
                                              const matrix_of<T>& target) {
  TROUPE_CHECK(source.rows == target.cols && source.cols == target.rows);
  for (uint32_t r = 0; r < source.rows; ++r)
    for (uint32_t c = 0; c < source.cols; ++c) target.row(c)[r] = source.row(r)[c];
}

template class reference_training_kernels<float>;
template class reference_training_kernels<double>;

} // namespace troupe::compute
