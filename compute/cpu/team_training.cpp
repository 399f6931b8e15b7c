// Products and rows of training over the team.
#include "compute/cpu/team_training.hpp"

#include "base/check.hpp"
#include "compute/cpu/dispatch.hpp"
#include "compute/cpu_training.hpp"
#include "compute/reference/scalar_math.hpp"
#include "compute/reference/training_choice.hpp"

#include <algorithm>
#include <atomic>

namespace troupe::compute {
namespace {

constexpr uint32_t unit_columns = 64;
constexpr uint32_t unit_rows = 48; // a multiple of every row blocking
constexpr uint64_t alone_max = 2000;
constexpr uint32_t turns_max = 64; // more than any team has threads

uint32_t pieces(uint32_t whole, uint32_t piece) {
  return (whole + piece - 1) / piece;
}

} // namespace

std::unique_ptr<training_kernels<float>> make_cpu_training_kernels(kernels& device,
                                                                   instruction_set set) {
  const instruction_set chosen = set == instruction_set::automatic ? widest_supported() : set;
  TROUPE_CHECK(supported(chosen));
#if defined(__x86_64__)
  if (chosen == instruction_set::avx512) {
    return std::make_unique<team_training_kernels>(*kernels_of(chosen), avx512_training(), device);
  }
  if (chosen == instruction_set::avx2) {
    return std::make_unique<team_training_kernels>(*kernels_of(chosen), avx2_training(), device);
  }
#endif
  return std::make_unique<reference_training_kernels<float>>();
}

void team_training_kernels::split(uint32_t count, uint64_t cost,
                                  const std::function<void(uint32_t, uint32_t)>& body) {
  if (count == 0) return;
  if (count == 1 || count * cost <= alone_max) return body(0, count);
  const uint32_t parts = std::min(count, turns_max);
  device_.for_each(parts, [&](uint32_t i) {
    const auto begin = static_cast<uint32_t>(uint64_t{count} * i / parts);
    const auto end = static_cast<uint32_t>(uint64_t{count} * (i + 1) / parts);
    body(begin, end);
  });
}

void team_training_kernels::take_turns(uint32_t count, const std::function<void(uint32_t)>& body) {
  std::atomic<uint32_t> next{0};
  device_.for_each(std::min(count, turns_max), [&](uint32_t) {
    for (uint32_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) body(i);
  });
}

// ---- products ----

void team_training_kernels::add_product(const training_product& whole, uint32_t columns) {
  if (whole.rows == 0 || columns == 0) return;
  cut_product made{.whole = whole, .columns = columns, .row_chunks = pieces(whole.rows, unit_rows)};
  if (!products_.empty()) {
    const auto& last = products_.back();
    made.unit_begin =
        last.unit_begin + uint64_t{last.row_chunks} * pieces(last.columns, unit_columns);
  }
  products_.push_back(made);
}

void team_training_kernels::run_unit(const cut_product& product, uint64_t unit) const {
  const auto row = static_cast<uint32_t>(unit % product.row_chunks) * unit_rows;
  const auto column = static_cast<uint32_t>(unit / product.row_chunks) * unit_columns;
  training_product part = product.whole;
  part.rows = std::min(unit_rows, part.rows - row);
  part.columns = std::min(unit_columns, product.columns - column);
  part.a += row * part.a_row;
  part.b += column;
  part.y += row * part.y_stride + column;
  if (part.bias != nullptr) part.bias += column;
  if (part.residual != nullptr) part.residual += row * part.residual_stride + column;
  training_.product(part);
}

void team_training_kernels::run_products() {
  if (products_.empty()) return;
  const auto& last = products_.back();
  const uint64_t units =
      last.unit_begin + uint64_t{last.row_chunks} * pieces(last.columns, unit_columns);
  const auto run = [this](uint64_t unit) {
    const auto after =
        std::upper_bound(products_.begin(), products_.end(), unit,
                         [](uint64_t value, const cut_product& p) { return value < p.unit_begin; });
    const auto& product = *(after - 1);
    run_unit(product, unit - product.unit_begin);
  };
  uint64_t cost = 0;
  for (const auto& p : products_)
    cost += uint64_t{p.whole.rows} * p.whole.steps * pieces(p.columns, 16);
  if (cost <= alone_max) {
    for (uint64_t unit = 0; unit < units; ++unit) run(unit);
  } else {
    take_turns(static_cast<uint32_t>(units), [&](uint32_t unit) { run(unit); });
  }
  products_.clear();
}

void team_training_kernels::linear(std::span<const linear_args<float>> parts) {
  for (const auto& part : parts) {
    TROUPE_CHECK(part.x.cols == part.w.inputs() && part.y.cols == part.w.outputs());
    TROUPE_CHECK(part.x.rows == part.y.rows);
    add_product({.a = part.x.data,
                 .a_row = part.x.stride,
                 .a_step = 1,
                 .b = part.w.transposed.data,
                 .b_step = part.w.transposed.stride,
                 .rows = part.x.rows,
                 .steps = part.x.cols,
                 .columns = 0,
                 .y = part.y.data,
                 .y_stride = part.y.stride,
                 .add = false,
                 .bias = part.bias.empty() ? nullptr : part.bias.data(),
                 .residual = part.residual.data,
                 .residual_stride = part.residual.stride},
                part.y.cols);
  }
  run_products();
}

void team_training_kernels::input_gradient(std::span<const input_gradient_args<float>> parts) {
  for (const auto& part : parts) {
    TROUPE_CHECK(part.dy.cols == part.w.outputs() && part.dx.cols == part.w.inputs());
    TROUPE_CHECK(part.dy.rows == part.dx.rows);
    add_product({.a = part.dy.data,
                 .a_row = part.dy.stride,
                 .a_step = 1,
                 .b = part.w.values.data,
                 .b_step = part.w.values.stride,
                 .rows = part.dy.rows,
                 .steps = part.dy.cols,
                 .columns = 0,
                 .y = part.dx.data,
                 .y_stride = part.dx.stride,
                 .add = part.add,
                 .bias = nullptr,
                 .residual = nullptr,
                 .residual_stride = 0},
                part.dx.cols);
  }
  run_products();
}

void team_training_kernels::weight_gradient(std::span<const weight_gradient_args<float>> parts) {
  for (const auto& part : parts) {
    TROUPE_CHECK(part.dw.rows == part.dy.cols && part.dw.cols == part.x.cols);
    TROUPE_CHECK(part.dy.rows == part.x.rows);
    add_product({.a = part.dy.data,
                 .a_row = 1,
                 .a_step = part.dy.stride,
                 .b = part.x.data,
                 .b_step = part.x.stride,
                 .rows = part.dy.cols,
                 .steps = part.dy.rows,
                 .columns = 0,
                 .y = part.dw.data,
                 .y_stride = part.dw.stride,
                 .add = true,
                 .bias = nullptr,
                 .residual = nullptr,
                 .residual_stride = 0},
                part.x.cols);
  }
  run_products();
}

void team_training_kernels::bias_gradient(const bias_gradient_args<float>& args) {
  TROUPE_CHECK(args.total.size() == args.dy.cols);
  split(pieces(args.dy.cols, 64), uint64_t{args.dy.rows} * 4, [&](uint32_t begin, uint32_t end) {
    const uint32_t from = begin * 64, to = std::min(end * 64, args.dy.cols);
    for (uint32_t r = 0; r < args.dy.rows; ++r)
      training_.add(args.dy.row(r) + from, args.total.data() + from, to - from);
  });
}

// ---- rows ----

void team_training_kernels::norm(const norm_args<float>& args) {
  const uint32_t count = args.x.cols / args.groups;
  TROUPE_CHECK(args.gain.size() == count && args.x.rows == args.y.rows);
  split(args.x.rows, args.x.cols / 8, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r)
      for (uint32_t g = 0; g < args.groups; ++g)
        table_.rms_norm(args.x.row(r) + size_t{g} * count, count, args.gain.data(), args.eps,
                        args.y.row(r) + size_t{g} * count);
  });
}

void team_training_kernels::norm_backward(const norm_backward_args<float>& args) {
  const uint32_t count = args.x.cols / args.groups;
  TROUPE_CHECK(args.gain.size() == count && args.x.rows == args.dy.rows);
  factors_.resize(size_t{args.x.rows} * args.groups);
  split(args.x.rows, args.x.cols / 16, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r)
      for (uint32_t g = 0; g < args.groups; ++g)
        factors_[size_t{r} * args.groups + g] =
            training_.norm_factor(args.x.row(r) + size_t{g} * count, count, args.eps);
  });
  // Before dx, which may be dy.
  if (!args.dgain.empty()) {
    split(pieces(count, 64), uint64_t{args.x.rows} * args.groups * 4,
          [&](uint32_t begin, uint32_t end) {
            const uint32_t from = begin * 64, to = std::min(end * 64, count);
            for (uint32_t r = 0; r < args.x.rows; ++r) {
              for (uint32_t g = 0; g < args.groups; ++g) {
                const size_t at = size_t{g} * count + from;
                training_.gain_slopes(args.dy.row(r) + at, args.x.row(r) + at,
                                      factors_[size_t{r} * args.groups + g],
                                      args.dgain.data() + from, to - from);
              }
            }
          });
  }
  split(args.x.rows, args.x.cols / 8, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r) {
      for (uint32_t g = 0; g < args.groups; ++g) {
        const size_t at = size_t{g} * count;
        training_.norm_backward({.x = args.x.row(r) + at,
                                 .gain = args.gain.data(),
                                 .dy = args.dy.row(r) + at,
                                 .dx = args.dx.row(r) + at,
                                 .factor = factors_[size_t{r} * args.groups + g],
                                 .count = count,
                                 .add = args.add});
      }
    }
  });
}

void team_training_kernels::gated(const gated_args<float>& args) {
  split(args.y.rows, args.y.cols / 2, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r)
      table_.gated_activation(static_cast<uint32_t>(args.kind), args.gate.row(r), args.up.row(r),
                              args.y.cols, args.y.row(r));
  });
}

void team_training_kernels::gated_backward(const gated_backward_args<float>& args) {
  split(args.dy.rows, args.dy.cols, [&](uint32_t begin, uint32_t end) {
    const uint32_t rows = end - begin;
    if (args.kind != activation::silu) {
      reference_training_kernels<float>::gated_backward({.kind = args.kind,
                                                         .gate = args.gate.rows_at(begin, rows),
                                                         .up = args.up.rows_at(begin, rows),
                                                         .dy = args.dy.rows_at(begin, rows),
                                                         .dgate = args.dgate.rows_at(begin, rows),
                                                         .dup = args.dup.rows_at(begin, rows)});
      return;
    }
    for (uint32_t r = begin; r < end; ++r)
      training_.silu_backward(args.gate.row(r), args.up.row(r), args.dy.row(r), args.dgate.row(r),
                              args.dup.row(r), args.dy.cols);
  });
}

void team_training_kernels::rotate(const rotation_args<float>& args) {
  split(args.x.rows, uint64_t{args.heads} * args.rotary_dim, [&](uint32_t begin, uint32_t end) {
    auto part = args;
    part.x = args.x.rows_at(begin, end - begin);
    part.angle_rows = args.angle_rows.subspan(begin, end - begin);
    reference_training_kernels<float>::rotate(part);
  });
}

void team_training_kernels::choose(const choice_args<float>& args) {
  split(args.logits.rows, uint64_t{args.rule.experts} * 8, [&](uint32_t begin, uint32_t end) {
    expert_chooser chooser;
    for (uint32_t r = begin; r < end; ++r) reference::choose_row(args, r, chooser);
  });
}

void team_training_kernels::choose_backward(const choice_backward_args<float>& args) {
  split(args.logits.rows, uint64_t{args.rule.experts} * 8, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r) reference::choose_row_backward(args, r);
  });
}

void team_training_kernels::gather_rows(const gather_rows_args<float>& args) {
  TROUPE_CHECK(args.rows.size() == args.y.rows && args.x.cols == args.y.cols);
  split(args.y.rows, args.y.cols / 16, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r)
      std::copy_n(args.x.row(args.rows[r]), args.y.cols, args.y.row(r));
  });
}

void team_training_kernels::gather_backward(const gather_backward_args<float>& args) {
  TROUPE_CHECK(args.slots.size() == size_t{args.dx.rows} * args.top_k);
  split(args.dx.rows, uint64_t{args.dx.cols} / 16 * args.top_k, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r)
      for (uint32_t j = 0; j < args.top_k; ++j)
        training_.add(args.dslots.row(args.slots[size_t{r} * args.top_k + j]), args.dx.row(r),
                      args.dx.cols);
  });
}

void team_training_kernels::combine_rows(const combine_rows_args<float>& args) {
  split(args.y.rows, uint64_t{args.y.cols} / 16 * args.top_k, [&](uint32_t begin, uint32_t end) {
    std::vector<const float*> rows(args.top_k);
    for (uint32_t r = begin; r < end; ++r) {
      for (uint32_t j = 0; j < args.top_k; ++j)
        rows[j] = args.expert_rows.row(args.slots[size_t{r} * args.top_k + j]);
      table_.combine({.rows = rows.data(),
                      .weights = args.weights.data() + size_t{r} * args.top_k,
                      .count = args.top_k,
                      .shared = args.shared.empty() ? nullptr : args.shared.row(r),
                      .residual = args.residual.empty() ? nullptr : args.residual.row(r),
                      .y = args.y.row(r),
                      .columns = args.y.cols});
    }
  });
}

void team_training_kernels::combine_backward(const combine_backward_args<float>& args) {
  split(args.dy.rows, uint64_t{args.dy.cols} / 8 * args.top_k, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r) {
      for (uint32_t j = 0; j < args.top_k; ++j) {
        const size_t at = size_t{r} * args.top_k + j;
        const uint32_t slot = args.slots[at];
        args.dweights[at] =
            training_.lane_dot(args.dy.row(r), args.expert_rows.row(slot), args.dy.cols);
        training_.sum(args.dy.row(r), nullptr, args.weights[at], args.dexpert_rows.row(slot),
                      args.dy.cols);
      }
    }
  });
}

void team_training_kernels::sum(const sum_args<float>& args) {
  split(args.y.rows, args.y.cols / 16 + 1, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r)
      training_.sum(args.a.row(r), args.b.empty() ? nullptr : args.b.row(r), args.factor,
                    args.y.row(r), args.y.cols);
  });
}

void team_training_kernels::cross_entropy(const cross_entropy_args<float>& args) {
  TROUPE_CHECK(args.targets.size() == args.logits.rows && args.losses.size() == args.logits.rows);
  const uint32_t count = args.logits.cols;
  split(args.logits.rows, count, [&](uint32_t begin, uint32_t end) {
    for (uint32_t r = begin; r < end; ++r) {
      float* x = args.logits.row(r);
      const int32_t target = args.targets[r];
      if (target < 0 || !args.gradient) { // without gradients logits have to stay
        auto row = args;
        row.logits = args.logits.rows_at(r, 1);
        row.targets = args.targets.subspan(r, 1);
        row.losses = args.losses.subspan(r, 1);
        reference_training_kernels<float>::cross_entropy(row);
        continue;
      }
      const float wanted = x[target];
      const float max = training_.scale_scores(x, 1, 0, count, count);
      const float sum = training_.exponentials(x, max, 0, count, count);
      const float log_sum = max + reference::scalar_math<float>::log(sum);
      const float pull = std::fma(2.0f * args.z_loss, log_sum, 1.0f);
      const float own = x[target] / sum * pull;
      args.losses[r] = log_sum - wanted;
      training_.loss_slopes(x, sum, pull, args.weight, count);
      x[target] = (own - 1.0f) * args.weight;
    }
  });
}

// ---- elements ----

void team_training_kernels::split_elements(size_t count,
                                           const std::function<void(size_t, size_t)>& body) {
  constexpr size_t piece = 4096;
  const auto parts = static_cast<uint32_t>((count + piece - 1) / piece);
  split(parts, piece / 4,
        [&](uint32_t begin, uint32_t end) { body(begin * piece, std::min(end * piece, count)); });
}

void team_training_kernels::adamw(const adamw_args<float>& args) {
  split_elements(args.values.size(), [&](size_t from, size_t to) {
    training_.adamw({.values = args.values.data() + from,
                     .gradients = args.gradients.data() + from,
                     .first = args.first.data() + from,
                     .second = args.second.data() + from,
                     .count = to - from,
                     .gradient_factor = args.gradient_factor,
                     .beta1 = args.beta1,
                     .beta2 = args.beta2,
                     .eps = args.eps,
                     .decay = args.decay,
                     .step_size = args.step_size,
                     .second_scale = args.second_scale});
  });
}

double team_training_kernels::sum_of_squares(std::span<const float> values) {
  return training_.sum_of_squares(values.data(), values.size());
}

void team_training_kernels::transpose(const matrix_of<const float>& source,
                                      const matrix_of<float>& target) {
  TROUPE_CHECK(source.rows == target.cols && source.cols == target.rows);
  constexpr uint32_t tile = 16;
  split(pieces(source.cols, tile), source.rows, [&](uint32_t begin, uint32_t end) {
    for (uint32_t block = begin; block < end; ++block) {
      const uint32_t first = block * tile, last = std::min(first + tile, source.cols);
      for (uint32_t r = 0; r < source.rows; r += tile) {
        const uint32_t below = std::min(r + tile, source.rows);
        for (uint32_t c = first; c < last; ++c)
          for (uint32_t i = r; i < below; ++i) target.row(c)[i] = source.row(i)[c];
      }
    }
  });
}

} // namespace troupe::compute
