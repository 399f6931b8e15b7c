// A queue between the engine's threads and ours.
#include "cli/generation.hpp"

#include "base/text.hpp"

#include <array>
#include <cstdio>
#include <utility>

namespace troupe::cli {
namespace {

double seconds(duration of) {
  return std::chrono::duration<double>(of).count();
}

std::string rate_text(uint64_t tokens, double elapsed) {
  std::array<char, 64> out;
  std::snprintf(out.data(), out.size(), " in %.2f s (%.1f tokens/s)", elapsed,
                elapsed > 0 ? double(tokens) / elapsed : 0.0);
  return out.data();
}

} // namespace

model::sampling_options sampling_of(const sampling_settings& settings,
                                    const model::generation_defaults& defaults, uint64_t seed) {
  model::sampling_options out;
  const bool greedy = defaults.do_sample.has_value() && !*defaults.do_sample;
  out.temperature =
      settings.temperature.value_or(greedy ? 0.0f : defaults.temperature.value_or(1.0f));
  out.top_k = settings.top_k.value_or(defaults.top_k.value_or(0));
  out.top_p = settings.top_p.value_or(defaults.top_p.value_or(1.0f));
  out.min_p = settings.min_p.value_or(defaults.min_p.value_or(0.0f));
  out.repetition_penalty =
      settings.repetition_penalty.value_or(defaults.repetition_penalty.value_or(1.0f));
  out.presence_penalty = settings.presence_penalty;
  out.frequency_penalty = settings.frequency_penalty;
  for (const auto& bias : settings.logit_bias) out.logit_bias.emplace_back(bias.token, bias.bias);
  out.seed = seed;
  return out;
}

generation::~generation() {
  cancel();
}

status generation::start(dataflow::generation_request request) {
  begin_ = time_.now();
  auto submitted = engine_.submit(std::move(request),
                                  [shared = shared_, &time = time_](dataflow::stream_event event) {
                                    const time_point now = time.now();
                                    const std::lock_guard lock(shared->mutex);
                                    shared->events.emplace_back(std::move(event), now);
                                    shared->changed.notify_one();
                                  });
  if (!submitted) return submitted.error();
  const std::lock_guard lock(mutex_);
  handle_ = *submitted;
  if (cancelled_) engine_.cancel(*handle_);
  return {};
}

void generation::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (handle_ && !ended_) engine_.cancel(*handle_);
}

dataflow::stream_event generation::next(time_point& when) {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait(lock, [&] { return !shared_->events.empty(); });
  auto event = std::move(shared_->events.front().first);
  when = shared_->events.front().second;
  shared_->events.pop_front();
  return event;
}

void generation::note(const dataflow::stream_event& event, time_point when,
                      generation_result& into) const {
  using kind = dataflow::stream_event::kind;
  if (event.what == kind::text && !event.tokens.empty()) {
    if (into.until_first == duration{}) into.until_first = when - begin_;
    into.until_last = when - begin_;
  }
  if (event.what == kind::finished && event.reason == dataflow::finish_reason::cancelled)
    into.cancelled = true;
  if (event.what == kind::failed) into.failure = event.why;
  if (event.what == kind::completed) {
    into.prompt_tokens = event.prompt_tokens;
    into.cached_tokens = event.cached_tokens;
    into.completion_tokens = event.completion_tokens;
  }
}

generation_result generation::run(const event_handler& handle) {
  return run_timed([&handle](const dataflow::stream_event& event, time_point) { handle(event); });
}

bool generation::hand_next(const timed_handler& handle) {
  using kind = dataflow::stream_event::kind;
  time_point when{};
  const auto event = next(when);
  note(event, when, so_far_);
  handle(event, when);
  over_ = event.what == kind::completed || event.what == kind::failed;
  return !over_;
}

void generation::run_to_first_token(const timed_handler& handle) {
  while (!over_ && so_far_.until_first == duration{}) hand_next(handle);
}

generation_result generation::run_timed(const timed_handler& handle) {
  while (!over_) hand_next(handle);
  const std::lock_guard lock(mutex_);
  ended_ = true;
  return so_far_;
}

std::string statistics_line(const generation_result& result) {
  const double first = seconds(result.until_first);
  const double rest = seconds(result.until_last) - first;
  std::string out = text(result.prompt_tokens, " prompt tokens");
  if (result.cached_tokens > 0) out += text(" (", result.cached_tokens, " cached)");
  if (first > 0) out += rate_text(result.prompt_tokens, first);
  out += text(", ", result.completion_tokens, " generated");
  // The first token belongs to the prompt's time.
  if (result.completion_tokens > 1 && rest > 0)
    out += rate_text(result.completion_tokens - 1, rest);
  return out;
}

} // namespace troupe::cli
