// Reference kernels that work row by row: embedding, norms, activations, rope, combine and the
// like.
#include "compute/checks.hpp"
#include "compute/kv_layout.hpp"
#include "compute/reference/kernels.hpp"
#include "compute/reference/math.hpp"

#include <array>
#include <cstring>
#include <vector>

namespace troupe::compute {
namespace {

float activate(activation kind, float x) {
  switch (kind) {
    case activation::silu:
      return reference::silu(x);
    case activation::gelu_tanh:
      return reference::gelu_tanh(x);
    case activation::gelu_erf:
      return reference::gelu_erf(x);
    case activation::relu:
      return reference::relu(x);
  }
  return x;
}

void norm_group(const float* x, uint32_t count, const rms_norm_args& args, float* y) {
  std::array<float, 16> lanes{};
  for (uint32_t i = 0; i < count; ++i) lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
  const float mean = reference::tree_sum(lanes) / static_cast<float>(count);
  const float factor = 1.0f / std::sqrt(mean + args.eps);
  for (uint32_t i = 0; i < count; ++i) y[i] = x[i] * factor * args.gain[i];
}

// Rotates the pairs of one head; `x` stands at the first rotary column.
void rotate(float* x, uint32_t pairs, rope_style style, const float* cos_sin) {
  const float* cosines = cos_sin;
  const float* sines = cos_sin + pairs;
  const std::vector<float> in(x, x + size_t{2} * pairs);
  const bool neighbours = style != rope_style::half_split;
  for (uint32_t i = 0; i < pairs; ++i) {
    const float a = neighbours ? in[2 * i] : in[i];
    const float b = neighbours ? in[2 * i + 1] : in[i + pairs];
    const float first = a * cosines[i] - b * sines[i];
    const float second = b * cosines[i] + a * sines[i];
    const bool in_place = style == rope_style::interleaved_in_place;
    x[in_place ? 2 * i : i] = first;
    x[in_place ? 2 * i + 1 : i + pairs] = second;
  }
}

} // namespace

void reference_kernels::embed(const embed_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    unpack_row(*args.table, static_cast<uint32_t>(args.ids[r]), args.y.row(r));
  }
}

void reference_kernels::rms_norm(const rms_norm_args& args) {
  check_args(args);
  const uint32_t count = args.x.cols / args.groups;
  for (uint32_t r = 0; r < args.x.rows; ++r) {
    for (uint32_t g = 0; g < args.groups; ++g) {
      norm_group(args.x.row(r) + size_t{g} * count, count, args, args.y.row(r) + size_t{g} * count);
    }
  }
}

void reference_kernels::gated_activation(const gated_activation_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) {
      args.y.row(r)[c] = activate(args.kind, args.gate.row(r)[c]) * args.up.row(r)[c];
    }
  }
}

void reference_kernels::rope(const rope_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.x.rows; ++r) {
    const float* cos_sin = args.cos_sin.row(args.positions[r]);
    for (uint32_t h = 0; h < args.heads; ++h) {
      rotate(args.x.row(r) + size_t{h} * args.head_dim + args.rotary_begin, args.rotary_dim / 2,
             args.style, cos_sin);
    }
  }
}

void reference_kernels::kv_store(const kv_store_args& args) {
  check_args(args);
  const kv_shape& shape = args.kv.shape;
  const kv_layout layout{shape};
  for (uint32_t r = 0; r < args.keys.rows; ++r) {
    const uint32_t token = args.slots[r] % shape.page_tokens;
    auto* page = reinterpret_cast<float*>(args.kv.data) +
                 args.slots[r] / shape.page_tokens * layout.page_floats();
    for (uint32_t h = 0; h < shape.heads; ++h) {
      for (uint32_t d = 0; d < shape.key_dim; ++d) {
        page[layout.key(h, token, d)] = args.keys.row(r)[h * shape.key_dim + d];
      }
      for (uint32_t d = 0; d < shape.value_dim && !shape.value_in_key; ++d) {
        page[layout.value(h, token, d)] = args.values.row(r)[h * shape.value_dim + d];
      }
    }
  }
}

void reference_kernels::gather(const gather_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    std::memcpy(args.y.row(r), args.x.row(args.rows[r]), args.y.cols * sizeof(float));
  }
}

void reference_kernels::combine(const combine_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) {
      float sum = 0;
      for (uint32_t j = 0; j < args.top_k; ++j) {
        const size_t at = size_t{r} * args.top_k + j;
        sum = std::fma(args.weights[at], args.expert_rows.row(args.slots[at])[c], sum);
      }
      if (args.shared.data != nullptr) sum = args.shared.row(r)[c] + sum;
      if (args.residual.data != nullptr) sum = args.residual.row(r)[c] + sum;
      args.y.row(r)[c] = sum;
    }
  }
}

void reference_kernels::clamp(const clamp_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) {
      args.y.row(r)[c] = reference::min(args.limit, reference::max(-args.limit, args.x.row(r)[c]));
    }
  }
}

void reference_kernels::scale(const scale_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    for (uint32_t c = 0; c < args.y.cols; ++c) args.y.row(r)[c] = args.x.row(r)[c] * args.factor;
  }
}

void reference_kernels::sigmoid_gate(const sigmoid_gate_args& args) {
  check_args(args);
  for (uint32_t r = 0; r < args.y.rows; ++r) {
    const float gate = reference::sigmoid(args.gate.row(r)[0]);
    for (uint32_t c = 0; c < args.y.cols; ++c) args.y.row(r)[c] = args.x.row(r)[c] * gate;
  }
}

void reference_kernels::for_each(uint32_t count, const std::function<void(uint32_t)>& body) {
  for (uint32_t i = 0; i < count; ++i) body(i);
}

} // namespace troupe::compute
