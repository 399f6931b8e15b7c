// Thin overrides: CAF's own books stay as they are, and the machine hears of every change.
#include "simulations/kernel/simulated_scheduler.hpp"

#include <caf/actor_system_config.hpp>

#include <utility>

namespace troupe::simulations {

simulated_clock::time_point simulated_clock::now() const noexcept {
  return owner_ == nullptr ? base::now() : owner_->scheduler_time();
}

void simulated_clock::set_ordinary_timeout(time_point t, caf::abstract_actor* self,
                                           caf::atom_value type, uint64_t id) {
  base::set_ordinary_timeout(t, self, type, id);
  changed();
}

void simulated_clock::set_multi_timeout(time_point t, caf::abstract_actor* self,
                                        caf::atom_value type, uint64_t id) {
  base::set_multi_timeout(t, self, type, id);
  changed();
}

void simulated_clock::set_request_timeout(time_point t, caf::abstract_actor* self,
                                          caf::message_id id) {
  base::set_request_timeout(t, self, id);
  changed();
}

void simulated_clock::cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) {
  base::cancel_ordinary_timeout(self, type);
  changed();
}

void simulated_clock::cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) {
  base::cancel_request_timeout(self, id);
  changed();
}

void simulated_clock::cancel_timeouts(caf::abstract_actor* self) {
  base::cancel_timeouts(self);
  changed();
}

void simulated_clock::schedule_message(time_point t, caf::strong_actor_ptr receiver,
                                       caf::mailbox_element_ptr content) {
  base::schedule_message(t, std::move(receiver), std::move(content));
  changed();
}

void simulated_clock::schedule_message(time_point t, caf::group target,
                                       caf::strong_actor_ptr sender, caf::message content) {
  base::schedule_message(t, std::move(target), std::move(sender), std::move(content));
  changed();
}

void simulated_clock::cancel_all() {
  base::cancel_all();
  changed();
}

simulated_scheduler::simulated_scheduler(caf::actor_system& system)
    : test_coordinator(system), caf::execution_unit(&system) {}

caf::actor_system::module* simulated_scheduler::make(caf::actor_system& system,
                                                     caf::detail::type_list<>) {
  return new simulated_scheduler(system); // waiver new: CAF takes ownership of its modules
}

void simulated_scheduler::report_to(scheduler_owner* owner) {
  owner_ = owner;
  clock_.follow(owner);
  while (owner_ != nullptr && !jobs.empty()) {
    auto* job = jobs.front();
    jobs.pop_front();
    owner_->became_ready(job);
  }
}

void simulated_scheduler::enqueue(caf::resumable* job) {
  if (owner_ != nullptr)
    owner_->became_ready(job);
  else
    jobs.push_back(job);
}

void simulated_scheduler::stop() {
  while (!jobs.empty()) try_run_once();
}

} // namespace troupe::simulations
