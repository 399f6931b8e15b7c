// Small actors for the kernel's tests; their messages are CAF's own types, so they need no numbers.
#pragma once

#include "simulations/kernel/world.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <functional>
#include <string>
#include <vector>

namespace troupe::simulations {

inline constexpr time_point never = time_point::max();

// Writes down what it gets.
inline caf::actor spawn_recorder(caf::actor_system& system, std::vector<int>& marks) {
  return system.spawn([&marks](caf::event_based_actor*) -> caf::behavior {
    return {[&marks](int mark) { marks.push_back(mark); }};
  });
}

// Sends its mark to the target for each message, `hops` times in all, by way of itself.
inline caf::actor spawn_walker(caf::actor_system& system, caf::actor target, int mark, int hops) {
  return system.spawn([target, mark, hops](caf::event_based_actor* self) -> caf::behavior {
    self->send(self, hops);
    return {[=](int left) {
      self->send(target, mark);
      if (left > 1) self->send(self, left - 1);
    }};
  });
}

// Marks the local time of each tick.
inline caf::actor spawn_ticker(caf::actor_system& system, duration period, const clock& time,
                               std::vector<time_point>& ticks) {
  return system.spawn([period, &time, &ticks](caf::event_based_actor* self) -> caf::behavior {
    self->delayed_send(self, period, 0);
    return {[=, &time, &ticks](int) {
      ticks.push_back(time.now());
      self->delayed_send(self, period, 0);
    }};
  });
}

inline strategy_options using_strategy(strategy_kind kind, uint64_t horizon = 100) {
  return {.kind = kind, .changes = 3, .horizon = horizon};
}

} // namespace troupe::simulations
