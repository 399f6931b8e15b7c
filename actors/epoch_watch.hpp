// Follows the epochs of a node from outside its parts: which one serves here, and what every loss
// has cost. It listens where traces are told.
#pragma once

#include "base/clock.hpp"
#include "base/trace.hpp"
#include "dataflow/cluster.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::actors {

class epoch_watch final : public trace {
public:
  struct recovery {
    uint64_t epoch = 0; // that serves again
    std::vector<schemas::node_index> lost;
    duration took{};
    int64_t wall_seconds = 0;
    // Moments of it, on this node's steady clock. Nothing: did not happen here, or not yet.
    std::optional<time_point> suspected = {}; // the first of the nodes that were lost
    time_point known{};                       // a state without what was lost
    std::optional<time_point> ready = {};     // this node's parts work by the epoch
    time_point served{};                      // everybody's do
    std::optional<time_point> flowing = {};   // first tokens of the epoch at this node's door
  };
  struct reading {
    schemas::cluster_state state; // the newest the node works by
    bool begun = false;           // everybody was ready for it, and somebody serves
    time_point known_at{};        // when this node began to work by it
    uint64_t recoveries = 0;
    std::optional<recovery> last;
  };

  // Both outlive it. Everything heard is told to `next` too. `begun` is called after an epoch has
  // begun, on the thread that says so.
  epoch_watch(const clock& time, trace& next, std::function<void()> begun)
      : time_(time), next_(next), begun_(std::move(begun)) {}

  void hit(std::string_view probe, uint64_t value) override;
  void learn(const schemas::cluster_state& state);
  reading read() const; // any thread

private:
  struct loss {
    time_point known_at{};
    std::vector<schemas::node_index> lost;
  };
  void begin(uint64_t epoch);
  void note_suspicion(schemas::node_index node);
  void note_ready(uint64_t epoch);
  void note_tokens(uint64_t epoch);

  const clock& time_;
  trace& next_;
  std::function<void()> begun_;
  // waiver thread: of what follows; held for a copy, a few times in an epoch.
  mutable std::mutex mutex_;
  reading now_;
  std::optional<loss> open_;                               // until an epoch serves
  std::map<schemas::node_index, time_point> suspected_at_; // newest, since the last epoch began
  std::optional<std::pair<uint64_t, time_point>> ready_;   // the newest: epoch and when
  std::atomic<uint64_t> awaits_tokens_{0};                 // of this epoch; 0: of none
};

// Whether `after` goes on without something that `before` had, and the nodes that were lost: one
// that took part and does not, or is another start. A node that left in good order is no loss.
struct epoch_loss {
  bool any = false;
  std::vector<schemas::node_index> nodes;
};
epoch_loss loss_between(const schemas::cluster_state& before, const schemas::cluster_state& after);

} // namespace troupe::actors
