// Everything one client has received, each token once: what the checkers judge.
#pragma once

#include "base/clock.hpp"
#include "dataflow/request.hpp"
#include "simulations/runner/run.hpp"
#include "simulations/workload/requests.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

struct choice_record {
  std::vector<dataflow::token_record> tokens;
  std::vector<dataflow::token_record> prompt; // scores, when asked for
  std::string text;
  bool prompt_scored = false;
  bool finished = false;
  dataflow::finish_reason reason = dataflow::finish_reason::stop;
  std::string stopped_by;
  time_point ended{};

  // Whether it ended before its time, on purpose: part of the answer is all there is.
  bool cut() const {
    return finished && (reason == dataflow::finish_reason::cancelled ||
                        reason == dataflow::finish_reason::deadline);
  }
};

enum class client_end : uint8_t {
  open,      // not arrived, or still waiting for something
  completed, // has everything
  cancelled, // left on purpose
  failed,    // was told that there will be no answer, see `failure`
};
std::string_view to_string(client_end end);

// A door said nothing for as long as the client was willing to wait.
struct client_silence {
  uint32_t door = 0;
  time_point from{};
  time_point until{};
};

struct client_record {
  client_request asked;
  std::vector<choice_record> choices;
  client_end end = client_end::open;
  status failure; // failed: what it was told last
  bool cancel_sent = false;
  bool has_usage = false;
  uint32_t prompt_tokens = 0; // as the door counted …
  uint32_t cached_tokens = 0;
  uint32_t completion_tokens = 0;
  uint32_t attempts = 0;       // connections tried
  uint32_t refusals = 0;       // of them refused, at once or later
  uint32_t resumed = 0;        // of them begun with something already received
  uint32_t events_ignored = 0; // came through a connection given up meanwhile
  uint64_t last_epoch = 0;     // of the newest event, where it was told
  time_point arrived{};
  time_point ended{};
  time_point last_news{};       // arrival, or the newest event that moved the stream on
  std::vector<time_point> news; // all of them, ascending
  std::vector<client_silence> silences;
  std::vector<violation> violations; // S1 and S8, found while receiving

  uint32_t tokens() const; // of all choices together
};

} // namespace troupe::simulations
