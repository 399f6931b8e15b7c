// Signals reach the listener, or end the process with an honest code.
#include "cli/signals.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <utility>

namespace troupe::cli {
namespace {

TEST(signals, reach_the_listener) {
  signal_watch watch;
  std::promise<int> heard;
  const signal_scope scope(watch, [&heard](int signal) {
    heard.set_value(signal);
    return true;
  });
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(heard.get_future().get(), SIGTERM);
}

TEST(signals, a_number_may_come_along) {
  signal_watch watch;
  EXPECT_EQ(watch.number(), 0);
  std::promise<int> first, second;
  bool again = false;
  const signal_scope scope(watch, [&](int) {
    (std::exchange(again, true) ? second : first).set_value(watch.number());
    return true;
  });
  ::sigqueue(::getpid(), SIGTERM, {.sival_int = 31});
  EXPECT_EQ(first.get_future().get(), 31);
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(second.get_future().get(), 0);
}

TEST(signals, one_watch_may_follow_another) {
  for (int i = 0; i < 3; ++i) {
    signal_watch watch;
    std::promise<int> heard;
    const signal_scope scope(watch, [&heard](int signal) {
      heard.set_value(signal);
      return true;
    });
    ::kill(::getpid(), SIGINT);
    EXPECT_EQ(heard.get_future().get(), SIGINT);
  }
}

[[noreturn]] void wait_for_the_end() {
  for (;;) ::pause();
}

class signals_death_test : public testing::Test {
protected:
  signals_death_test() { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }
};

TEST_F(signals_death_test, without_a_listener_the_process_ends) {
  EXPECT_EXIT(
      {
        const signal_watch watch;
        ::kill(::getpid(), SIGINT);
        wait_for_the_end();
      },
      testing::ExitedWithCode(130), "");
}

TEST_F(signals_death_test, a_listener_may_refuse) {
  EXPECT_EXIT(
      {
        signal_watch watch;
        int heard = 0;
        watch.listen([&heard](int) { return ++heard < 2; });
        ::kill(::getpid(), SIGTERM);
        while (::kill(::getpid(), SIGTERM) == 0)
          ::usleep(1000); // waiver sleep: signals that are pending already merge into one
      },
      testing::ExitedWithCode(143), "");
}

TEST(signals, a_closed_pipe_and_a_file_too_large_are_no_signals) {
  const signal_watch watch;
  for (const int signal : {SIGPIPE, SIGXFSZ}) {
    struct sigaction now = {};
    ASSERT_EQ(::sigaction(signal, nullptr, &now), 0);
    EXPECT_EQ(now.sa_handler, SIG_IGN) << signal;
  }
}

} // namespace
} // namespace troupe::cli
