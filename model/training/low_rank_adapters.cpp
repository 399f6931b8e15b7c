// Factors are parameters like others, with a map, gradients and an optimiser of their own.
#include "model/training/low_rank_adapters.hpp"

#include "base/check.hpp"
#include "base/random.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::model {
namespace {

using compute::matrix_of;

// Apart from what else draws for learning (dataflow/ingest/learning_draws.hpp); plus the number of
// the target.
constexpr uint32_t first_factor_draw = 0xF0000000;

std::vector<parameter_id> ids_in(const parameter_set& chosen, const parameter_map& map) {
  std::vector<parameter_id> out;
  for (parameter_id id = 0; id < map.list.size(); ++id)
    if (chosen.has(id)) out.push_back(id);
  return out;
}

// As PEFT calls the module of a tensor in a file of its own.
std::string module_of(const parameter& p) {
  const size_t end = p.name.size() - std::string_view(".weight").size();
  return "base_model.model." + p.name.substr(0, end);
}

void add_factor(parameter_map& map, const parameter& of, const char* name, uint32_t rows,
                uint32_t cols) {
  parameter made = of;
  made.name = made.stored_name = text(module_of(of), name);
  made.rows = rows;
  made.cols = cols;
  made.offset = map.scalars;
  made.stored_shape = {rows, cols};
  made.stored_offset = 0;
  map.scalars += made.count();
  map.list.push_back(std::move(made));
}

parameter_map map_factors(const parameter_map& base, const std::vector<parameter_id>& targets,
                          uint32_t rank) {
  parameter_map out;
  for (const parameter_id id : targets) {
    add_factor(out, base[id], ".lora_A.weight", rank, base[id].cols);
    add_factor(out, base[id], ".lora_B.weight", base[id].rows, rank);
  }
  return out;
}

} // namespace

status check_low_rank_targets(const parameter_map& base, const parameter_set& targets) {
  for (const parameter_id id : ids_in(targets, base)) {
    const auto& p = base[id];
    if (!p.is_matrix || id == base.embedding || !p.name.ends_with(".weight")) {
      return status(status_code::invalid_argument,
                    text(p.name, " takes no adapter: it is no matrix of a layer or the head"));
    }
  }
  return {};
}

template <class T>
low_rank_adapters<T>::low_rank_adapters(const parameter_map& base, const parameter_set& targets,
                                        const low_rank_options& options,
                                        const adamw_options& optimiser,
                                        const parameter_values<T>& start)
    : base_(base),
      targets_(ids_in(targets, base)),
      scale_(static_cast<T>(options.alpha / options.rank)),
      map_(map_factors(base, targets_, options.rank)),
      factors_(map_),
      gradients_(map_),
      optimiser_(map_, optimiser) {
  TROUPE_CHECK(options.rank > 0);
  for (uint32_t i = 0; i < targets_.size(); ++i) {
    const auto values = start.of(targets_[i]);
    start_.insert(start_.end(), values.begin(), values.end());
    const random_key key{.seed = options.seed,
                         .subsystem = random_subsystem::learning,
                         .entity = first_factor_draw + i};
    // Kaiming's uniform with a = sqrt(5), as PEFT: sqrt(6 / ((1 + 5) inputs)).
    const T bound = T(1) / std::sqrt(static_cast<T>(base[targets_[i]].cols));
    const auto a = factors_.of(2 * i);
    for (size_t n = 0; n < a.size(); ++n) a[n] = (T(2) * T(random_unit(key, n)) - T(1)) * bound;
  }
}

template <class T>
void low_rank_adapters<T>::compute_gradients(compute::training_kernels<T>& device,
                                             const parameter_gradients<T>& base) {
  factors_.refresh(device);
  gradients_.clear();
  std::vector<compute::linear_args<T>> of_b;
  std::vector<compute::weight_gradient_args<T>> of_a;
  for (uint32_t i = 0; i < targets_.size(); ++i) {
    const auto& p = base_[targets_[i]];
    const matrix_of<const T> dw{base.total_of(targets_[i]).data(), p.rows, p.cols, p.cols};
    of_b.push_back({.x = dw,
                    .w = factors_.weight(2 * i),
                    .bias = {},
                    .residual = {},
                    .y = gradients_.matrix(2 * i + 1)});
    of_a.push_back({.dy = factors_.matrix(2 * i + 1), .x = dw, .dw = gradients_.matrix(2 * i)});
  }
  device.linear(of_b);
  device.weight_gradient(of_a);
  gradients_.close_share();
  const auto total = gradients_.total();
  for (const auto& p : map_.list) {
    const matrix_of<T> all{total.data() + p.offset, p.rows, p.cols, p.cols};
    device.sum({.a = all, .b = {}, .factor = scale_, .y = all});
  }
}

template <class T>
double low_rank_adapters<T>::squared_norm(compute::training_kernels<T>& device) const {
  return model::squared_norm(device, map_, gradients_);
}

template <class T>
void low_rank_adapters<T>::step(compute::training_kernels<T>& device, parameter_values<T>& base,
                                double rate, double factor) {
  optimiser_.step(device, factors_, gradients_, rate, factor);
  merge(device, base);
}

template <class T>
void low_rank_adapters<T>::merge(compute::training_kernels<T>& device, parameter_values<T>& base) {
  size_t from = 0;
  for (uint32_t i = 0; i < targets_.size(); ++i) {
    const auto& p = base_[targets_[i]];
    const matrix_of<T> merged{base.of(targets_[i]).data(), p.rows, p.cols, p.cols};
    const matrix_of<const T> start{start_.data() + from, p.rows, p.cols, p.cols};
    const compute::input_gradient_args<T> product{
        .dy = factors_.matrix(2 * i + 1), .w = factors_.weight(2 * i), .add = false, .dx = merged};
    device.input_gradient({&product, 1});
    device.sum({.a = merged, .b = {}, .factor = scale_, .y = merged});
    device.sum({.a = start, .b = merged, .factor = T(1), .y = merged});
    from += p.count();
  }
}

template class low_rank_adapters<float>;
template class low_rank_adapters<double>;

} // namespace troupe::model
