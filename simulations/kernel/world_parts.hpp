// What a world and its machines are made of; for the kernel's own sources.
#pragma once

#include "simulations/kernel/event_hash.hpp"
#include "simulations/kernel/event_heap.hpp"
#include "simulations/kernel/event_tail.hpp"
#include "simulations/kernel/local_time.hpp"
#include "simulations/kernel/machine_timers.hpp"
#include "simulations/kernel/ready_list.hpp"
#include "simulations/kernel/simulated_scheduler.hpp"
#include "simulations/kernel/world.hpp"

#include <map>
#include <set>

namespace troupe::simulations {

// The kinds of links of the hash chain. Numbers are part of what a hash means.
enum class hash_kind : uint64_t { message = 1, timers, event, note, boot, crash, pause, resume };

struct world::parts {
  explicit parts(const world_options& chosen)
      : options(chosen),
        timers(chosen.machines),
        ready(chosen.seed, chosen.strategy),
        tail(chosen.tail_events) {}

  world_options options;
  time_point now{std::chrono::nanoseconds(1)};
  event_heap heap;
  machine_timers timers;
  std::vector<uint32_t> timers_changed; // machines whose entry in `timers` may be wrong
  ready_list ready;
  event_hash hash;
  event_tail tail;
  mutable std::deque<std::string> tail_lines;
  std::set<std::string> names;                            // of actors, for the tail
  std::map<const std::type_info*, uint64_t> type_numbers; // only ever looked up, never walked
  uint64_t events = 0;
  std::vector<uint64_t> log;
  std::function<void()> observer;
  std::vector<std::unique_ptr<machine>> machines; // gone first: their actors may use the rest

  void mix(hash_kind kind, uint32_t who, uint64_t what);
  uint64_t number_of(const std::type_info& type);
  void count_event();
  void happened(); // after every event
  bool run_due();  // one thing that is due now; false when nothing is
  void run_event();
  void run_timers(uint32_t who);
  void refresh_timers();
};

struct machine::parts final : scheduler_owner {
  struct known_actor {
    caf::weak_actor_ptr handle; // empty: no actor of this id has been seen
    uint64_t priority = 0;
    const std::string* name = nullptr;
  };

  parts(world& home, uint32_t number)
      : in(home), shared(*home.parts_), index(number), time(shared.now) {
    visible.owner = this;
  }

  // As the programs of the machine see its clocks.
  struct visible_clock final : clock {
    time_point now() const override { return owner->local(); }
    int64_t wall_seconds() const override;
    const parts* owner = nullptr;
  };

  world& in;
  world::parts& shared;
  uint32_t index;
  bool up = false, paused = false, busy = false, dying = false;
  uint32_t handling = 0; // actors of it that are on the stack
  uint64_t incarnation = 0;
  time_point ended{};
  duration message_cost{};
  local_time time;
  visible_clock visible;
  bool timers_are_listed = false; // in shared.timers_changed
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  simulated_scheduler* scheduler = nullptr;
  std::vector<known_actor> actors;        // by id
  size_t actors_swept = 0;                // entries at the last sweep
  std::vector<ready_job> parked;          // ready, but the machine is paused or busy
  std::vector<timed_event> held;          // came while paused
  std::vector<caf::resumable*> leftovers; // became ready while dying

  time_point local() const { return time.at(shared.now); }
  bool eligible() const { return up && !paused && !busy; }
  void park();
  void unpark();
  void handle_message(ready_job job);
  void handle_overlapping(ready_job job);
  void finish_message(ready_job job, caf::resumable::resume_result result);
  void become_busy();
  void list_ready(ready_job job);
  known_actor& know(caf::scheduled_actor& actor);
  void sweep_actors();
  void end_actors();
  uint64_t add_event(time_point when, timed_event event);
  time_point next_timer() const; // in virtual time

  void became_ready(caf::resumable* job) override;
  void timers_changed() noexcept override;
  time_point scheduler_time() const noexcept override { return local(); }
};

} // namespace troupe::simulations
