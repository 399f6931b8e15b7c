// Each method is a class of its own; here they meet one training run.
#include "model/training/training_methods.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace troupe::model {
namespace {

parameter_set every_tensor(const parameter_map& map) {
  parameter_set out(map);
  for (parameter_id id = 0; id < map.list.size(); ++id) out.add(id);
  return out;
}

// The matrices of the list that are not frozen; biases and norms in it stay as they are.
result<parameter_set> adapted_by(const std::string& list, const parameter_map& map,
                                 const parameter_set& frozen) {
  const auto named = read_parameter_list(list, map);
  if (!named) return fail(named.error());
  parameter_set out(map);
  for (parameter_id id = 0; id < map.list.size(); ++id)
    if (named->has(id) && !frozen.has(id) && map[id].is_matrix) out.add(id);
  if (out.empty())
    return fail(status_code::invalid_argument, text("'", list, "' leaves no matrix"));
  if (const status checked = check_low_rank_targets(map, out); !checked.ok()) return fail(checked);
  return out;
}

void add_parameters(std::vector<method_array>& out, const std::string& kind,
                    const parameter_map& map, std::span<float> all) {
  for (const auto& p : map.list) out.push_back({kind + p.name, all.subspan(p.offset, p.count())});
}

} // namespace

result<training_methods::sets> training_methods::choose(const parameter_map& map,
                                                        const training_method_options& options) {
  auto frozen = read_parameter_list(options.frozen, map);
  if (!frozen) return fail(frozen.error().within("what is to be frozen"));
  sets out{.frozen = std::move(*frozen)};
  for (const auto& layer : map.layers) {
    const auto gate = layer.router.gate;
    out.bias_moves.push_back(!options.adapters && gate != no_parameter && !out.frozen.has(gate));
  }
  if (!options.adapters) return out;
  auto adapted = adapted_by(options.adapted, map, out.frozen);
  if (!adapted) return fail(adapted.error().within("what is to have adapters"));
  out.adapted = std::move(*adapted);
  out.frozen = every_tensor(map);
  return out;
}

training_methods::training_methods(const description& model, const parameter_map& map, sets chosen,
                                   const training_method_options& options)
    : model_(model), map_(map), options_(options), chosen_(std::move(chosen)) {
  if (options.anchor) anchor_.emplace(map, *options.anchor);
}

void training_methods::begin(compute::training_kernels<float>& device, const start& at) {
  if (options_.adapters) {
    adapters_ = std::make_unique<low_rank_adapters<float>>(
        map_, chosen_.adapted, *options_.adapters, at.optimiser, at.values);
  }
  if (!options_.distillation) return;
  teacher_ = std::make_unique<teacher<float>>(model_, at.pass, *options_.distillation);
  std::ranges::copy(at.values.all(), teacher_->values().all().begin());
  teacher_->corrections().assign(at.corrections.begin(), at.corrections.end());
  teacher_->values().refresh(device);
}

status training_methods::read_teacher(compute::training_kernels<float>& device,
                                      const description& model, const tensor_index& index,
                                      const pass_options& pass) {
  if (model.vocabulary != model_.vocabulary) {
    return status(status_code::invalid_argument,
                  text("the teacher has a vocabulary of ", model.vocabulary, ", the model one of ",
                       model_.vocabulary));
  }
  if (options_.distillation->hidden_weight != 0 && model.hidden != model_.hidden) {
    return status(status_code::invalid_argument,
                  text("the teacher's rows have ", model.hidden, " columns, the model's ",
                       model_.hidden, ", so that they cannot be matched"));
  }
  auto made = std::make_unique<teacher<float>>(model, pass, *options_.distillation);
  TROUPE_RETURN_IF_ERROR(read_parameters(made->model(), index, made->values().all(), made->map(),
                                         made->corrections()));
  made->values().refresh(device);
  teacher_ = std::move(made);
  return {};
}

result<std::optional<lesson<float>>> training_methods::look_at(
    compute::training_kernels<float>& device, std::span<const training_document> documents) {
  std::optional<lesson<float>> out;
  if (teacher_ == nullptr) return out;
  auto made = teacher_->look_at(device, documents);
  if (!made) return fail(made.error());
  out = *made;
  return out;
}

void training_methods::change_gradients(compute::training_kernels<float>& device,
                                        const parameter_values<float>& values,
                                        parameter_gradients<float>& gradients) {
  if (anchor_) anchor_->pull(device, values, gradients);
  if (adapters_ != nullptr) adapters_->compute_gradients(device, gradients);
}

double training_methods::squared_norm(compute::training_kernels<float>& device) const {
  return adapters_ != nullptr ? adapters_->squared_norm(device) : 0;
}

void training_methods::step(compute::training_kernels<float>& device,
                            parameter_values<float>& values, double rate, double factor) {
  if (adapters_ != nullptr) adapters_->step(device, values, rate, factor);
}

std::vector<method_array> training_methods::state() {
  std::vector<method_array> out;
  if (anchor_) {
    add_parameters(out, "anchor/", map_, anchor_->anchor());
    add_parameters(out, "importance/", map_, anchor_->importance());
  }
  if (teacher_ != nullptr) {
    add_parameters(out, "teacher/", teacher_->map(), teacher_->values().all());
    for (size_t layer = 0; layer < teacher_->corrections().size(); ++layer) {
      auto& bias = teacher_->corrections()[layer];
      if (!bias.empty()) out.push_back({text("teacher_bias/", layer), bias});
    }
  }
  if (adapters_ != nullptr) {
    auto& optimiser = adapters_->optimiser();
    const auto& map = adapters_->map();
    add_parameters(out, "value/", map, adapters_->factors().all());
    for (parameter_id id = 0; id < map.list.size(); ++id)
      out.push_back({"first/" + map[id].name, optimiser.first_of(id)});
    for (parameter_id id = 0; id < map.list.size(); ++id)
      out.push_back({"second/" + map[id].name, optimiser.second_of(id)});
    out.push_back({"adapted", adapters_->start()});
  }
  return out;
}

void training_methods::restored(compute::training_kernels<float>& device, uint64_t steps) {
  if (teacher_ != nullptr) teacher_->values().refresh(device);
  if (adapters_ != nullptr) adapters_->optimiser().set_steps(steps);
}

} // namespace troupe::model
