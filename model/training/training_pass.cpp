// Lays documents out as rows, then walks the layers up and down.
#include "model/training/training_pass.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/config_fields.hpp"
#include "model/json_document.hpp"

#include <algorithm>

namespace troupe::model {

using compute::matrix_of;

result<int32_t> padding_id_of(std::string_view config_json, std::string_view file) {
  const auto document = parse_json_object(config_json, file);
  if (!document) return fail(document.error());
  status first;
  config_fields fields(*document, file, first);
  const bool olmoe = fields.word("model_type", "") == "olmoe"; // the one family with a default
  const int32_t fallback = olmoe && !fields.is_null("pad_token_id") ? 1 : -1;
  const auto ids = fields.ids("pad_token_id");
  if (!first.ok()) return fail(first);
  return ids.empty() ? fallback : ids.front();
}

void pass_figures::add(const pass_figures& other) {
  loss_sum += other.loss_sum;
  targets += other.targets;
  taught_sum += other.taught_sum;
  expert_rows.resize(std::max(expert_rows.size(), other.expert_rows.size()));
  for (size_t layer = 0; layer < other.expert_rows.size(); ++layer) {
    auto& mine = expert_rows[layer];
    const auto& theirs = other.expert_rows[layer];
    mine.resize(std::max(mine.size(), theirs.size()));
    for (size_t e = 0; e < theirs.size(); ++e) mine[e] += theirs[e];
  }
}

template <class T>
training_pass<T>::training_pass(const description& model, const pass_options& options)
    : model_(model), options_(options) {
  TROUPE_CHECK(options.head_rows > 0);
  hidden_.resize(model.layers.size() + 1);
  tapes_.resize(options.recompute ? 1 : model.layers.size());
}

template <class T>
status training_pass<T>::lay_out(std::span<const training_document> documents) {
  tokens_.clear();
  targets_.clear();
  positions_.clear();
  lengths_.clear();
  documents_.clear();
  for (const auto& document : documents) {
    const auto begin = static_cast<uint32_t>(tokens_.size());
    const auto count = static_cast<uint32_t>(document.tokens.size());
    TROUPE_CHECK(document.targets.size() == count);
    for (uint32_t i = 0; i < count; ++i) {
      const int32_t token = document.tokens[i], target = document.targets[i];
      const auto vocabulary = static_cast<int64_t>(model_.vocabulary);
      if (token < 0 || token >= vocabulary || target >= vocabulary) {
        return status(status_code::invalid_argument,
                      text("token ", token, " followed by ", target,
                           " lies outside the vocabulary of ", model_.vocabulary));
      }
      tokens_.push_back(token);
      targets_.push_back(target);
      positions_.push_back(i);
      lengths_.push_back(count);
    }
    if (count > 0) documents_.push_back({begin, begin + count});
  }
  if (tokens_.empty()) return status(status_code::invalid_argument, "no tokens to train on");
  lay_out_rotation();
  rows_ = {.tokens = tokens_,
           .targets = targets_,
           .documents = documents_,
           .cos_sin = angles_.view(),
           .angle_rows = angle_rows_,
           .padding_id = options_.padding_id};
  return {};
}

template <class T>
void training_pass<T>::lay_out_rotation() {
  const uint32_t positions = *std::max_element(lengths_.begin(), lengths_.end());
  const auto rows = static_cast<uint32_t>(tokens_.size());
  if (positions > rotary_positions_ || rows > rotary_rows_) {
    rotary_positions_ = std::max(positions, rotary_positions_);
    rotary_rows_ = std::max(rows, rotary_rows_);
    rotary_ = rotary_table(model_.rope, rotary_positions_, rotary_rows_);
  }
  const auto view = rotary_.view(positions_, lengths_);
  const auto angles = angles_.shape(view.cos_sin.rows, view.cos_sin.cols);
  for (uint32_t r = 0; r < angles.rows; ++r)
    std::copy_n(view.cos_sin.row(r), angles.cols, angles.row(r));
  angle_rows_.assign(view.positions.begin(), view.positions.end());
}

template <class T>
training_context<T> training_pass<T>::context(compute::training_kernels<T>& device,
                                              const parts& with) {
  TROUPE_CHECK(with.corrections.size() == model_.layers.size());
  return {.device = device,
          .model = model_,
          .values = with.values,
          .gradients = with.gradients,
          .rows = rows_};
}

template <class T>
void training_pass<T>::forward_layer(const training_context<T>& at, uint32_t layer,
                                     std::span<const float> correction, layer_tape<T>& tape,
                                     const matrix_of<T>& result) {
  attention_forward<T>(at, layer, hidden_[layer].view(), tape.attention);
  const matrix_of<const T> input = tape.attention.output.view();
  const matrix_of<const T> hidden = tape.attention.hidden.view();
  if (model_.layers[layer].is_moe())
    experts_forward<T>(at, layer, correction, input, hidden, tape.experts, result);
  else
    dense_forward<T>(at, layer, input, hidden, tape.dense, result);
}

template <class T>
void training_pass<T>::forward(const training_context<T>& at,
                               std::span<const std::vector<float>> corrections,
                               pass_figures* figures) {
  const uint32_t rows = rows_.count();
  embedding_forward<T>(at, hidden_[0].shape(rows, model_.hidden));
  for (uint32_t layer = 0; layer < model_.layers.size(); ++layer) {
    auto& tape = tape_of(layer);
    forward_layer(at, layer, corrections[layer], tape,
                  hidden_[layer + 1].shape(rows, model_.hidden));
    if (figures == nullptr || !model_.layers[layer].is_moe()) continue;
    auto& loads = figures->expert_rows[layer];
    loads.assign(model_.layers[layer].moe.rule.experts, 0);
    for (const auto& group : tape.experts.grouping.groups)
      loads[group.expert] += group.end - group.begin;
  }
}

template <class T>
void training_pass<T>::backward(const training_context<T>& at,
                                std::span<const std::vector<float>> corrections) {
  const uint32_t rows = rows_.count();
  const auto dhidden = dhidden_.view(); // of the last layer's result
  const auto doutput = doutput_.shape(rows, model_.hidden);
  for (auto layer = static_cast<uint32_t>(model_.layers.size()); layer-- > 0;) {
    auto& tape = tape_of(layer);
    if (options_.recompute) {
      forward_layer(at, layer, corrections[layer], tape, again_.shape(rows, model_.hidden));
    }
    const matrix_of<const T> input = tape.attention.output.view();
    if (model_.layers[layer].is_moe())
      experts_backward<T>(at, layer, input, tape.experts, dhidden, doutput, scratch_);
    else
      dense_backward<T>(at, layer, input, tape.dense, dhidden, doutput, scratch_);
    attention_backward<T>(at, layer, hidden_[layer].view(), tape.attention, doutput, dhidden,
                          scratch_);
  }
  embedding_backward<T>(at, dhidden);
}

template <class T>
result<pass_figures> training_pass<T>::run(compute::training_kernels<T>& device, const parts& with,
                                           std::span<const training_document> documents, T weight) {
  if (status valid = lay_out(documents); !valid.ok()) return fail(valid);
  const auto at = context(device, with);
  pass_figures figures;
  figures.expert_rows.resize(model_.layers.size());
  forward(at, with.corrections, &figures);
  const uint32_t rows = rows_.count();
  losses_.resize(rows);
  taught_losses_.assign(with.taught != nullptr ? rows : 0, T(0));
  const auto dhidden = dhidden_.shape(rows, model_.hidden);
  head_loss<T>(at, hidden_.back().view(),
               {.weight = weight,
                .z_loss = static_cast<T>(options_.z_loss),
                .rows_at_once = options_.head_rows,
                .taught = with.taught,
                .taught_losses = taught_losses_},
               std::span(losses_), dhidden, scratch_);
  for (uint32_t r = 0; r < rows; ++r) {
    if (targets_[r] < 0) continue;
    figures.loss_sum += static_cast<double>(losses_[r]);
    ++figures.targets;
    if (with.taught != nullptr) figures.taught_sum += static_cast<double>(taught_losses_[r]);
  }
  if (with.gradients != nullptr) backward(at, with.corrections);
  return figures;
}

template <class T>
result<matrix_of<const T>> training_pass<T>::hidden(compute::training_kernels<T>& device,
                                                    const parts& with,
                                                    std::span<const training_document> documents) {
  if (status valid = lay_out(documents); !valid.ok()) return fail(valid);
  forward(context(device, with), with.corrections, nullptr);
  return matrix_of<const T>(hidden_.back().view());
}

template <class T>
result<std::vector<T>> training_pass<T>::logits(compute::training_kernels<T>& device,
                                                const parts& with,
                                                std::span<const training_document> documents) {
  if (status valid = lay_out(documents); !valid.ok()) return fail(valid);
  const auto at = context(device, with);
  forward(at, with.corrections, nullptr);
  std::vector<T> out(size_t{rows_.count()} * model_.vocabulary);
  head_logits<T>(at, hidden_.back().view(),
                 {out.data(), rows_.count(), model_.vocabulary, model_.vocabulary});
  return out;
}

template class training_pass<float>;
template class training_pass<double>;

} // namespace troupe::model
