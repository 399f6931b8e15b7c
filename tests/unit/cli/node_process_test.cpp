// Processes are started, found again, told from others with the same number, and ended.
#include "cli/node_process.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

class node_process_test : public ::testing::Test {
protected:
  node_process_test() : log(testing::TempDir() + "troupe_process_" + std::to_string(::getpid())) {}
  ~node_process_test() override { std::filesystem::remove(log); }

  // Blocks until the child has ended.
  static int wait_for(const process_mark& process) {
    int how = 0;
    EXPECT_EQ(::waitpid(process.pid, &how, 0), process.pid);
    return how;
  }

  std::string log;
};

TEST_F(node_process_test, what_it_says_is_in_its_log) {
  for (const char* word : {"one", "two"}) {
    const auto child =
        start_process({"/bin/sh", "-c", std::string("echo $0; echo err >&2"), word}, log);
    ASSERT_TRUE(child.has_value()) << child.error().why();
    EXPECT_EQ(wait_for(*child), 0);
  }
  std::ostringstream content;
  content << std::ifstream(log).rdbuf();
  EXPECT_EQ(content.str(), "one\nerr\ntwo\nerr\n"); // appended
}

TEST_F(node_process_test, a_running_one_is_known_and_hears_signals) {
  const auto child = start_process({"/bin/sleep", "100"}, log);
  ASSERT_TRUE(child.has_value());
  EXPECT_TRUE(is_running(*child));
  EXPECT_TRUE(send_signal(*child, SIGTERM).ok()); // we block it; the child must not
  const int how = wait_for(*child);
  EXPECT_TRUE(WIFSIGNALED(how) && WTERMSIG(how) == SIGTERM);
  EXPECT_FALSE(is_running(*child));
  EXPECT_TRUE(send_signal(*child, SIGTERM).ok()); // nobody is hit
}

TEST_F(node_process_test, another_process_with_its_number_is_not_it) {
  auto mark = mark_of(::getpid()).value();
  EXPECT_TRUE(is_running(mark));
  auto earlier = mark;
  --earlier.started;
  EXPECT_FALSE(is_running(earlier));
  EXPECT_TRUE(send_signal(earlier, SIGKILL).ok()); // or this test would end here
  auto before_the_boot = mark;
  before_the_boot.boot = "another";
  EXPECT_FALSE(is_running(before_the_boot));
  EXPECT_TRUE(send_signal(before_the_boot, SIGKILL).ok());
  EXPECT_FALSE(is_running({}));
  EXPECT_TRUE(send_signal({}, SIGKILL).ok()); // 0 would be our whole group
}

TEST_F(node_process_test, one_that_has_ended_and_is_not_waited_for_does_not_run) {
  const auto child = start_process({"/bin/sleep", "100"}, log);
  ASSERT_TRUE(child.has_value());
  ASSERT_TRUE(send_signal(*child, SIGKILL).ok());
  siginfo_t unused = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child->pid), &unused, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(is_running(*child)); // a zombie
  const auto ended = reap_children();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].pid, child->pid);
  EXPECT_EQ(ended[0].signal, SIGKILL);
}

TEST_F(node_process_test, a_program_that_is_not_there_cannot_be_started) {
  const auto child = start_process({"/no/such/program"}, log);
  ASSERT_FALSE(child.has_value());
  EXPECT_NE(child.error().why().find("/no/such/program: cannot start"), std::string::npos)
      << child.error().why();
}

} // namespace
} // namespace troupe::cli
