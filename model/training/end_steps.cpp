// Embedding and head: where rows of tokens come in and losses go out.
#include "base/check.hpp"
#include "model/training/layer_steps.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

using compute::matrix_of;

template <class T>
void logits_of(const training_context<T>& at, const matrix_of<const T>& normed,
               const matrix_of<T>& logits) {
  const compute::linear_args<T> product{
      .x = normed, .w = at.values.weight(at.map().head), .bias = {}, .residual = {}, .y = logits};
  at.device.linear({&product, 1});
  const T multiplier = T(at.model.logits_multiplier);
  if (multiplier != 1) at.device.sum({.a = logits, .b = {}, .factor = multiplier, .y = logits});
}

template <class T>
void norm_rows(const training_context<T>& at, const matrix_of<const T>& hidden,
               const matrix_of<T>& normed) {
  at.device.norm({.x = hidden,
                  .gain = at.values.vector(at.map().head_norm),
                  .eps = T(at.model.norm_eps),
                  .y = normed});
}

// What a teacher made of a chunk of rows.
template <class T>
struct taught_rows {
  matrix_of<T> normed;
  matrix_of<T> logits; // after hear_teacher the gradient of the student's
  std::span<T> losses;
  std::span<T> hidden_losses;
};

template <class T>
taught_rows<T> hear_teacher(const training_context<T>& at, const loss_options<T>& options,
                            uint32_t begin, const matrix_of<const T>& logits,
                            backward_scratch<T>& scratch) {
  const auto& says = *options.taught;
  const uint32_t count = logits.rows;
  scratch.hidden_losses.resize(count);
  const taught_rows<T> out{.normed = scratch.taught_normed.shape(count, says.hidden.cols),
                           .logits = scratch.taught_logits.shape(count, logits.cols),
                           .losses = options.taught_losses.subspan(begin, count),
                           .hidden_losses = scratch.hidden_losses};
  const training_context<T> theirs{
      .device = at.device, .model = *says.model, .values = *says.values, .rows = at.rows};
  norm_rows<T>(theirs, says.hidden.rows_at(begin, count), out.normed);
  logits_of<T>(theirs, out.normed, out.logits);
  at.device.distil({.student = logits,
                    .teacher = out.logits,
                    .targets = at.rows.targets.subspan(begin, count),
                    .temperature = says.temperature,
                    .weight = options.weight * says.weight,
                    .losses = out.losses});
  return out;
}

// Draws final rows to the teacher's: `slopes` is their gradient. Losses get what the step pays.
template <class T>
void match_teacher(const training_context<T>& at, const loss_options<T>& options, uint32_t begin,
                   const taught_rows<T>& taught, const matrix_of<const T>& normed,
                   const matrix_of<T>& slopes) {
  const auto& says = *options.taught;
  for (T& loss : taught.losses) loss = loss * says.weight;
  if (says.hidden_weight == 0) return;
  at.device.match_rows({.student = normed,
                        .teacher = taught.normed,
                        .targets = at.rows.targets.subspan(begin, normed.rows),
                        .weight = options.weight * says.hidden_weight,
                        .dstudent = slopes,
                        .losses = taught.hidden_losses});
  for (size_t r = 0; r < taught.losses.size(); ++r)
    taught.losses[r] = taught.losses[r] + taught.hidden_losses[r] * says.hidden_weight;
}

// From the gradient of the logits of some rows to that of their normed rows.
template <class T>
void logits_backward(const training_context<T>& at, const matrix_of<const T>& normed,
                     const matrix_of<T>& dlogits, const matrix_of<T>& dnormed) {
  const T multiplier = T(at.model.logits_multiplier);
  if (multiplier != 1) at.device.sum({.a = dlogits, .b = {}, .factor = multiplier, .y = dlogits});
  const compute::weight_gradient_args<T> weight{
      .dy = dlogits, .x = normed, .dw = at.gradients->head()};
  const compute::input_gradient_args<T> input{
      .dy = dlogits, .w = at.values.weight(at.map().head), .add = false, .dx = dnormed};
  at.device.weight_gradient({&weight, 1});
  at.device.input_gradient({&input, 1});
}

// In place: from the gradient of normed rows to that of hidden ones.
template <class T>
void norm_rows_backward(const training_context<T>& at, const matrix_of<const T>& hidden,
                        const matrix_of<T>& dhidden) {
  at.device.norm_backward({.x = hidden,
                           .gain = at.values.vector(at.map().head_norm),
                           .eps = T(at.model.norm_eps),
                           .dy = dhidden,
                           .dx = dhidden,
                           .dgain = at.gradients->vector(at.map().head_norm)});
}

} // namespace

template <class T>
void embedding_forward(const training_context<T>& at, const matrix_of<T>& hidden) {
  at.device.embed_rows(
      {.table = at.values.matrix(at.map().embedding), .ids = at.rows.tokens, .y = hidden});
  const T multiplier = T(at.model.embedding_multiplier);
  if (multiplier != 1) at.device.sum({.a = hidden, .b = {}, .factor = multiplier, .y = hidden});
}

template <class T>
void embedding_backward(const training_context<T>& at, const matrix_of<T>& dhidden) {
  const T multiplier = T(at.model.embedding_multiplier);
  if (multiplier != 1) at.device.sum({.a = dhidden, .b = {}, .factor = multiplier, .y = dhidden});
  at.device.embed_backward({.ids = at.rows.tokens,
                            .fixed = at.rows.padding_id,
                            .dy = dhidden,
                            .dtable = at.gradients->matrix(at.map().embedding)});
}

template <class T>
void head_loss(const training_context<T>& at, const matrix_of<const T>& hidden,
               const loss_options<T>& options, std::span<T> losses, const matrix_of<T>& dhidden,
               backward_scratch<T>& scratch) {
  TROUPE_CHECK(losses.size() == hidden.rows && options.rows_at_once > 0);
  TROUPE_CHECK(options.taught == nullptr || at.gradients != nullptr);
  for (uint32_t begin = 0; begin < hidden.rows; begin += options.rows_at_once) {
    const uint32_t count = std::min(options.rows_at_once, hidden.rows - begin);
    const auto input = hidden.rows_at(begin, count);
    const auto normed = scratch.head_normed.shape(count, at.model.hidden);
    const auto logits = scratch.head_logits.shape(count, at.model.vocabulary);
    norm_rows(at, input, normed);
    logits_of<T>(at, normed, logits);
    taught_rows<T> taught;
    if (options.taught != nullptr) taught = hear_teacher<T>(at, options, begin, logits, scratch);
    at.device.cross_entropy({.logits = logits,
                             .targets = at.rows.targets.subspan(begin, count),
                             .weight = options.weight,
                             .z_loss = options.z_loss,
                             .gradient = at.gradients != nullptr,
                             .losses = losses.subspan(begin, count)});
    if (at.gradients == nullptr) continue;
    const auto slopes = dhidden.rows_at(begin, count);
    if (options.taught != nullptr)
      at.device.sum({.a = logits, .b = taught.logits, .factor = T(1), .y = logits});
    logits_backward<T>(at, normed, logits, slopes);
    if (options.taught != nullptr) match_teacher<T>(at, options, begin, taught, normed, slopes);
    norm_rows_backward<T>(at, input, slopes);
  }
}

template <class T>
void head_logits(const training_context<T>& at, const matrix_of<const T>& hidden,
                 const matrix_of<T>& logits) {
  owned_rows<T> normed;
  norm_rows(at, hidden, normed.shape(hidden.rows, hidden.cols));
  logits_of<T>(at, normed.view(), logits);
}

#define TROUPE_INSTANTIATE(T)                                                           \
  template void embedding_forward<T>(const training_context<T>&, const matrix_of<T>&);  \
  template void embedding_backward<T>(const training_context<T>&, const matrix_of<T>&); \
  template void head_loss<T>(const training_context<T>&, const matrix_of<const T>&,     \
                             const loss_options<T>&, std::span<T>, const matrix_of<T>&, \
                             backward_scratch<T>&);                                     \
  template void head_logits<T>(const training_context<T>&, const matrix_of<const T>&,   \
                               const matrix_of<T>&);
TROUPE_INSTANTIATE(float)
TROUPE_INSTANTIATE(double)
#undef TROUPE_INSTANTIATE

} // namespace troupe::model
