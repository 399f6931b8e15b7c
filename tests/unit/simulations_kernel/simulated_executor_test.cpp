// The device: time, order, and each way it can fail.
#include "simulations/seams/simulated_executor.hpp"

#include "compute/cpu_executor.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe::simulations {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr time_point start{duration(1)};

class simulated_executor_test : public testing::Test {
protected:
  simulated_executor_test() { w.at(0).boot(); }
  void submit(int mark) {
    EXPECT_TRUE(device
                    .submit([this, mark](compute::kernels&) { ran.push_back(mark); },
                            [this, mark](status s) {
                              done.push_back(mark);
                              codes.push_back(s.code());
                              when.push_back(w.now());
                            })
                    .ok());
  }
  void run_for(duration how_long) { w.run(w.now() + how_long, 100'000, {}); }

  world w{{.seed = 2, .machines = 1, .strategy = {}}};
  std::unique_ptr<compute::executor> cpu = compute::make_cpu_executor({.threads = 1}).value();
  simulated_executor device{w.at(0), *cpu};
  std::vector<int> ran, done;
  std::vector<status_code> codes;
  std::vector<time_point> when;
};

TEST_F(simulated_executor_test, runs_jobs_one_after_another_in_virtual_time) {
  for (int i = 0; i < 3; ++i) submit(i);
  EXPECT_TRUE(ran.empty());
  run_for(milliseconds(1));
  EXPECT_EQ(done, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(when, (std::vector<time_point>{start + microseconds(150), start + microseconds(300),
                                           start + microseconds(450)}));
  EXPECT_EQ(device.jobs_run(), 3u);
}

TEST_F(simulated_executor_test, a_completion_may_submit_the_next_job) {
  EXPECT_TRUE(device.submit([](compute::kernels&) {}, [this](status) { submit(7); }).ok());
  run_for(milliseconds(1));
  EXPECT_EQ(when, std::vector<time_point>{start + microseconds(300)});
}

TEST_F(simulated_executor_test, a_slow_device_takes_longer) {
  device.quality().slow_percent = 300;
  submit(1);
  run_for(milliseconds(1));
  EXPECT_EQ(when, std::vector<time_point>{start + microseconds(450)});
}

TEST_F(simulated_executor_test, a_device_that_hangs_goes_on_where_it_was) {
  device.quality().hung = true;
  for (int i = 0; i < 3; ++i) submit(i);
  const auto events = w.events();
  run_for(milliseconds(500));
  EXPECT_TRUE(done.empty());
  EXPECT_LE(w.events(), events + 1);
  device.quality().hung = false;
  run_for(milliseconds(20));
  EXPECT_EQ(done, (std::vector<int>{0, 1, 2}));
}

TEST_F(simulated_executor_test, a_lost_device_fails_everything_until_the_next_process) {
  device.quality().lost = true;
  submit(1);
  EXPECT_EQ(device.allocate(64).error().code(), status_code::device_lost);
  run_for(milliseconds(1));
  EXPECT_EQ(codes, std::vector<status_code>{status_code::device_lost});
  EXPECT_TRUE(ran.empty());
  w.at(0).crash();
  w.at(0).boot();
  EXPECT_TRUE(device.allocate(64).has_value());
  submit(2);
  run_for(milliseconds(1));
  EXPECT_EQ(codes.back(), status_code::ok);
}

TEST_F(simulated_executor_test, an_error_strikes_at_its_rate_and_takes_the_device_with_it) {
  device.quality().error_ppm = 20'000;
  for (int i = 0; i < 1000; ++i) submit(i);
  run_for(milliseconds(500));
  const auto first = std::find(codes.begin(), codes.end(), status_code::device_lost);
  ASSERT_NE(first, codes.end());
  EXPECT_NE(first, codes.begin());
  EXPECT_TRUE(
      std::all_of(first, codes.end(), [](auto c) { return c == status_code::device_lost; }));
  EXPECT_EQ(ran.size(), static_cast<size_t>(first - codes.begin()));
}

TEST_F(simulated_executor_test, a_crash_drops_the_jobs_and_what_they_hold) {
  auto held = std::make_shared<int>(0);
  EXPECT_TRUE(device.submit([held](compute::kernels&) {}, [held](status) {}).ok());
  submit(1);
  w.at(0).crash();
  EXPECT_EQ(held.use_count(), 1);
  w.at(0).boot();
  submit(2);
  run_for(milliseconds(1));
  EXPECT_EQ(done, std::vector<int>{2});
}

TEST_F(simulated_executor_test, a_completion_may_end_the_process) {
  EXPECT_TRUE(device.submit([](compute::kernels&) {}, [this](status) { w.at(0).crash(); }).ok());
  submit(1);
  run_for(milliseconds(1));
  EXPECT_TRUE(done.empty());
  EXPECT_FALSE(w.at(0).up());
}

TEST_F(simulated_executor_test, refuses_more_jobs_than_may_wait) {
  for (int i = 0; i < 1024; ++i) submit(i);
  EXPECT_EQ(device.submit([](compute::kernels&) {}, [](status) {}).code(), status_code::exhausted);
}

TEST_F(simulated_executor_test, an_executor_may_go_before_its_jobs_have_run) {
  {
    simulated_executor other(w.at(0), *cpu);
    EXPECT_TRUE(other.submit([](compute::kernels&) { FAIL(); }, [](status) { FAIL(); }).ok());
  }
  run_for(milliseconds(1));
}

} // namespace
} // namespace troupe::simulations
