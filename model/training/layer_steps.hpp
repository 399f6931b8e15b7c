// Forward and backward of the parts of a decoder as calls on training kernels: attention with both
// norms of its layer, dense MLP, router with experts, embedding, head. Each is what one actor of a
// pipeline does with its own rows; none keeps state outside of its tape.
//
// Gradients of the residual stream travel in one buffer per call: a backward function takes the
// gradient of its output there and leaves that of its input.
#pragma once

#include "model/training/parameters.hpp"
#include "model/training/tape.hpp"

#include <span>
#include <vector>

namespace troupe::model {

// The rows of one call: whole documents one after another.
template <class T>
struct training_rows {
  std::span<const int32_t> tokens;
  std::span<const int32_t> targets; // of each row; below zero: none
  std::span<const compute::document_rows> documents;
  compute::matrix_of<const T> cos_sin;
  std::span<const uint32_t> angle_rows;
  int32_t padding_id = -1; // its row of the embedding table stays as it is

  uint32_t count() const { return static_cast<uint32_t>(tokens.size()); }
};

// What every part works with. `gradients` may be null in forward functions.
template <class T>
struct training_context {
  compute::training_kernels<T>& device;
  const description& model;
  const parameter_values<T>& values;
  parameter_gradients<T>* gradients = nullptr;
  const training_rows<T>& rows;

  const parameter_map& map() const { return values.map(); }
};

// Scratch of backward, shared by all layers.
template <class T>
struct backward_scratch {
  owned_rows<T> normed; // gradient of what a norm gave
  owned_rows<T> attended, in_rank, q, keys, values, absorbed, q_rank, raw;
  owned_rows<T> gate, up, inner;
  owned_rows<T> expert_output, expert_input, logits, shared, shared_gate;
  owned_rows<T> head_normed, head_logits, taught_normed, taught_logits;
  std::vector<T> hidden_losses;
  std::vector<T> weights;
  std::vector<T> bias;
};

// tape.hidden := hidden + attention, tape.output := its norm.
template <class T>
void attention_forward(const training_context<T>& at, uint32_t layer,
                       const compute::matrix_of<const T>& hidden, attention_tape<T>& tape);
// `dhidden`: gradient of tape.hidden apart from what comes through tape.output, whose gradient is
// `doutput`; becomes the gradient of `hidden`.
template <class T>
void attention_backward(const training_context<T>& at, uint32_t layer,
                        const compute::matrix_of<const T>& hidden, const attention_tape<T>& tape,
                        const compute::matrix_of<const T>& doutput,
                        const compute::matrix_of<T>& dhidden, backward_scratch<T>& scratch);

// result := hidden + mlp(input) of a layer without experts.
template <class T>
void dense_forward(const training_context<T>& at, uint32_t layer,
                   const compute::matrix_of<const T>& input,
                   const compute::matrix_of<const T>& hidden, mlp_tape<T>& tape,
                   const compute::matrix_of<T>& result);
// dinput := gradient of input from that of the result.
template <class T>
void dense_backward(const training_context<T>& at, uint32_t layer,
                    const compute::matrix_of<const T>& input, const mlp_tape<T>& tape,
                    const compute::matrix_of<const T>& dresult, const compute::matrix_of<T>& dinput,
                    backward_scratch<T>& scratch);

// The same of a layer with experts. `correction` is added to the scores for the choice alone.
template <class T>
void experts_forward(const training_context<T>& at, uint32_t layer,
                     std::span<const float> correction, const compute::matrix_of<const T>& input,
                     const compute::matrix_of<const T>& hidden, experts_tape<T>& tape,
                     const compute::matrix_of<T>& result);
template <class T>
void experts_backward(const training_context<T>& at, uint32_t layer,
                      const compute::matrix_of<const T>& input, const experts_tape<T>& tape,
                      const compute::matrix_of<const T>& dresult,
                      const compute::matrix_of<T>& dinput, backward_scratch<T>& scratch);

template <class T>
void embedding_forward(const training_context<T>& at, const compute::matrix_of<T>& hidden);
// Changes dhidden.
template <class T>
void embedding_backward(const training_context<T>& at, const compute::matrix_of<T>& dhidden);

// What a teacher says of the rows of a call: its own model's hidden rows before the final norm, and
// how strongly the student is drawn there (model/training/distillation.hpp).
template <class T>
struct lesson {
  const description* model = nullptr; // of the same vocabulary
  const parameter_values<T>* values = nullptr;
  compute::matrix_of<const T> hidden;
  T weight = 1;
  T temperature = 1;
  T hidden_weight = 0;
};

template <class T>
struct loss_options {
  T weight = 1; // of each target: 1 / targets of the step
  T z_loss = 0;
  uint32_t rows_at_once = 128;       // bounds the memory for logits
  const lesson<T>* taught = nullptr; // only with gradients
  std::span<T> taught_losses = {};   // of each row, with a lesson
};

// Losses of all rows; with gradients in the context also dhidden := gradient of hidden.
template <class T>
void head_loss(const training_context<T>& at, const compute::matrix_of<const T>& hidden,
               const loss_options<T>& options, std::span<T> losses,
               const compute::matrix_of<T>& dhidden, backward_scratch<T>& scratch);
template <class T>
void head_logits(const training_context<T>& at, const compute::matrix_of<const T>& hidden,
                 const compute::matrix_of<T>& logits);

} // namespace troupe::model
