// Forward and backward of a whole decoder over documents, on one device and one thread of control.
#pragma once

#include "model/rotary.hpp"
#include "model/training/layer_steps.hpp"

#include <string_view>

namespace troupe::model {

// Tokens of one document and what should follow each of them; below zero: nothing is asked there.
// Attention never leaves a document.
struct training_document {
  std::span<const int32_t> tokens;
  std::span<const int32_t> targets;
};

struct pass_options {
  // Keep only the input of each layer and compute the rest again in backward: the same bits, about
  // a third more arithmetic, memory for the activations of one layer instead of all.
  bool recompute = false;
  uint32_t head_rows = 128; // rows whose logits are in memory together
  double z_loss = 0;
  int32_t padding_id = -1; // looked up, its embedding is not trained (padding_id_of)
};

// The padding token of a checkpoint: PyTorch trains its embedding only where it is also the head.
// -1: there is none.
result<int32_t> padding_id_of(std::string_view config_json, std::string_view file = "config.json");

struct pass_figures {
  double loss_sum = 0; // nats over the targets, without the z-loss
  uint64_t targets = 0;
  double taught_sum = 0; // what is paid for differing from a teacher, over the targets
  // Rows that chose each expert, by layer; empty for a dense one.
  std::vector<std::vector<uint64_t>> expert_rows;

  void add(const pass_figures& other);
};

template <class T>
class training_pass {
public:
  // The model must outlive the pass.
  training_pass(const description& model, const pass_options& options);

  struct parts {
    const parameter_values<T>& values;
    std::span<const std::vector<float>> corrections; // by layer
    parameter_gradients<T>* gradients = nullptr;     // null: losses only
    const lesson<T>* taught = nullptr;               // of the same documents; only with gradients
  };
  // Adds gradients of weight * (sum of losses). Cutting documents into several calls, in order,
  // changes no bit of the gradients. Refuses tokens outside of the vocabulary.
  result<pass_figures> run(compute::training_kernels<T>& device, const parts& with,
                           std::span<const training_document> documents, T weight);
  // Of every row of the documents, [rows, vocabulary].
  result<std::vector<T>> logits(compute::training_kernels<T>& device, const parts& with,
                                std::span<const training_document> documents);

  // The last layer's rows, before the final norm; valid until the next call.
  result<compute::matrix_of<const T>> hidden(compute::training_kernels<T>& device,
                                             const parts& with,
                                             std::span<const training_document> documents);

private:
  status lay_out(std::span<const training_document> documents);
  void lay_out_rotation();
  void forward(const training_context<T>& at, std::span<const std::vector<float>> corrections,
               pass_figures* figures);
  void forward_layer(const training_context<T>& at, uint32_t layer,
                     std::span<const float> correction, layer_tape<T>& tape,
                     const compute::matrix_of<T>& result);
  void backward(const training_context<T>& at, std::span<const std::vector<float>> corrections);
  layer_tape<T>& tape_of(uint32_t layer) { return tapes_[options_.recompute ? 0 : layer]; }
  training_context<T> context(compute::training_kernels<T>& device, const parts& with);

  const description& model_;
  const pass_options options_;
  rotary_table rotary_;
  uint32_t rotary_positions_ = 0;
  uint32_t rotary_rows_ = 0;
  owned_rows<T> angles_;

  std::vector<int32_t> tokens_, targets_;
  std::vector<uint32_t> positions_, lengths_, angle_rows_;
  std::vector<compute::document_rows> documents_;
  training_rows<T> rows_;

  std::vector<owned_rows<T>> hidden_; // the input of each layer, and of the head
  std::vector<layer_tape<T>> tapes_;
  owned_rows<T> again_; // what a layer computed again gives
  owned_rows<T> dhidden_, doutput_;
  backward_scratch<T> scratch_;
  std::vector<T> losses_, taught_losses_;
};

} // namespace troupe::model
