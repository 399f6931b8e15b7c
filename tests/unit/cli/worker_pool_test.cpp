// Work in other processes: results, deaths and endless loops come back, each to its item.
#include "cli/worker_pool.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <map>

namespace troupe::cli {
namespace {

class worker_pool_test : public ::testing::Test {
protected:
  std::map<uint64_t, work_report> run(uint64_t items, uint32_t workers,
                                      std::function<std::string(uint64_t)> work) {
    pool_options options{.items = items, .workers = workers};
    options.item_max = item_max;
    options.work = std::move(work);
    options.done = [this](work_report report) {
      EXPECT_TRUE(reports.emplace(report.item, report).second) << "told twice";
    };
    options.stop = [this] { return stop_after != 0 && reports.size() >= stop_after; };
    const auto ran = run_pool(options, time);
    EXPECT_TRUE(ran.ok()) << ran.why();
    return reports;
  }

  system_clock time;
  duration item_max = std::chrono::minutes(1);
  size_t stop_after = 0;
  std::map<uint64_t, work_report> reports;
};

TEST_F(worker_pool_test, every_item_is_done_once) {
  for (const uint32_t workers : {1u, 3u}) {
    reports.clear();
    const auto done = run(50, workers, [](uint64_t item) { return text("item ", item); });
    ASSERT_EQ(done.size(), 50u);
    for (const auto& [item, report] : done) EXPECT_EQ(report.bytes, text("item ", item));
  }
}

TEST_F(worker_pool_test, long_and_empty_answers_arrive_whole) {
  const auto done = run(3, 2, [](uint64_t item) { return std::string(item * 1'000'003, 'x'); });
  for (const auto& [item, report] : done) EXPECT_EQ(report.bytes->size(), item * 1'000'003);
}

TEST_F(worker_pool_test, a_failed_check_is_told_with_its_line_and_the_rest_goes_on) {
  const auto done = run(6, 2, [](uint64_t item) {
    if (item == 2) TROUPE_CHECK(item != 2);
    return std::string("fine");
  });
  ASSERT_EQ(done.size(), 6u);
  for (const auto& [item, report] : done) EXPECT_EQ(report.bytes.has_value(), item != 2) << item;
  const std::string& death = done.at(2).death;
  EXPECT_NE(death.find("signal 6"), std::string::npos) << death;
  EXPECT_NE(death.find("item != 2"), std::string::npos) << death;
  EXPECT_NE(death.find("worker_pool_test.cpp"), std::string::npos) << death;
}

TEST_F(worker_pool_test, a_signal_and_an_exit_are_told_apart) {
  const auto done = run(2, 1, [](uint64_t item) {
    if (item == 0) ::raise(SIGKILL);
    ::_exit(7);
    return std::string();
  });
  EXPECT_NE(done.at(0).death.find("signal 9"), std::string::npos) << done.at(0).death;
  EXPECT_NE(done.at(1).death.find("exit code 7"), std::string::npos) << done.at(1).death;
}

TEST_F(worker_pool_test, an_endless_item_is_given_up) {
  item_max = std::chrono::milliseconds(300);
  const auto done = run(3, 1, [](uint64_t item) {
    while (item == 1) ::pause();
    return std::string("fine");
  });
  ASSERT_EQ(done.size(), 3u);
  EXPECT_TRUE(done.at(1).hung);
  EXPECT_EQ(done.at(2).bytes, "fine");
}

TEST_F(worker_pool_test, it_stops_when_asked) {
  stop_after = 3;
  EXPECT_LT(run(1000, 2, [](uint64_t) { return std::string("x"); }).size(), 1000u);
}

} // namespace
} // namespace troupe::cli
