// One call on the device for every parameter; factors are computed once in f64.
#include "model/training/optimiser.hpp"

#include <cmath>

namespace troupe::model {
namespace {

// x^n by squaring: the same bits on every machine, which std::pow does not promise.
double power(double x, uint64_t n) {
  double out = 1;
  for (; n > 0; n >>= 1) {
    if ((n & 1) != 0) out = out * x;
    x = x * x;
  }
  return out;
}

} // namespace

template <class T>
double squared_norm(compute::training_kernels<T>& device, const parameter_map& map,
                    const parameter_gradients<T>& gradients, const parameter_set& frozen) {
  double sum = 0;
  for (parameter_id id = 0; id < map.list.size(); ++id)
    if (!frozen.has(id)) sum = sum + device.sum_of_squares(gradients.total_of(id));
  return sum;
}

template <class T>
adamw_optimiser<T>::adamw_optimiser(const parameter_map& map, const adamw_options& options,
                                    parameter_set frozen)
    : map_(&map), options_(options), frozen_(std::move(frozen)) {
  size_t end = 0;
  for (parameter_id id = 0; id < map.list.size(); ++id) {
    begins_.push_back(end);
    if (!frozen_.has(id)) end += map[id].count();
  }
  first_.resize(end);
  second_.resize(end);
}

template <class T>
void adamw_optimiser<T>::step(compute::training_kernels<T>& device, parameter_values<T>& values,
                              const parameter_gradients<T>& gradients, double rate, double factor) {
  ++steps_;
  const double first_left = 1 - power(options_.beta1, steps_);
  const double second_left = 1 - power(options_.beta2, steps_);
  for (parameter_id id = 0; id < map_->list.size(); ++id) {
    if (frozen_.has(id)) continue;
    const auto& p = (*map_)[id];
    const double decay = p.is_matrix || options_.decay_vectors ? options_.weight_decay : 0;
    device.adamw({.values = values.of(id),
                  .gradients = gradients.total_of(id),
                  .first = first_of(id),
                  .second = second_of(id),
                  .gradient_factor = static_cast<T>(factor),
                  .beta1 = static_cast<T>(options_.beta1),
                  .beta2 = static_cast<T>(options_.beta2),
                  .eps = static_cast<T>(options_.eps),
                  .decay = static_cast<T>(1 - rate * decay),
                  .step_size = static_cast<T>(rate / first_left),
                  .second_scale = static_cast<T>(1 / std::sqrt(second_left))});
  }
}

template double squared_norm<float>(compute::training_kernels<float>&, const parameter_map&,
                                    const parameter_gradients<float>&, const parameter_set&);
template double squared_norm<double>(compute::training_kernels<double>&, const parameter_map&,
                                     const parameter_gradients<double>&, const parameter_set&);
template class adamw_optimiser<float>;
template class adamw_optimiser<double>;

} // namespace troupe::model
