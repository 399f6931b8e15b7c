// A bench for one actor or a few: CAF's testing scheduler steps them by hand, time is the test's,
// and recorders play the actors around them.
#pragma once

#include "base/clock.hpp"
#include "base/trace.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/message.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::tests {

// Time as the testing scheduler has it.
class scheduler_clock final : public clock {
public:
  explicit scheduler_clock(caf::scheduler::test_coordinator& source) : source_(&source) {}
  time_point now() const override {
    return std::chrono::time_point_cast<duration>(source_->clock().now());
  }
  int64_t wall_seconds() const override { return 0; }

private:
  caf::scheduler::test_coordinator* source_;
};

class recording_trace final : public trace {
public:
  void hit(std::string_view probe, uint64_t value) override {
    hits[std::string(probe)].push_back(value);
  }
  size_t count(const std::string& probe) const {
    const auto found = hits.find(probe);
    return found == hits.end() ? 0 : found->second.size();
  }
  std::map<std::string, std::vector<uint64_t>> hits;
};

// What an actor of the test has been told, in order.
class recorder {
public:
  template <class Handle>
  Handle as() const {
    return caf::actor_cast<Handle>(actor_);
  }
  const caf::actor& actor() const { return actor_; }

  // Every message of this type.
  template <class Message>
  std::vector<Message> heard() const {
    std::vector<Message> out;
    for (const auto& each : *messages_)
      if (each.template match_elements<Message>()) out.push_back(each.template get_as<Message>(0));
    return out;
  }
  template <class Message>
  Message last() const {
    const auto all = heard<Message>();
    EXPECT_FALSE(all.empty());
    return all.empty() ? Message() : all.back();
  }
  size_t size() const { return messages_->size(); }
  void forget() { messages_->clear(); }

private:
  friend class actor_test;
  caf::actor actor_;
  std::shared_ptr<std::vector<caf::message>> messages_; // shared with the actor
};

class actor_test : public ::testing::Test {
protected:
  actor_test()
      : system_(configure(config_)),
        scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())),
        time(scheduler_) {}
  // Tests let nothing run on that is theirs.
  ~actor_test() override {
    for (const auto& each : owned_) caf::anon_send_exit(each, caf::exit_reason::kill);
    owned_.clear();
    settle();
  }

  // An actor of this test: it ends with it.
  template <class Handle>
  Handle own(Handle made) {
    owned_.push_back(caf::actor_cast<caf::actor>(made));
    return made;
  }

  recorder record() {
    recorder out;
    out.messages_ = std::make_shared<std::vector<caf::message>>();
    out.actor_ = own(system_.spawn([messages = out.messages_](caf::event_based_actor* self) {
      self->set_default_handler(
          [messages](caf::scheduled_actor*, caf::message_view& in) -> caf::result<caf::message> {
            messages->push_back(in.move_content_to_message());
            return caf::delegated<caf::message>();
          });
      return caf::behavior{[](caf::unit_t) {}};
    }));
    settle();
    return out;
  }

  // Says something to an actor; it and everybody who hears of it act until all is quiet. Time does
  // not pass.
  template <class Handle, class Message>
  void tell(const Handle& to, Message message) {
    caf::anon_send(to, std::move(message));
    settle();
  }
  void settle() {
    uint64_t steps = 0;
    while (scheduler_.try_run_once()) ASSERT_LT(++steps, 100'000u) << "no end of messages";
  }
  // Timers ring in order, each at its time.
  void advance(duration by) {
    auto& source = scheduler_.clock();
    const auto end = source.now() + by;
    while (source.has_pending_timeout() && source.schedule().begin()->first <= end) {
      source.advance_time(std::max<caf::timespan>(caf::timespan(0),
                                                  source.schedule().begin()->first - source.now()));
      settle();
    }
    source.advance_time(end - source.now());
    settle();
  }

  bool alive(const caf::actor& who) const {
    return std::none_of(gone_.begin(), gone_.end(),
                        [&who](const auto& address) { return address == who.address(); });
  }
  // From now on alive() knows of its end.
  template <class Handle>
  void watch(const Handle& who) {
    const auto actor = caf::actor_cast<caf::actor>(who);
    actor->attach_functor(
        [this, address = actor.address()](const caf::error&) { gone_.push_back(address); });
  }

private:
  static caf::actor_system_config& configure(caf::actor_system_config& config) {
    return config.set("scheduler.policy", caf::atom("testing"));
  }

  caf::actor_system_config config_;

protected:
  caf::actor_system system_;

private:
  caf::scheduler::test_coordinator& scheduler_;
  std::vector<caf::actor> owned_;
  std::vector<caf::actor_addr> gone_;

protected:
  scheduler_clock time;
  recording_trace trace;
};

} // namespace troupe::tests
