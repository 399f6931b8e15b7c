// Step memory, and the last thing a step does: turning hidden rows into tokens.
#include "actors/step_pool.hpp"

#include "base/text.hpp"
#include "model/grammar/apply_mask.hpp"
#include "model/layers.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace troupe::actors {
namespace {

// The row is this draw's alone.
void draw_one(std::span<float> logits, row_draw& draw, std::vector<float>& scratch) {
  if (!draw.why.ok()) return; // its constraint gave no mask
  if (draw.allowed != nullptr) model::apply_mask(logits, *draw.allowed, draw.ends);
  const auto& request = *draw.request;
  auto outcome = draw.given ? model::score(logits, *draw.given, request.top_logprobs.value_or(0))
                            : model::sample({.logits = logits,
                                             .options = &request.sampling,
                                             .history = draw.history.get(),
                                             .choice = draw.choice,
                                             .position = draw.position,
                                             .top_logprobs = request.top_logprobs,
                                             .banned = draw.banned},
                                            scratch);
  if (outcome)
    draw.drawn = std::move(*outcome);
  else
    draw.why = outcome.error();
}

} // namespace

void step_frame::clear() {
  ids.clear();
  positions.clear();
  sequence_of.clear();
  prompt_lengths.clear();
  slots.clear();
  tables.clear();
  draws.clear();
  wanted_rows.clear();
  carried = false;
}

model::step_rows step_frame::rows() {
  table_views_.assign(tables.begin(), tables.end());
  return {.tokens = ids,
          .positions = positions,
          .slots = slots,
          .sequence_of = sequence_of,
          .page_tables = table_views_,
          .prompt_lengths = prompt_lengths};
}

row_block row_block::make(uint32_t rows, uint32_t columns) {
  return {rows, columns, std::vector<float>(size_t{rows} * columns)};
}

schemas::step_rows step_frame::description() const {
  return {.tokens = ids,
          .positions = positions,
          .slots = slots,
          .sequence_of = sequence_of,
          .prompt_lengths = prompt_lengths,
          .tables = tables,
          .wanted_rows = wanted_rows};
}

row_block step_frame::hidden_rows() const {
  auto out = row_block::make(static_cast<uint32_t>(ids.size()), buffers.hidden.cols);
  for (uint32_t i = 0; i < out.rows; ++i)
    std::copy_n(buffers.hidden.row(i), out.columns, out.row(i).begin());
  return out;
}

void step_frame::take(const schemas::step_rows& step, const row_block& hidden) {
  clear();
  carried = true;
  ids = step.tokens;
  positions = step.positions;
  slots = step.slots;
  sequence_of = step.sequence_of;
  prompt_lengths = step.prompt_lengths;
  tables = step.tables;
  wanted_rows = step.wanted_rows;
  for (uint32_t i = 0; i < hidden.rows; ++i)
    std::copy_n(hidden.row(i).begin(), hidden.columns, buffers.hidden.row(i));
}

row_block step_frame::wanted_hidden() const {
  auto out = row_block::make(static_cast<uint32_t>(wanted_rows.size()), buffers.hidden.cols);
  for (uint32_t i = 0; i < out.rows; ++i)
    std::copy_n(buffers.hidden.row(wanted_rows[i]), out.columns, out.row(i).begin());
  return out;
}

void step_frame::put_wanted(const row_block& hidden) {
  for (uint32_t i = 0; i < hidden.rows; ++i)
    std::copy_n(hidden.row(i).begin(), hidden.columns, buffers.hidden.row(wanted_rows[i]));
}

result<std::unique_ptr<step_pool>> step_pool::make(const options& options,
                                                   compute::executor& executor) {
  auto pool = std::make_unique<step_pool>();
  pool->options_ = options;
  const auto stages = static_cast<uint32_t>(options.graph->stages.size());
  const uint32_t slots = options.clustered ? stages + 2 : 1;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    auto buffers = model::make_step_buffers(*options.description, options.limits, executor);
    if (!buffers) return fail(buffers.error().within("memory of a step"));
    step_frame made;
    made.buffers = std::move(*buffers);
    made.draw_scratch.resize(options.limits.logit_rows_max);
    if (options.graph->experts > 0) made.groups.emplace(*options.graph);
    pool->frames_.push_back(std::move(made));
  }
  return pool;
}

void step_pool::draw(compute::kernels& device, uint32_t slot) {
  auto& frame = frames_[slot];
  const uint32_t group_max = frame.buffers.limits.logit_rows_max;
  std::vector<uint32_t> rows;
  for (size_t begin = 0; begin < frame.draws.size(); begin += group_max) {
    const auto group = std::span(frame.draws)
                           .subspan(begin, std::min<size_t>(group_max, frame.draws.size() - begin));
    rows.clear();
    for (const auto& draw : group) rows.push_back(draw.row);
    model::head_logits(device, *options_.description, options_.weights->head,
                       options_.weights->head_matrix(), rows, frame.buffers);
    const auto logits = frame.buffers.logits;
    device.enter(compute::part::sampling);
    device.for_each(static_cast<uint32_t>(group.size()), [&group, &logits, &frame](uint32_t i) {
      draw_one({logits.row(i), logits.cols}, group[i], frame.draw_scratch[i]);
    });
  }
}

} // namespace troupe::actors
