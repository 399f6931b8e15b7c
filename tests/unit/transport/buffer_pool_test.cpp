// Memory for frames.
#include "transport/ucx/buffer_pool.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace troupe::transport {
namespace {

TEST(buffer_pool_test, gives_what_was_asked_for_and_aligned) {
  buffer_pool pool(1 << 20);
  for (const size_t bytes : {0u, 1u, 255u, 256u, 257u, 4096u, 65536u, 65554u, 1000003u}) {
    const frame_buffer got = pool.take(bytes);
    EXPECT_EQ(got.size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(got.data()) % buffer_align_bytes, 0u) << bytes;
    std::memset(got.data(), 1, bytes); // the address sanitizer watches
  }
}

TEST(buffer_pool_test, wastes_at_most_a_quarter) {
  buffer_pool pool(size_t{1} << 30);
  for (size_t bytes = 256; bytes < (size_t{1} << 24); bytes = bytes * 9 / 8 + 1) {
    const size_t before = pool.idle_bytes();
    std::vector<frame_buffer> held; // so that it has to be a fresh one
    held.push_back(pool.take(bytes));
    const size_t taken_from_idle = before - pool.idle_bytes();
    held.clear();
    const size_t capacity = pool.idle_bytes() - before + taken_from_idle;
    EXPECT_GE(capacity, bytes);
    EXPECT_LE(capacity, bytes + bytes / 4 + 64) << bytes;
  }
}

TEST(buffer_pool_test, the_next_frame_of_a_size_gets_the_same_memory) {
  buffer_pool pool(1 << 20);
  std::byte* first = pool.take(70'000).data();
  EXPECT_EQ(pool.take(69'000).data(), first);
  EXPECT_EQ(pool.take(70'000).data(), first);
}

TEST(buffer_pool_test, keeps_no_more_than_its_bound) {
  buffer_pool pool(100'000);
  {
    std::vector<frame_buffer> held;
    for (int i = 0; i < 10; ++i) held.push_back(pool.take(40'000));
    EXPECT_EQ(pool.idle_bytes(), 0u);
  }
  EXPECT_GT(pool.idle_bytes(), 0u);
  EXPECT_LE(pool.idle_bytes(), 100'000u);
}

} // namespace
} // namespace troupe::transport
