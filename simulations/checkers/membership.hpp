// Whether the nodes agreed and acted on who is in: M1 to M7 of the list of invariants, judged from
// a history that the run tells while it happens. Nodes are places in the cluster's list.
#pragma once

#include "base/clock.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/pipeline.hpp"
#include "dataflow/restart_policy.hpp"
#include "simulations/runner/run.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace troupe::simulations {

struct membership_limits {
  // M2: crash to exclusion while nothing else disturbs the cluster and a majority is connected.
  // 0: detection_bound(timing). In runs without network faults calm_detection_bound is fair.
  duration detection_max{};
  // M3: heal (or the agreement on a newer epoch) to everybody knowing it.
  // 0: convergence_bound(timing).
  duration converge_max{};
  // M4: exclusions of one process that never stopped, within the window; epochs after a heal.
  uint32_t exclusions_max = 10;
  duration exclusions_window = std::chrono::seconds(60);
  uint32_t epochs_after_heal_max = 0;     // 0: 4 + 4 per node
  dataflow::restart_limits restarts = {}; // M5: of one part's supervisor
  bool fault_free = false; // nothing is injected: nobody may be suspected or excluded
};

// Work that did not come to an end, for M6.
struct stuck_work {
  std::string what;           // "client 3: waits at door n1, attempt 4, 7 tokens of 12"
  uint32_t node = UINT32_MAX; // where it hangs, when known
  uint64_t epoch = 0;
  uint64_t step = 0;
};

// Sizes that must not grow with crashes, for M7.
struct leak_sample {
  uint64_t actors = 0;
  uint64_t heap_events = 0;
  uint64_t frames = 0;
  uint64_t pages_used = 0;
};

// A checker of one run.
class membership_checker {
public:
  membership_checker(const dataflow::cluster_layout& layout, const dataflow::cluster_timing& timing,
                     const membership_limits& limits);

  // -- the history, in order of time

  void started(uint32_t node, uint64_t incarnation, time_point now);
  void crashed(uint32_t node, time_point now);
  void paused(uint32_t node, time_point now);
  void resumed(uint32_t node, time_point now);
  // Whether a majority of the voters is up, unpaused and connected both ways, and every one of it
  // with every live node that is to be told of. Told when it changes; true at the start.
  void majority(bool connected, time_point now);
  // All faults are over for the nodes of the core (every other one stays down or cut off).
  void healed(const std::vector<uint32_t>& core, time_point now);
  // A fault of the network, a device or a clock begins or changes. Bounds count from the latest
  // one; after a heal it also takes the heal back.
  void disturbed(time_point now);

  void suspected(uint32_t node, uint32_t peer, time_point now); // `node` suspects `peer`
  // `node` took this state for the agreed one.
  void learned(uint32_t node, uint64_t incarnation, const dataflow::cluster_state& state,
               time_point now);
  void ready(uint32_t node, uint64_t incarnation, uint64_t epoch, time_point now);
  // The leader saw everybody ready.
  void go(uint32_t node, uint64_t incarnation, uint64_t epoch, time_point now);
  // `node` did work of a step in a role of the pipeline; step 0 when it has none.
  void work_done(uint32_t node, uint64_t incarnation, uint64_t epoch, const dataflow::role& who,
                 uint64_t step, time_point now);
  void part_restarted(uint32_t node, const dataflow::role& who, time_point now);
  void part_escalated(uint32_t node, const dataflow::role& who, time_point now);

  // -- judgements

  // M2 and M3 as far as their bounds have passed. Cheap; call now and then and at the end.
  void check(time_point now);
  // M6: at the end of the liveness phase, with everything that is still open.
  void check_stuck(const std::vector<stuck_work>& open, time_point now);
  // M7: after crash cycles, compared with before; `slack` is what each number may grow by.
  void check_leaks(const leak_sample& base, const leak_sample& after, uint64_t slack,
                   time_point now);

  const std::vector<violation>& violations() const { return violations_; }
  uint64_t newest_epoch() const;
  const dataflow::cluster_state* state_of(uint64_t epoch) const; // nullptr: nobody learned it

private:
  struct node_state {
    bool up = false;
    bool paused = false;
    uint64_t incarnation = 0;
    uint64_t epoch = 0;       // highest learned by this incarnation …
    uint64_t epoch_ready = 0; // … and ready for
    time_point crashed{};
    bool crash_open = false;           // nobody has judged yet whether it was noticed
    uint64_t late_for = 0;             // newest epoch it was reported to be late for
    std::deque<time_point> exclusions; // of this incarnation
  };
  struct epoch_history {
    dataflow::cluster_state state;
    uint32_t learned_by = 0; // first
    time_point learned{};
    std::vector<uint64_t> ready; // per node: the incarnation that was
    bool go = false;
  };

  bool acts(uint32_t node, uint64_t incarnation, const std::string& what, time_point now);
  void check_state(uint32_t node, const dataflow::cluster_state& state, time_point now);
  void check_next(const dataflow::cluster_state& before, const dataflow::cluster_state& after,
                  time_point now);
  void note_new_epoch(const dataflow::cluster_state& state, time_point now);
  void note_exclusion(uint32_t node, uint64_t epoch, time_point now);
  void check_crash(uint32_t node, time_point now);
  void check_convergence(time_point now);
  std::string name(uint32_t node) const;
  void note(const char* invariant, std::string what, time_point when);

  dataflow::cluster_layout layout_;
  membership_limits limits_;
  std::vector<node_state> nodes_;
  std::map<uint64_t, epoch_history> epochs_;
  std::map<std::pair<uint32_t, dataflow::role>, std::deque<time_point>> restarts_;
  bool majority_ = true;
  time_point disturbed_{}; // the latest change of anything
  bool healed_ = false;
  std::vector<bool> core_; // per node, since the heal
  uint32_t epochs_since_heal_ = 0;
  std::vector<violation> violations_;
};

// How long a crash may stay unnoticed: with whatever network …
duration detection_bound(const dataflow::cluster_timing& timing);
// … and with one that loses and delays nothing.
duration calm_detection_bound(const dataflow::cluster_timing& timing);
duration convergence_bound(const dataflow::cluster_timing& timing);

} // namespace troupe::simulations
