// CAF's testing scheduler with its queue and its time handed to the world: what becomes ready is
// reported at once, timers follow the machine's local clock, and stopping does not run what is
// left.
#pragma once

#include <caf/actor_system.hpp>
#include <caf/detail/type_list.hpp>
#include <caf/execution_unit.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "base/clock.hpp"

namespace troupe::simulations {

// Whom a scheduler reports to: its machine.
class scheduler_owner {
public:
  virtual ~scheduler_owner() = default;
  virtual void became_ready(caf::resumable* job) = 0; // takes over one reference
  virtual void timers_changed() noexcept = 0;
  virtual time_point scheduler_time() const noexcept = 0;
};

class simulated_clock final : public caf::detail::test_actor_clock {
public:
  using base = caf::detail::test_actor_clock;
  void follow(scheduler_owner* owner) { owner_ = owner; }

  time_point now() const noexcept override;
  void set_ordinary_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type,
                            uint64_t id) override;
  void set_multi_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type,
                         uint64_t id) override;
  void set_request_timeout(time_point t, caf::abstract_actor* self, caf::message_id id) override;
  void cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) override;
  void cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) override;
  void cancel_timeouts(caf::abstract_actor* self) override;
  void schedule_message(time_point t, caf::strong_actor_ptr receiver,
                        caf::mailbox_element_ptr content) override;
  void schedule_message(time_point t, caf::group target, caf::strong_actor_ptr sender,
                        caf::message content) override;
  void cancel_all() override;

private:
  void changed() noexcept {
    if (owner_ != nullptr) owner_->timers_changed();
  }

  scheduler_owner* owner_ = nullptr;
};

class simulated_scheduler final : public caf::scheduler::test_coordinator,
                                  private caf::execution_unit {
public:
  explicit simulated_scheduler(caf::actor_system& system);
  // Called by CAF for a scheduler loaded by the configuration.
  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>);

  // nullptr: nobody; what becomes ready is then kept for stop().
  void report_to(scheduler_owner* owner);
  caf::execution_unit& unit() { return *this; }
  simulated_clock& clock() noexcept override { return clock_; }

protected:
  // Ends CAF's own actors, which is all that may be left then.
  void stop() override;
  void enqueue(caf::resumable* job) override;

private:
  void exec_later(caf::resumable* job) override { enqueue(job); }

  simulated_clock clock_;
  scheduler_owner* owner_ = nullptr;
};

} // namespace troupe::simulations
