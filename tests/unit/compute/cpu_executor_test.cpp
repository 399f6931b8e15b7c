// The executor's promises: order, one completion a job, bounds, and work from within completions.
#include "compute/cpu_executor.hpp"

#include "tests/unit/compute/support.hpp"

#include <atomic>
#include <latch>
#include <limits>
#include <thread>

namespace troupe::compute {
namespace {

std::unique_ptr<executor> make(cpu_options options) {
  auto made = make_cpu_executor(options);
  TROUPE_CHECK(made.has_value());
  return std::move(*made);
}

TEST(cpu_executor, describes_itself) {
  const auto two = make({.threads = 2, .set = instruction_set::reference});
  EXPECT_EQ(two->description(), "cpu reference 2 threads");
  EXPECT_EQ(two->threads(), 2u);
  EXPECT_GE(make({})->threads(), 1u);
  EXPECT_EQ(parse_instruction_set("avx2"), instruction_set::avx2);
  EXPECT_EQ(parse_instruction_set("sse"), std::nullopt);
}

TEST(cpu_executor, gives_zeroed_aligned_memory_and_refuses_too_much) {
  const auto device = make({.threads = 1, .allocation_bytes_max = 8 << 20});
  for (const size_t bytes : {size_t{1}, size_t{4096}, size_t{5} << 20}) {
    const auto memory = device->allocate(bytes);
    ASSERT_TRUE(memory.has_value());
    EXPECT_EQ(memory->bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % buffer::alignment, 0u);
    for (const uint8_t byte : memory->as<uint8_t>()) ASSERT_EQ(byte, 0);
  }
  EXPECT_EQ(device->allocate((8 << 20) + 1).error().code(), status_code::exhausted);
  EXPECT_EQ(make({})->allocate(size_t{1} << 60).error().code(), status_code::exhausted);
  EXPECT_TRUE(device->allocate(0).has_value());
}

TEST(cpu_executor, loads_with_all_threads_what_pack_makes_alone) {
  const test::matrix stored = test::matrix::random(333, 129, 4);
  for (const uint32_t threads : {1u, 2u, 5u}) {
    const auto device = make({.threads = threads});
    const auto loaded = device->load(stored.source(), weight_format::int4);
    const auto packed = pack(stored.source(), weight_format::int4);
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(
        std::memcmp(loaded->values().data(), packed->values().data(), packed->values().bytes()), 0);
    EXPECT_EQ(
        std::memcmp(loaded->scales().data(), packed->scales().data(), packed->scales().bytes()), 0);
  }
}

TEST(cpu_executor, a_bad_weight_is_named_whatever_the_threads) {
  test::matrix stored = test::matrix::random(333, 20, 4);
  stored.at(20, 1) = std::numeric_limits<float>::quiet_NaN();
  stored.at(300, 1) = std::numeric_limits<float>::quiet_NaN();
  const auto refused = make({.threads = 3})->load(stored.source(), weight_format::f32);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().why(), "weight at row 20, column 1 is NaN");
}

TEST(cpu_executor, runs_jobs_submitted_by_completions_in_order_and_without_depth) {
  const auto device = make({.threads = 2, .jobs_max = 4});
  std::vector<int> order;
  int left = 200000; // deep enough to end a stack, were each to run inside the last
  std::function<void(status)> again = [&](status s) {
    EXPECT_TRUE(s.ok());
    if (--left == 0) return;
    EXPECT_TRUE(device->submit([](kernels&) {}, again).ok());
  };
  EXPECT_TRUE(device
                  ->submit([&](kernels&) { order.push_back(1); },
                           [&](status) {
                             order.push_back(2);
                             EXPECT_TRUE(device
                                             ->submit([&](kernels&) { order.push_back(4); },
                                                      [&](status) { order.push_back(5); })
                                             .ok());
                             order.push_back(3);
                           })
                  .ok());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5}));
  EXPECT_TRUE(device->submit([](kernels&) {}, again).ok());
  EXPECT_EQ(left, 0);
}

TEST(cpu_executor, refuses_more_than_jobs_max_waiting_jobs) {
  const auto device = make({.threads = 1, .jobs_max = 3});
  int ran = 0;
  std::vector<status_code> codes;
  EXPECT_TRUE(device
                  ->submit([](kernels&) {},
                           [&](status) {
                             for (int i = 0; i < 5; ++i) {
                               codes.push_back(
                                   device->submit([&](kernels&) { ++ran; }, [](status) {}).code());
                             }
                           })
                  .ok());
  EXPECT_EQ(codes, (std::vector<status_code>{status_code::ok, status_code::ok, status_code::ok,
                                             status_code::exhausted, status_code::exhausted}));
  EXPECT_EQ(ran, 3);
}

TEST(cpu_executor, many_threads_submit_and_every_job_completes_once) {
  constexpr int submitters = 6;
  constexpr int each = 300;
  const auto device = make({.threads = 2, .jobs_max = submitters * each});
  std::vector<std::atomic<int>> completed(submitters * each);
  std::vector<int> last(submitters, -1); // jobs run one at a time, so this needs no lock
  std::atomic<bool> in_order{true};
  std::latch all(submitters * each);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < submitters; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < each; ++i) {
          const status s = device->submit(
              [&, t, i](kernels& k) {
                k.for_each(8, [](uint32_t) {});
                if (last[t] != i - 1) in_order = false;
                last[t] = i;
              },
              [&, t, i](status) {
                completed[t * each + i] += 1;
                all.count_down();
              });
          EXPECT_TRUE(s.ok());
        }
      });
    }
  }
  all.wait();
  EXPECT_TRUE(in_order);
  for (const auto& count : completed) EXPECT_EQ(count.load(), 1);
}

TEST(cpu_executor, loads_beside_running_jobs) {
  const auto device = make({.threads = 2});
  const test::matrix stored = test::matrix::random(64, 64, 4);
  std::atomic<int> done{0};
  {
    std::jthread loader([&] {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(device->load(stored.source(), weight_format::bf16).has_value());
      }
    });
    for (int i = 0; i < 200; ++i) {
      EXPECT_TRUE(
          device
              ->submit([](kernels& k) { k.for_each(4, [](uint32_t) {}); }, [&](status) { ++done; })
              .ok());
    }
  }
  EXPECT_EQ(done, 200);
}

} // namespace
} // namespace troupe::compute
