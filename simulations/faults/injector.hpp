// Lets the faults of a plan happen: each at its time or probe, for as long as it lasts, to whom it
// is aimed at by then. What would make no difference (ending what is down) or would destroy the
// last copy of something (atlas) is left out and counted apart.
#pragma once

#include "simulations/faults/atlas.hpp"
#include "simulations/faults/catalogue.hpp"
#include "simulations/faults/effects.hpp"
#include "simulations/faults/fault_plan.hpp"
#include "simulations/faults/scenario.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::simulations {

// What became of one fault of the plan.
struct injected_fault {
  // waits: for what it does it at; then there is another line when it happens.
  enum class outcome : uint8_t { done, no_effect, spared, waits };
  size_t number = 0; // its place in the plan
  std::string id;
  time_point when{};
  uint32_t node = 0; // whom it hit
  outcome what = outcome::done;
};

class injector {
public:
  // The surface must outlive the injector, and the injector the last step of the surface's world.
  injector(fault_surface& surface, const fault_plan& plan, const scenario& about);
  injector(const injector&) = delete;
  injector& operator=(const injector&) = delete;

  // The cluster stands: times count from now on.
  void arm();
  // Somebody hit a probe. Faults that wait for it happen as an event of their own, at once. Cheap
  // when none does.
  void on_probe(std::string_view name, uint64_t value);

  // Nothing new is injected from now on; what is in force goes on and ends as planned.
  void stop();
  // stop(), and nodes of the core are made whole: up, running, with good links between them. What
  // else is in force stays for ever, and every other node is down or hears nothing of the core. In
  // runs that need not be survivable, nodes that have ended for good stay down, too.
  void heal(const std::vector<bool>& core);
  // stop(), and everything is made whole.
  void heal_all();

  std::map<std::string, uint64_t> counts() const; // injected, by id
  std::map<std::string, uint64_t> spared() const; // by the atlas, by id
  // Voters whose disks were wiped or damaged.
  std::vector<uint32_t> forgetful() const { return atlas_.forgetful(); }
  // In the order of their happening.
  const std::vector<injected_fault>& history() const { return history_; }
  // No fault waits for its time, and none in force has an end that is yet to come. (Those that wait
  // for a probe, and those for good, do not count.)
  bool all_ended() const;
  // When the last fault began or ended so far; the time of arm() when there was none.
  time_point last_change() const { return last_change_; }

private:
  using outcome = injected_fault::outcome;

  // One fault of the plan and what is left of it to do.
  struct slot {
    size_t number = 0;
    const fault* what = nullptr;
    const fault_entry* entry = nullptr;
    bool begun = false;
    bool over = false;    // by heal(): its timers do nothing any more
    bool counted = false; // as injected
    bool armed = false;   // the node's disk will end its process
    uint32_t node = 0;    // resolved
    uint32_t timers = 0;
    std::vector<effects::id> in_force;
    std::vector<uint32_t> repairs; // nodes whose process restarts when it ends
  };
  struct probe_wait {
    std::string name;
    uint64_t nth = 1;
    uint64_t hits = 0;
    size_t number = 0;
  };
  // Of faults that go on at later probes.
  struct probe_watch {
    std::vector<std::string_view> names;
    size_t number = 0;
    uint32_t left = 0;
    std::function<void()> then;
  };

  void begin(slot& s);
  outcome inject(slot& s);
  void record(slot& s, outcome what);
  void finish(slot& s); // drops its effects and repairs
  void later(slot& s, duration delay, std::function<void()> then);
  // After the fault's length; never when it is for good.
  void finish_later(slot& s);

  // -- by family; what was done, or why not
  outcome inject_process(slot& s);
  outcome inject_network(slot& s);
  outcome inject_device(slot& s);
  outcome inject_storage(slot& s);
  outcome inject_clock(slot& s);
  outcome inject_logic(slot& s);

  outcome crash(slot& s, uint32_t node, crash_fate fate, int64_t restart_after_ms);
  outcome crash_all(slot& s, const std::vector<uint32_t>& nodes);
  outcome crash_repeatedly(slot& s, uint32_t node, int64_t times);
  outcome lose_memory(uint32_t node, const std::function<bool()>& damage);
  outcome kill_parts(slot& s, const std::vector<dataflow::role>& candidates, int64_t nth);
  outcome drain(slot& s);
  outcome kill_when_full(slot& s);
  outcome hold_links(slot& s);
  outcome swizzle(slot& s);
  outcome flap(slot& s);
  outcome reset(slot& s);
  outcome deliver_stale(slot& s);
  outcome throttle(slot& s);
  outcome end_at_call(slot& s);
  void disarm(slot& s);
  outcome lie(slot& s);
  outcome shake_clock(slot& s);
  outcome age_routes(slot& s);
  outcome trouble_clients(slot& s);
  outcome cascade(slot& s);
  outcome lose_replacement(slot& s);
  void poll_messages(slot& s, time_point until);
  void flap_down(slot& s, time_point until);
  void noise(slot& s, uint64_t n, time_point until);

  outcome on_links(slot& s, const std::function<void(link_quality&)>& change);
  outcome on_split(slot& s, bool both_ways);
  outcome on_device(slot& s, const std::function<void(device_quality&)>& change);
  outcome on_disk(slot& s, const std::function<void(disk_quality&)>& change);
  outcome on_clock(slot& s, const std::function<void(clock_fault&)>& change);
  // For good, and the atlas refuses to do without these.
  bool spares(const slot& s, const std::vector<uint32_t>& nodes);
  std::vector<std::pair<uint32_t, uint32_t>> links_of(const slot& s) const;

  uint32_t resolve(const fault& what) const;
  std::vector<dataflow::role> roles_of(dataflow::role_kind kind) const;
  std::vector<bool> at_work() const;
  void start(uint32_t node);
  uint64_t draw(const slot& s, uint64_t n) const; // by the setting `shuffle`
  int64_t setting(const slot& s, std::string_view name) const;
  uint32_t peer_of(const slot& s) const;

  fault_surface& surface_;
  const fault_plan plan_;
  const scenario about_;
  effects effects_;
  atlas atlas_;
  std::vector<slot> slots_;
  std::vector<probe_wait> waits_;
  std::deque<probe_watch> watches_; // events point to them
  std::vector<injected_fault> history_;
  std::map<std::string, uint64_t> counts_, spared_;
  time_point last_change_{};
  std::set<uint32_t> gone_; // that no heal brings back
  bool stopped_ = false;
  uint64_t timed_left_ = 0; // faults whose time has not come
};

// A majority of the voters that remember (`spoiled` ones may not), a door, and each other node by
// chance: what heal() is to keep alive. A function of the seed.
std::vector<bool> draw_core(const scenario& about, uint64_t seed,
                            const std::vector<uint32_t>& spoiled);

} // namespace troupe::simulations
