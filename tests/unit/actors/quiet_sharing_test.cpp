// The shared queue of the workers: nobody is woken for nothing, and no message waits for a worker
// that computes.
#include "actors/quiet_sharing.hpp"

#include "actors/system_config.hpp"
#include "compute/cpu_executor.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <gtest/gtest.h>

#include <future>

namespace troupe::actors {
namespace {

constexpr std::chrono::seconds patience(20);

class quiet_sharing_test : public ::testing::Test {
protected:
  caf::actor_system_config config;
  caf::actor_system system{configure(config, 2)};
};

// Counts down with a partner, then tells.
caf::behavior player(caf::event_based_actor* self, std::promise<int>* done) {
  return {[=](int left, const caf::actor& other) {
    if (left == 0) return done->set_value(1);
    self->send(other, left - 1, caf::actor_cast<caf::actor>(self));
  }};
}

TEST_F(quiet_sharing_test, messages_from_foreign_threads_and_between_actors_arrive) {
  for (int round = 0; round < 20; ++round) {
    std::promise<int> done;
    const auto a = system.spawn(player, &done);
    const auto b = system.spawn(player, &done);
    caf::anon_send(a, 5000, b);
    ASSERT_EQ(done.get_future().wait_for(patience), std::future_status::ready);
    caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(b, caf::exit_reason::user_shutdown);
    system.await_all_actors_done(); // with what is of this round
  }
}

// The job waits for what the message sent before it does, so only another worker can help.
TEST_F(quiet_sharing_test, a_message_does_not_wait_for_its_sender_to_compute) {
  auto made = compute::make_cpu_executor({.threads = 1});
  ASSERT_TRUE(made.has_value());
  compute::executor& device = **made;
  for (int round = 0; round < 50; ++round) {
    std::promise<void> handled;
    std::promise<std::future_status> seen;
    auto arrival = handled.get_future();
    const auto receiver = system.spawn([&](caf::event_based_actor*) -> caf::behavior {
      return {[&](int) { handled.set_value(); }};
    });
    const auto sender = system.spawn([&, receiver](caf::event_based_actor* self) -> caf::behavior {
      return {[&, receiver, self](int) {
        self->send(receiver, 1);
        (void)device.submit([&](compute::kernels&) { seen.set_value(arrival.wait_for(patience)); },
                            [](const status&) {});
      }};
    });
    caf::anon_send(sender, 1);
    ASSERT_EQ(seen.get_future().get(), std::future_status::ready);
    caf::anon_send_exit(sender, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(receiver, caf::exit_reason::user_shutdown);
    system.await_all_actors_done(); // the sender may still be within submit()
  }
}

// A sender that returns takes its message itself: the chain stays on one thread.
TEST_F(quiet_sharing_test, a_chain_of_messages_stays_on_its_worker) {
  std::promise<uint32_t> changes;
  std::thread::id last;
  uint32_t count = 0;
  caf::actor second;
  const auto step = [&](caf::event_based_actor* self, int left) {
    if (std::exchange(last, std::this_thread::get_id()) != std::this_thread::get_id()) ++count;
    return left > 0 ? true : (changes.set_value(count), static_cast<void>(self), false);
  };
  const auto first = system.spawn([&](caf::event_based_actor* self) -> caf::behavior {
    return {[&, self](int left) {
      if (step(self, left)) self->send(second, left - 1);
    }};
  });
  second = system.spawn([&, first](caf::event_based_actor* self) -> caf::behavior {
    return {[&, self, first](int left) {
      if (step(self, left)) self->send(first, left - 1);
    }};
  });
  caf::anon_send(first, 20000);
  EXPECT_LT(changes.get_future().get(), 2000u);
  caf::anon_send_exit(first, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(second, caf::exit_reason::user_shutdown);
  system.await_all_actors_done();
}

} // namespace
} // namespace troupe::actors
