// Lays out rows and pages, then runs the layers as the actors do: one job up to the router's
// choice, sorting on the host, one job for the experts.
#include "model/decoder.hpp"

#include "base/text.hpp"
#include "model/expert_groups.hpp"

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>

namespace troupe::model {

using compute::kernels;

result<decoder> decoder::make(const description& model, const model_weights& weights,
                              compute::executor& executor, const decoder_options& options) {
  TROUPE_CHECK(options.positions_max > 0 && options.sequences_max > 0 && options.page_tokens > 0);
  decoder out;
  out.model_ = &model;
  out.weights_ = &weights;
  out.executor_ = &executor;
  out.options_ = options;
  auto buffers = make_step_buffers(
      model, {.rows_max = options.rows_max, .logit_rows_max = options.rows_max}, executor);
  if (!buffers) return fail(buffers.error());
  out.buffers_ = std::move(*buffers);
  out.rotary_ = rotary_table(model.rope, options.positions_max, options.rows_max);

  const uint32_t pages_each =
      (options.positions_max + options.page_tokens - 1) / options.page_tokens;
  const uint32_t pages = pages_each * options.sequences_max;
  for (const auto& layer : model.layers) {
    const auto shape = kv_shape_of(layer.attention, options.page_tokens);
    auto memory = executor.allocate(pages * compute::kv_page_bytes(shape));
    if (!memory) return fail(memory.error().within("key-value pages"));
    out.kv_.push_back({.shape = shape, .data = memory->data(), .pages = pages});
    out.kv_memory_.push_back(std::move(*memory));
  }
  out.pages_.resize(pages);
  std::iota(out.pages_.begin(), out.pages_.end(), 0u);
  for (uint32_t s = 0; s < options.sequences_max; ++s) {
    out.page_tables_.push_back(
        std::span<const uint32_t>(out.pages_).subspan(size_t{s} * pages_each, pages_each));
  }
  out.lengths_.resize(options.sequences_max);
  out.all_rows_.resize(options.rows_max);
  std::iota(out.all_rows_.begin(), out.all_rows_.end(), 0u);
  return out;
}

status decoder::check(std::span<const input> inputs) const {
  size_t rows = 0;
  std::vector<bool> seen(options_.sequences_max, false);
  for (const auto& in : inputs) {
    TROUPE_CHECK(in.sequence < options_.sequences_max && !seen[in.sequence]);
    seen[in.sequence] = true;
    rows += in.tokens.size();
    if (lengths_[in.sequence] + in.tokens.size() > options_.positions_max) {
      return status(status_code::exhausted,
                    text("sequence of ", lengths_[in.sequence] + in.tokens.size(),
                         " tokens, room for ", options_.positions_max));
    }
    for (const int32_t token : in.tokens) {
      if (token < 0 || static_cast<uint32_t>(token) >= model_->vocabulary) {
        return status(
            status_code::invalid_argument,
            text("token ", token, " lies outside the vocabulary of ", model_->vocabulary));
      }
    }
  }
  if (rows == 0 || rows > options_.rows_max) {
    return status(status_code::invalid_argument,
                  text("a step of ", rows, " tokens; 1 to ", options_.rows_max, " are possible"));
  }
  return {};
}

void decoder::lay_out(std::span<const input> inputs) {
  tokens_.clear();
  positions_.clear();
  slots_.clear();
  sequence_of_.clear();
  prompt_lengths_.clear();
  for (const auto& in : inputs) {
    for (const int32_t token : in.tokens) {
      const uint32_t position = lengths_[in.sequence]++;
      const uint32_t page = page_tables_[in.sequence][position / options_.page_tokens];
      tokens_.push_back(token);
      positions_.push_back(position);
      slots_.push_back(page * options_.page_tokens + position % options_.page_tokens);
      sequence_of_.push_back(in.sequence);
      prompt_lengths_.push_back(in.prompt_length);
    }
  }
}

status decoder::run(const compute::executor::job& job) {
  // waiver thread: the caller waits here for its logits; no actor uses this class.
  std::promise<status> done;
  const status accepted =
      executor_->submit(job, [&done](status outcome) { done.set_value(std::move(outcome)); });
  return accepted.ok() ? done.get_future().get() : accepted;
}

status decoder::compute_layers() {
  const step_rows rows{.tokens = tokens_,
                       .positions = positions_,
                       .slots = slots_,
                       .sequence_of = sequence_of_,
                       .page_tables = page_tables_,
                       .prompt_lengths = prompt_lengths_};
  const uint32_t count = rows.count();
  const rotary_view rotary = rotary_.view(positions_, prompt_lengths_);
  TROUPE_RETURN_IF_ERROR(run(
      [&](kernels& device) { embed_rows(device, *model_, weights_->embedding, rows, buffers_); }));
  for (uint32_t i = 0; i < model_->layers.size(); ++i) {
    const auto& spec = model_->layers[i];
    const auto& weights = weights_->layers[i];
    const attention_context attention{.model = model_,
                                      .layer = i,
                                      .weights = &weights.attention,
                                      .rows = &rows,
                                      .rotary = rotary,
                                      .kv = kv_[i],
                                      .buffers = &buffers_};
    TROUPE_RETURN_IF_ERROR(run([&](kernels& device) {
      attention_block(device, attention);
      if (spec.is_moe())
        router_choice(device, spec.moe, weights.router, count, buffers_);
      else
        dense_block(device, *model_, weights.dense, count, buffers_);
    }));
    if (!spec.is_moe()) continue;
    const auto ids =
        std::span<const int32_t>(buffers_.expert_ids).first(size_t{count} * spec.moe.rule.top_k);
    const auto grouping = group_by_expert(ids, spec.moe.rule.top_k, spec.moe.rule.experts);
    std::vector<expert_run> runs;
    for (const auto& group : grouping.groups)
      runs.push_back({&weights.experts[group.expert], group.begin, group.end});
    TROUPE_RETURN_IF_ERROR(run([&](kernels& device) {
      gather_expert_input(device, grouping.rows, buffers_);
      experts_forward(device, *model_, runs, buffers_);
      shared_expert(device, *model_, weights.router, count, buffers_);
      combine_experts(device, spec.moe, grouping.slots, count, buffers_);
    }));
  }
  return run([&](kernels& device) {
    head_logits(device, *model_, weights_->head, weights_->head_matrix(),
                std::span(all_rows_).first(count), buffers_);
  });
}

result<std::vector<float>> decoder::step(std::span<const input> inputs) {
  if (status valid = check(inputs); !valid.ok()) return fail(valid);
  lay_out(inputs);
  if (status computed = compute_layers(); !computed.ok()) return fail(computed);
  std::vector<float> out;
  out.reserve(tokens_.size() * model_->vocabulary);
  for (uint32_t r = 0; r < tokens_.size(); ++r) {
    const float* row = buffers_.logits.row(r);
    out.insert(out.end(), row, row + model_->vocabulary);
  }
  return out;
}

void decoder::forget(uint32_t sequence) {
  lengths_[sequence] = 0;
}

result<std::vector<float>> decoder::logits_of(std::span<const int32_t> prompt, uint32_t chunk) {
  forget(0);
  const size_t piece = chunk == 0 ? options_.rows_max : std::min(chunk, options_.rows_max);
  std::vector<float> out;
  for (size_t begin = 0; begin < prompt.size(); begin += piece) {
    const input in{.sequence = 0,
                   .tokens = prompt.subspan(begin, std::min(piece, prompt.size() - begin)),
                   .prompt_length = static_cast<uint32_t>(prompt.size())};
    auto logits = step({&in, 1});
    if (!logits) return fail(logits.error());
    out.insert(out.end(), logits->begin(), logits->end());
  }
  return out;
}

result<std::vector<int32_t>> decoder::greedy(std::span<const int32_t> prompt, uint32_t count) {
  auto logits = logits_of(prompt);
  std::vector<int32_t> out;
  while (logits && out.size() < count) {
    const auto last = std::span<const float>(*logits).last(model_->vocabulary);
    out.push_back(static_cast<int32_t>(std::max_element(last.begin(), last.end()) - last.begin()));
    if (out.size() == count) break;
    const input in{.sequence = 0,
                   .tokens = {&out.back(), 1},
                   .prompt_length = static_cast<uint32_t>(prompt.size())};
    logits = step({&in, 1});
  }
  if (!logits) return fail(logits.error());
  return out;
}

result<double> nats_of(decoder& model, std::span<const int32_t> tokens,
                       std::span<const int32_t> targets) {
  TROUPE_CHECK(tokens.size() == targets.size());
  const auto logits = model.logits_of(tokens);
  if (!logits) return fail(logits.error());
  const size_t vocabulary = model.model().vocabulary;
  double nats = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (targets[i] < 0) continue;
    const auto row = std::span<const float>(*logits).subspan(i * vocabulary, vocabulary);
    const double most = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float logit : row) sum += std::exp(logit - most);
    nats += most + std::log(sum) - row[static_cast<size_t>(targets[i])];
  }
  return nats;
}

result<perplexity_result> perplexity(decoder& model, std::span<const int32_t> tokens,
                                     uint32_t context) {
  double nats = 0;
  perplexity_result out;
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += context) {
    const auto piece = tokens.subspan(begin, std::min<size_t>(context, tokens.size() - begin));
    if (piece.size() < 2) break;
    const auto loss = nats_of(model, piece.first(piece.size() - 1), piece.subspan(1));
    if (!loss) return fail(loss.error());
    nats += *loss;
    out.tokens += piece.size() - 1;
  }
  if (out.tokens == 0)
    return fail(status_code::invalid_argument, "perplexity needs at least two tokens");
  out.nats_per_token = nats / static_cast<double>(out.tokens);
  out.perplexity = std::exp(out.nats_per_token);
  return out;
}

} // namespace troupe::model
