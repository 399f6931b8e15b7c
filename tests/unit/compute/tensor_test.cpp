// Views and the memory behind them.
#include "compute/tensor.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::compute {
namespace {

TEST(buffer, is_aligned_zeroed_and_as_large_as_asked) {
  for (const size_t bytes : {size_t{1}, size_t{63}, size_t{65}, (size_t{2} << 20) - 1,
                             size_t{2} << 20, (size_t{5} << 20) + 12345}) {
    buffer memory(bytes);
    ASSERT_EQ(memory.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % buffer::alignment, 0u);
    const auto all = memory.as<uint8_t>();
    ASSERT_EQ(all.size(), bytes);
    EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](uint8_t b) { return b == 0; }));
    all.front() = all.back() = 1; // both ends may be written
  }
}

TEST(buffer, of_nothing_and_of_too_much) {
  EXPECT_EQ(buffer(0).data(), nullptr);
  EXPECT_TRUE(buffer::try_make(0).has_value());
  EXPECT_FALSE(buffer::try_make(SIZE_MAX).has_value());
  EXPECT_FALSE(buffer::try_make(size_t{1} << 62).has_value());
}

TEST(buffer, moves_its_memory) {
  buffer first(100);
  std::byte* data = first.data();
  const buffer second = std::move(first);
  EXPECT_EQ(first.bytes(), 0u);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.bytes(), 100u);
}

TEST(matrix_view, cuts_rows_and_columns) {
  float data[24];
  for (int i = 0; i < 24; ++i) data[i] = static_cast<float>(i);
  const matrix_view all{data, 4, 5, 6};
  EXPECT_EQ(all.row(2)[1], 13);
  EXPECT_EQ(all.first_rows(2).rows, 2u);
  EXPECT_EQ(all.rows_at(1, 2).row(1)[0], 12);
  EXPECT_EQ(all.columns(2, 3).row(1)[0], 8);
  EXPECT_EQ(all.columns(2, 3).cols, 3u);
  EXPECT_EQ(const_matrix_view(all).row(3)[4], 22);
}

TEST(buffer_arena, gives_neighbouring_memory_that_lives_as_long_as_any_of_it) {
  std::vector<buffer> kept;
  {
    buffer_arena arena;
    for (const size_t bytes :
         {size_t{1}, size_t{64}, size_t{65}, size_t{5} << 20, size_t{0}, size_t{40} << 20,
          size_t{16} << 20, size_t{16} << 20, size_t{16} << 20, size_t{16} << 20}) {
      auto made = arena.take(bytes);
      ASSERT_TRUE(made.has_value());
      EXPECT_EQ(made->bytes(), bytes);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(made->data()) % buffer::alignment, 0u);
      kept.push_back(std::move(*made));
    }
  }
  EXPECT_EQ(kept[1].data(), kept[0].data() + 64);
  EXPECT_EQ(kept[3].data(), kept[1].data() + 64 + 128);
  for (size_t i = 0; i < kept.size(); ++i) {
    for (auto& byte : kept[i].as<uint8_t>().subspan(0, std::min<size_t>(kept[i].bytes(), 4096))) {
      ASSERT_EQ(byte, 0);
      byte = static_cast<uint8_t>(i + 1);
    }
  }
  kept.erase(kept.begin()); // its neighbours stay
  buffer moved = std::move(kept[0]);
  kept.clear();
  EXPECT_EQ(moved.as<uint8_t>()[63], 2);
}

} // namespace
} // namespace troupe::compute
