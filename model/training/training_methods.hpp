// What a training run does against forgetting, all of it optional and together: frozen tensors, an
// anchor for the weights, a teacher, low-rank adapters.
//
// With adapters every tensor of the model counts as frozen and the factors are trained instead.
#pragma once

#include "model/tensor_index.hpp"
#include "model/training/distillation.hpp"
#include "model/training/low_rank_adapters.hpp"
#include "model/training/weight_anchor.hpp"

#include <memory>
#include <optional>
#include <string>

namespace troupe::model {

struct training_method_options {
  std::string frozen = {};                   // a list of read_parameter_list
  std::optional<anchor_options> anchor = {}; // needs training_methods::renew_anchor
  std::optional<distillation_options> distillation = {};
  std::optional<low_rank_options> adapters = {};
  std::string adapted = "attention"; // the tensors with adapters, but for frozen ones
};

// One array of state that methods add to that of the run (model/training/training_state.hpp).
struct method_array {
  std::string name;
  std::span<float> values;
};

class training_methods {
public:
  struct sets {
    parameter_set frozen = {};  // of the model's own tensors
    parameter_set adapted = {}; // matrices
    std::vector<bool> bias_moves =
        {}; // by layer: whether the choice of experts may still be balanced
  };
  static result<sets> choose(const parameter_map& map, const training_method_options& options);

  // Model and map must outlive the methods.
  training_methods(const description& model, const parameter_map& map, sets chosen,
                   const training_method_options& options);
  struct start {
    const parameter_values<float>& values;
    std::span<const std::vector<float>> corrections;
    const pass_options& pass;
    const adamw_options& optimiser;
  };
  // After the values were read: adapters are added to them, and they are the teacher.
  void begin(compute::training_kernels<float>& device, const start& at);
  // Another model as teacher: of the same vocabulary, and as wide when final rows are matched.
  status read_teacher(compute::training_kernels<float>& device, const description& model,
                      const tensor_index& index, const pass_options& pass);

  // Nothing without a teacher.
  result<std::optional<lesson<float>>> look_at(compute::training_kernels<float>& device,
                                               std::span<const training_document> documents);
  // Once a step, on the sum of all shares.
  void change_gradients(compute::training_kernels<float>& device,
                        const parameter_values<float>& values,
                        parameter_gradients<float>& gradients);
  // Of what is trained beside the model's own tensors.
  double squared_norm(compute::training_kernels<float>& device) const;
  void step(compute::training_kernels<float>& device, parameter_values<float>& values, double rate,
            double factor);

  std::vector<method_array> state();
  // After the arrays of state() were filled.
  void restored(compute::training_kernels<float>& device, uint64_t steps);

  bool bias_moves(uint32_t layer) const { return chosen_.bias_moves[layer]; }
  bool has_teacher() const { return teacher_ != nullptr; }
  weight_anchor<float>* anchor() { return anchor_ ? &*anchor_ : nullptr; }
  low_rank_adapters<float>* adapters() { return adapters_.get(); }

private:
  const description& model_;
  const parameter_map& map_;
  const training_method_options options_;
  const sets chosen_;
  std::optional<weight_anchor<float>> anchor_;
  std::unique_ptr<teacher<float>> teacher_;
  std::unique_ptr<low_rank_adapters<float>> adapters_;
};

} // namespace troupe::model
