// Virtual time and the order of everything: simulated machines with a CAF system each, a heap of
// timed events, and a seeded strategy that picks which machine handles which message next. One
// thread. The same seed gives the same run, event by event, on every machine and compiler.
#pragma once

#include "base/clock.hpp"
#include "base/random.hpp"
#include "base/status.hpp"
#include "simulations/kernel/strategy.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::simulations {

class world;

// How a machine's clocks stray from virtual time. Its monotonic clock never goes backwards.
struct clock_fault {
  int64_t drift_ppm = 0;  // of the monotonic clock, -100000 .. 100000
  int64_t wave_ppm = 0;   // on top: runs ahead for half a period and back for the other half
  duration wave_period{}; // 0: none
  int64_t wall_offset_s = 0;
};

// One simulated machine. It survives crashes; what runs on it (a CAF system) does not.
class machine {
public:
  machine(world& w, uint32_t index);
  ~machine();

  world& home() const;
  uint32_t index() const;
  bool up() const;
  bool paused() const;
  uint64_t incarnation() const; // starts so far; of the running process when up
  time_point ended() const;     // when its last process crashed; time_point{}: never

  // Starts an empty CAF system; the caller then spawns actors in it. Must be down.
  caf::actor_system& boot();
  caf::actor_system& system();
  // RAM is gone and nobody is told: every message, timer and actor of it. Callbacks the machine has
  // scheduled in the world's heap are dropped. Must be up, and none of its actors may be handling a
  // message: from inside one, schedule it for now, which comes before any other message. Handles of
  // its actors that somebody still keeps must be gone before the machine itself is.
  void crash();
  // Handles no message and no timer until resume(); then everything that is due comes at once.
  void pause();
  void resume();
  // Each message handled takes this long; 0 (the default): no time.
  void set_message_cost(duration cost);

  void set_clock(const clock_fault& fault); // from now on; continuous in monotonic time
  void jump_clock(duration ahead);          // the monotonic clock leaps forward
  // As the programs of the machine see it; valid for the machine's lifetime.
  const clock& local_clock() const;
  time_point local_now() const;

  // A callback on this machine at a virtual time or after a delay of *global* time; dropped by a
  // crash, held back while paused. `label` goes into the event hash.
  void after(duration delay, std::string_view label, std::function<void()> what);
  // The same without being an event: neither counted nor hashed. For waiting until something is
  // over.
  void poll_after(duration delay, std::function<void()> what);
  // Something that comes to this machine from outside: held back while paused, but not dropped by a
  // crash; `what` has to see whether the machine is up.
  void arrive(time_point when, std::string_view label, std::function<void()> what);

  // Live actors of the present system that messages are queued for, most first: (name, messages).
  std::vector<std::pair<std::string, size_t>> mailboxes() const;

  struct parts;

private:
  friend class world;
  std::unique_ptr<parts> parts_;
};

struct world_options {
  uint64_t seed = 0;
  uint32_t machines = 1;
  strategy_options strategy;
  size_t tail_events = 200; // kept as text for reports
  bool log_draws = false;   // keep every draw and event hash, to find the first difference
};

class world {
public:
  explicit world(const world_options& options);
  ~world();

  uint64_t seed() const;
  time_point now() const; // virtual, global; starts at 1 ns, so that time_point{} is before all
  uint32_t machines() const;
  machine& at(uint32_t index);

  // An event of the world itself (network, disk, device, client, fault). Equal times happen in the
  // order of their scheduling. Never in the past. What is due now comes before the next message.
  uint64_t schedule(time_point when, std::string_view label, std::function<void()> what);
  void cancel(uint64_t event);

  // Does one thing: an event or a machine's timers that are due, else one message of one machine as
  // the strategy picks, else lets time jump to the next event or timer. False when there is nothing
  // left at all, or when the next thing lies beyond `until`; time is then `until` (unless that is
  // time_point::max()).
  bool step(time_point until);
  // Steps until `until` or until `done()` says so, at most events_max of them; false when the bound
  // was met.
  bool run(time_point until, uint64_t events_max, const std::function<bool()>& done);

  // Keyed draws: the n-th draw of (subsystem, entity). They do not disturb one another.
  uint64_t draw(random_subsystem subsystem, uint32_t entity, uint64_t n);

  // Mixes something that happened into the run's hash, and into the tail as one line.
  void note(uint32_t machine, std::string_view what);
  // Into the hash alone.
  void mix(uint64_t word);
  void mix(std::span<const std::byte> bytes);

  uint64_t events() const;                       // messages handled, heap events and timers so far
  uint64_t hash() const;                         // chain over all of them
  const std::deque<std::string>& tail() const;   // made when asked for; valid until asked again
  const std::vector<uint64_t>& draw_log() const; // with log_draws: the hash after every event

  // Called after every event, e.g. by checkers; null: nobody.
  void set_observer(std::function<void()> observer);

  struct parts;

private:
  friend class machine;
  std::unique_ptr<parts> parts_;
};

} // namespace troupe::simulations
