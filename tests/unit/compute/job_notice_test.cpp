// Who is told that a thread begins to compute.
#include "compute/job_notice.hpp"

#include "tests/unit/compute/support.hpp"

#include <thread>

namespace troupe::compute {
namespace {

TEST(job_notice, comes_before_every_job_on_the_thread_that_asked_for_it) {
  const auto device = test::make_executor(1, instruction_set::automatic);
  int told = 0;
  int told_when_it_ran = -1;
  set_job_notice([](void* count) { ++*static_cast<int*>(count); }, &told);
  test::run(*device, [&](kernels&) { told_when_it_ran = told; });
  EXPECT_EQ(told_when_it_ran, 1);
  std::thread([&] { test::run(*device, [](kernels&) {}); }).join(); // has asked for nothing
  EXPECT_EQ(told, 1);
  set_job_notice(nullptr, nullptr);
  test::run(*device, [](kernels&) {});
  EXPECT_EQ(told, 1);
}

} // namespace
} // namespace troupe::compute
