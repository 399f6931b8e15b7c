// A checkpoint with everything that training it needs, in the scalar of choice.
#pragma once

#include "compute/reference/training_kernels.hpp"
#include "model/training/optimiser.hpp"
#include "model/training/training_pass.hpp"
#include "tests/unit/model/checkpoint.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace troupe::model_test {

// What PyTorch recorded (tests/golden/make_training.py). TROUPE_GOLDEN_TRAINING names another
// folder of such checkpoints, to hold freshly made ones against the engine.
struct golden_training {
  std::vector<std::vector<int32_t>> documents;
  double rate = 0, clip = 0;
  model::adamw_options optimiser;
  std::vector<double> losses, norms;
};
std::vector<std::string> golden_training_names();
std::filesystem::path golden_training_folder(const std::string& name);
golden_training read_golden(const checkpoint& files);

// Each token asks for the next one; the last of a document for nothing.
struct document_set {
  explicit document_set(std::vector<std::vector<int32_t>> from);
  std::vector<model::training_document> views() const;
  uint64_t targets_count = 0;

  std::vector<std::vector<int32_t>> tokens, targets;
};
// Documents of these lengths with tokens below the vocabulary.
document_set random_documents(uint32_t vocabulary, const std::vector<uint32_t>& lengths,
                              uint64_t seed);

template <class T>
struct training_model {
  explicit training_model(checkpoint from);

  model::pass_figures run(const document_set& documents, bool with_gradients = true);
  // The mean loss, and nothing else.
  double loss(const document_set& documents);

  checkpoint files;
  model::description description;
  model::parameter_map map;
  model::parameter_values<T> values;
  std::vector<std::vector<float>> corrections;
  model::parameter_gradients<T> gradients;
  compute::reference_training_kernels<T> device;
  model::pass_options options;
};

extern template struct training_model<float>;
extern template struct training_model<double>;

} // namespace troupe::model_test
