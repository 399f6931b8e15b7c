// The clients' time, taken from the simulated world.
#pragma once

#include "simulations/kernel/world.hpp"
#include "simulations/workload/client.hpp"

#include <utility>

namespace troupe::simulations {

class world_timers final : public client_timers {
public:
  explicit world_timers(world& base) : base_(base) {}
  time_point now() const override { return base_.now(); }
  uint64_t schedule(time_point when, std::string_view label, std::function<void()> what) override {
    return base_.schedule(when, label, std::move(what));
  }
  void cancel(uint64_t timer) override { base_.cancel(timer); }

private:
  world& base_;
};

} // namespace troupe::simulations
