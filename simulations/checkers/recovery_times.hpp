// How long the parts of each recovery took: failure, decision, agreement, everybody ready, last
// stream going again.
#pragma once

#include "base/clock.hpp"
#include "simulations/runner/run.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace troupe::simulations {

// Told in order of time. Failures before a recovery is over belong to it; the first one counts as
// its beginning, and the last epoch that became ready as its end. A failure that changes nothing
// (no epoch is proposed within `idle_max`) is none.
class recovery_times {
public:
  explicit recovery_times(duration idle_max = std::chrono::seconds(15)) : idle_max_(idle_max) {}

  void failed(time_point now);                   // a fault that takes something away
  void proposed(uint64_t epoch, time_point now); // the leader decided on a new epoch
  void agreed(uint64_t epoch, time_point now);   // a majority accepted it
  void go(uint64_t epoch, time_point now);       // everybody was ready for it
  void stream_opened(uint64_t stream);
  void stream_ended(uint64_t stream, time_point now);
  void token(uint64_t stream, time_point now);

  const std::vector<recovery>& done() const { return done_; }
  bool under_way() const { return failed_.has_value(); }

private:
  void close_if_refilled(time_point now);

  duration idle_max_;
  std::optional<time_point> failed_, proposed_, agreed_, go_;
  uint64_t epoch_ = 0;               // newest proposed
  std::map<uint64_t, bool> waiting_; // open streams: no token since `go` yet
  uint64_t still_ = 0;               // of them waiting
  std::vector<recovery> done_;
};

} // namespace troupe::simulations
