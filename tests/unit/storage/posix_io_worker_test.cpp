// Jobs are done in order, elsewhere, and all of them.
#include "storage/posix_io_worker.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <numeric>
#include <vector>

namespace troupe::storage {
namespace {

TEST(posix_io_worker, does_the_jobs_in_order_on_its_thread) {
  std::vector<int> begun, told;
  const auto caller = std::this_thread::get_id();
  bool elsewhere = true;
  {
    posix_io_worker worker;
    for (int i = 0; i < 100; ++i) {
      const auto work = [&, i] {
        begun.push_back(i);
        elsewhere = elsewhere && std::this_thread::get_id() != caller;
        return status();
      };
      ASSERT_TRUE(worker.submit(work, [&, i](const status&) { told.push_back(i); }).ok());
    }
  } // waits for all of them
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(begun, expected);
  EXPECT_EQ(told, expected);
  EXPECT_TRUE(elsewhere);
}

TEST(posix_io_worker, hands_on_what_the_job_said) {
  std::promise<status> said;
  posix_io_worker worker;
  ASSERT_TRUE(worker
                  .submit([] { return status(status_code::exhausted, "the disk is full"); },
                          [&said](const status& s) { said.set_value(s); })
                  .ok());
  const auto got = said.get_future().get();
  EXPECT_EQ(got.code(), status_code::exhausted);
  EXPECT_EQ(got.why(), "the disk is full");
}

TEST(posix_io_worker, refuses_jobs_beyond_its_bound) {
  std::promise<void> begun, go_on;
  auto may_go_on = go_on.get_future();
  std::atomic<int> told = 0;
  const auto count = [&told](const status&) { ++told; };
  {
    posix_io_worker worker(2);
    const auto slow = [&] {
      begun.set_value();
      may_go_on.wait();
      return status();
    };
    ASSERT_TRUE(worker.submit(slow, count).ok());
    begun.get_future().wait(); // no longer in the queue
    const auto nothing = [] { return status(); };
    EXPECT_TRUE(worker.submit(nothing, count).ok());
    EXPECT_TRUE(worker.submit(nothing, count).ok());
    const auto refused = worker.submit(nothing, count);
    EXPECT_EQ(refused.code(), status_code::exhausted);
    EXPECT_EQ(refused.why(), "the disk is too slow: 2 jobs wait for it");
    go_on.set_value();
  }
  EXPECT_EQ(told, 3);
}

TEST(posix_io_worker, takes_jobs_from_many_threads_and_from_its_own) {
  std::atomic<int> told = 0;
  {
    posix_io_worker worker(100000);
    const auto nothing = [] { return status(); };
    const auto count = [&told](const status&) { ++told; };
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] {
        for (int j = 0; j < 1000; ++j) EXPECT_TRUE(worker.submit(nothing, count).ok());
      });
    }
    for (auto& caller : callers) caller.join();
    std::promise<void> again;
    const auto once_more = [&](const status&) {
      EXPECT_TRUE(worker.submit(nothing, count).ok());
      again.set_value();
    };
    ASSERT_TRUE(worker.submit(nothing, once_more).ok());
    again.get_future().wait();
  }
  EXPECT_EQ(told, 4001);
}

} // namespace
} // namespace troupe::storage
