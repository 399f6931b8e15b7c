// Running one request on the engine from an ordinary thread: its events in order, and cancelling
// it.
#pragma once

#include "actors/engine.hpp"
#include "base/clock.hpp"
#include "cli/settings.hpp"
#include "model/generation_defaults.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace troupe::cli {

// The sampling options of a request: what was asked for, else what the model brings, else neutral.
model::sampling_options sampling_of(const sampling_settings& settings,
                                    const model::generation_defaults& defaults, uint64_t seed);

// What a request has cost. Times are from its submission.
struct generation_result {
  status failure; // of the engine
  bool cancelled = false;
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;
  uint32_t completion_tokens = 0;
  duration until_first{}; // token of the answer
  duration until_last{};
};

// A request under way. Events queue up until they are taken; their number is bounded by the
// request's own bounds.
class generation {
public:
  using event_handler = std::function<void(const dataflow::stream_event&)>;
  using timed_handler = std::function<void(const dataflow::stream_event&, time_point when)>;

  // The engine and the clock must outlive it.
  generation(actors::engine& engine, const clock& time) : engine_(engine), time_(time) {}
  ~generation();
  generation(const generation&) = delete;
  generation& operator=(const generation&) = delete;

  status start(dataflow::generation_request request);
  // Hands every event to `handle` on the calling thread until the request has ended.
  generation_result run(const event_handler& handle);
  // The same, with the time at which the engine gave the event out.
  generation_result run_timed(const timed_handler& handle);
  // The same up to the first token of the answer, or the end; run or run_timed hand over the rest.
  void run_to_first_token(const timed_handler& handle);
  // Any thread; the request then ends soon. Before start: it is cancelled as soon as it starts.
  void cancel();

private:
  // Shared with the engine's callback, which may outlive this object by a moment.
  struct shared_state {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::pair<dataflow::stream_event, time_point>> events;
  };

  // Hands over the next event; false when it was the last.
  bool hand_next(const timed_handler& handle);
  dataflow::stream_event next(time_point& when);
  void note(const dataflow::stream_event& event, time_point when, generation_result& into) const;

  actors::engine& engine_;
  const clock& time_;
  std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
  std::mutex mutex_; // of the two below
  std::optional<actors::request_handle> handle_;
  bool cancelled_ = false;
  bool ended_ = false;
  time_point begin_{};
  generation_result so_far_;
  bool over_ = false; // the last event has been handed over
};

// "31 prompt tokens in 0.02 s (1550/s), 80 tokens in 0.35 s (228/s)".
std::string statistics_line(const generation_result& result);

} // namespace troupe::cli
