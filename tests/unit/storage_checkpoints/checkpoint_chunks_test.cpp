// The cut: every byte once, in order, and parts that stay leave chunks that stay.
#include "storage/checkpoint_chunks.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

using bytes = std::vector<std::byte>;

std::vector<size_t> sizes_of(const std::vector<size_t>& part_sizes) {
  std::vector<bytes> held;
  for (const size_t size : part_sizes) held.emplace_back(size, static_cast<std::byte>(size));
  std::vector<checkpoint_part> parts;
  for (const auto& part : held) parts.push_back({"", part});
  bytes all, expected;
  std::vector<size_t> out;
  EXPECT_TRUE(cut_into_chunks(parts, {.piece_bytes = 100, .alone_bytes = 20, .pool_bytes = 50},
                              [&](std::span<const std::byte> chunk) {
                                out.push_back(chunk.size());
                                all.insert(all.end(), chunk.begin(), chunk.end());
                                return status();
                              })
                  .ok());
  for (const auto& part : held) expected.insert(expected.end(), part.begin(), part.end());
  EXPECT_EQ(all, expected);
  return out;
}

TEST(checkpoint_chunks, small_parts_share_a_chunk_and_large_ones_are_cut) {
  struct {
    std::vector<size_t> parts, chunks;
  } const table[] = {
      {{}, {}},
      {{0}, {}},
      {{1}, {1}},
      {{19, 19, 12}, {50}},
      {{19, 19, 13}, {38, 13}},
      {{20}, {20}},
      {{5, 20, 5}, {5, 20, 5}},
      {{99, 100, 101}, {99, 100, 100, 1}},
      {{3, 250, 0, 4, 5}, {3, 100, 100, 50, 9}},
  };
  for (const auto& row : table) EXPECT_EQ(sizes_of(row.parts), row.chunks);
}

TEST(checkpoint_chunks, the_first_failure_ends_it) {
  const bytes part(300);
  const std::vector<checkpoint_part> parts = {{"a", part}};
  int calls = 0;
  const status cut = cut_into_chunks(parts, {.piece_bytes = 100, .alone_bytes = 20}, [&](auto) {
    return ++calls == 2 ? status(status_code::exhausted, "no space") : status();
  });
  EXPECT_EQ(cut.code(), status_code::exhausted);
  EXPECT_EQ(calls, 2);
}

} // namespace
} // namespace troupe::storage
