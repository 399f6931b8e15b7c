// A model in training on one executor: its f32 weights, their gradients and the optimiser's state,
// 24 bytes a parameter. Blocks while computing; one thread at a time.
#pragma once

#include "compute/cpu_training.hpp"
#include "model/training/checkpoint_export.hpp"
#include "model/training/optimiser.hpp"
#include "model/training/training_methods.hpp"
#include "model/training/training_pass.hpp"
#include "model/training/training_state.hpp"

#include <array>
#include <memory>

namespace troupe::model {

struct training_run_options {
  pass_options pass;
  adamw_options optimiser;
  training_method_options methods = {}; // against forgetting
  uint32_t share_tokens = 0; // of a share at most (cut_into_shares); decides how gradients add up
  uint32_t rows_at_once = 1024; // documents are computed together up to here; never changes a bit
  compute::instruction_set set = compute::instruction_set::automatic; // nor does this
};

struct step_gradients {
  pass_figures figures;
  double norm = 0; // of all gradients of the mean loss
};

// The gradient of one share of a step.
struct share_gradient {
  pass_figures figures;
  std::vector<float> values; // of all parameters
};

// What a step's shares add up to.
struct summed_gradients {
  double norm = 0;
  std::vector<float> sum; // as added up; empty unless asked for
};

class training_run {
public:
  // Description, executor and, until this returns, the index must outlive it.
  static result<std::unique_ptr<training_run>> make(const description& model,
                                                    const tensor_index& index,
                                                    compute::executor& executor,
                                                    const training_run_options& options);

  // Gradients of the mean loss over all targets, in place of those of the last call.
  result<step_gradients> compute_gradients(std::span<const training_document> documents);
  // A step of the optimiser with them; they are multiplied by `factor` first.
  status apply(double rate, double factor);
  // Losses alone.
  result<pass_figures> evaluate(std::span<const training_document> documents);

  // The same in parts, for those who must not wait. Each returns once it is accepted and calls
  // `done` exactly once, maybe before, on the thread that computed; when it fails itself, never.
  // One at a time; what is pointed to has to stay until then. Shares may be computed on any run
  // with the same state; one run adds them up, in order, and every run takes the step.
  template <class Outcome>
  using done_with = std::function<void(Outcome)>;
  // `weight` of each target: one over those of the whole step.
  status start_share(std::span<const training_document> documents, float weight,
                     done_with<result<share_gradient>> done);
  status start_adding(std::span<const float> share, bool is_first, done_with<status> done);
  status start_measuring(bool wants_sum, done_with<result<summed_gradients>> done);
  // `sum` from another run that has measured it; none: this one has.
  status start_step(std::span<const float> sum, double rate, double factor, done_with<status> done);
  // restore() of what another run said of itself; fails at once where that does.
  status start_restoring(std::span<const state_part> parts, done_with<status> done);

  // Anchors the weights where they are, with the importance they have for these documents added to
  // what was known before.
  status renew_anchor(std::span<const training_document> documents,
                      const importance_options& options);
  // The importance itself, as tensors of the model's names and shapes; what is read counts as known
  // before. All of these need training_method_options::anchor.
  status read_importance(const tensor_index& index);
  status write_importance(const byte_sink& to);
  double anchor_penalty();
  // Another teacher than the weights at the start; needs training_method_options::distillation.
  status read_teacher(const description& model, const tensor_index& index);
  // The two files of PEFT; need training_method_options::adapters.
  std::string adapter_config(const std::string& base_name) const;
  status write_adapter(const byte_sink& to);
  training_methods& methods() { return methods_; }

  // What routing adds to the scores of each layer's experts for the choice.
  std::span<std::vector<float>> corrections() { return corrections_; }
  uint64_t parameters() const { return map_.scalars; }
  uint64_t steps() const { return optimiser_.steps(); }
  status write(compute::dtype type, const byte_sink& to) const;

  // All that a run is made of between two steps: weights, moments, biases and the count of steps.
  std::vector<state_part> state();
  // Goes on where state() was called, with the same bits. `corrupt` when names or sizes are those
  // of another model, or a weight is no number; nothing has changed then.
  status restore(std::span<const state_part> parts);

private:
  training_run(const description& model, compute::executor& executor,
               const training_run_options& options, const training_methods::sets& chosen);
  using device_work = std::function<void(compute::training_kernels<float>&)>;
  status on_device(const device_work& work);
  status start(device_work work, done_with<status> done);
  result<pass_figures> pass_on(compute::training_kernels<float>& device,
                               std::span<const training_document> documents,
                               parameter_gradients<float>* gradients, float weight);
  double measure(compute::training_kernels<float>& device);
  void step(compute::training_kernels<float>& device, double rate, double factor);
  status put_back(std::span<const state_part> parts);
  void look_again(compute::training_kernels<float>& device);
  // Learns with a teacher where there are gradients.
  result<pass_figures> pass_over_part(compute::training_kernels<float>& device,
                                      std::span<const training_document> documents,
                                      parameter_gradients<float>* gradients, float weight);
  result<pass_figures> pass_over(std::span<const training_document> documents,
                                 parameter_gradients<float>* gradients, float weight);

  const description& model_;
  compute::executor& executor_;
  const training_run_options options_;
  const parameter_map map_;
  const training_methods::sets chosen_;
  parameter_values<float> values_;
  parameter_gradients<float> gradients_;
  adamw_optimiser<float> optimiser_;
  training_pass<float> pass_;
  training_methods methods_;
  std::vector<std::vector<float>> corrections_;
  std::array<uint64_t, 2> stored_run_ = {}; // what state() says of the run itself
};

} // namespace troupe::model
