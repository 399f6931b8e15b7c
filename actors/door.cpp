// Limits come from the model and from the node's options.
#include "actors/door.hpp"

#include "actors/metrics_board.hpp"
#include "actors/model_bundle.hpp"
#include "base/text.hpp"
#include "model/description.hpp"

#include <utility>

namespace troupe::actors {

status door::admit(const dataflow::generation_request& request) {
  if (resources_->board->failed.load(std::memory_order_relaxed))
    return status(status_code::unavailable, "a part of this node has failed for good");
  TROUPE_RETURN_IF_ERROR(check(request));
  return take_room(request.choices);
}

open_stream door::opening(request_handle handle, dataflow::generation_request request,
                          engine::event_sink sink, engine::received_so_far received) const {
  stream_opening opening;
  opening.handle = handle;
  opening.request = std::make_shared<const dataflow::generation_request>(std::move(request));
  opening.sink = std::move(sink);
  opening.arrived = resources_->time->now();
  opening.received = std::move(received);
  return {handle, make_local(std::move(opening))};
}

status door::check(const dataflow::generation_request& request) const {
  const auto invalid = [](std::string why) {
    return status(status_code::invalid_argument, std::move(why));
  };
  const auto vocabulary = resources_->bundle->description->vocabulary;
  if (request.prompt.empty()) return invalid("prompt: has no tokens; at least one is needed");
  for (size_t i = 0; i < request.prompt.size(); ++i)
    if (request.prompt[i] < 0 || static_cast<uint32_t>(request.prompt[i]) >= vocabulary)
      return invalid(text("prompt: token ", i, " is ", request.prompt[i], "; ids go from 0 to ",
                          vocabulary - 1));
  const uint64_t needed = request.prompt.size() + (request.tokens_max > 0 ? 1 : 0);
  if (needed > resources_->positions_max)
    return invalid(text("prompt: has ", request.prompt.size(), " tokens; with at least one more, ",
                        "this server holds ", resources_->positions_max));
  if (request.choices == 0) return invalid("n: is 0; at least one answer must be asked for");
  return model::validate(request.sampling, vocabulary);
}

// What is inside is bounded by the running and waiting sequences allowed.
status door::take_room(uint32_t choices) {
  auto& board = *resources_->board;
  const auto& limits = resources_->limits;
  const uint64_t most = uint64_t{limits.sequences_max} + limits.queue_max;
  if (choices > most)
    return status(status_code::invalid_argument,
                  text("n: is ", choices, "; this server answers at most ", most, " at once"));
  const uint64_t open = board.streams_open.fetch_add(choices, std::memory_order_relaxed) + choices;
  if (open <= most) {
    count(board.accepted);
    return {};
  }
  board.streams_open.fetch_sub(choices, std::memory_order_relaxed);
  count(board.rejected);
  return status(status_code::exhausted,
                text("the queue is full: ", open - choices, " streams are open, ", most,
                     " are allowed; try again later"));
}

} // namespace troupe::actors
