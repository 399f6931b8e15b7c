// Step memory, and the last thing a step does: turning hidden rows into tokens.
#include "actors/step_pool.hpp"

#include "base/text.hpp"
#include "model/layers.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace troupe::actors {
namespace {

void draw_one(std::span<const float> logits, row_draw& draw, std::vector<float>& scratch) {
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

result<std::unique_ptr<step_pool>> step_pool::make(const options& options,
                                                   compute::executor& executor) {
  auto pool = std::make_unique<step_pool>();
  pool->options_ = options;
  for (uint32_t slot = 0; slot < options.slots; ++slot) {
    auto buffers = model::make_step_buffers(*options.description, options.limits, executor);
    if (!buffers) return fail(buffers.error().within("memory of a step"));
    entry made;
    made.frame.buffers = std::move(*buffers);
    made.frame.draw_scratch.resize(options.limits.logit_rows_max);
    if (options.graph->experts > 0) made.frame.groups.emplace(*options.graph);
    pool->frames_.push_back(std::move(made));
  }
  return pool;
}

step_frame& step_pool::acquire(uint32_t& slot) {
  const auto free = std::find_if(frames_.begin(), frames_.end(),
                                 [](const entry& candidate) { return !candidate.taken; });
  TROUPE_CHECK(free != frames_.end());
  free->taken = true;
  slot = static_cast<uint32_t>(free - frames_.begin());
  return free->frame;
}

void step_pool::release(uint32_t slot) {
  TROUPE_CHECK(frames_[slot].taken);
  frames_[slot].taken = false;
}

void step_pool::release_all() {
  for (auto& entry : frames_) entry.taken = false;
}

void step_pool::draw(compute::kernels& device, uint32_t slot) {
  auto& frame = frames_[slot].frame;
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
    device.for_each(static_cast<uint32_t>(group.size()), [&group, &logits, &frame](uint32_t i) {
      draw_one({logits.row(i), logits.cols}, group[i], frame.draw_scratch[i]);
    });
  }
}

} // namespace troupe::actors
