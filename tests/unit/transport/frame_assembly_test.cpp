// Frames put together from pieces.
#include "transport/session/frame_assembly.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <vector>

namespace troupe::transport {
namespace {

struct memory {
  std::vector<std::byte> all;
  std::span<std::byte> bytes() { return all; }
};

class frame_assembly_test : public testing::Test {
protected:
  static constexpr uint64_t bytes_max = 1000;

  static frame_head head(frame_kind kind, uint32_t number) { return {1, 0, number, kind}; }
  // Whether the piece fits; then it is put there.
  bool give(frame_kind kind, uint32_t number, size_t bytes, std::byte value = std::byte{1}) {
    const auto of = head(kind, number);
    std::byte* const to = assembly_.room(of, bytes, bytes_max, [this](size_t all) {
      taken_ = all;
      return memory{std::vector<std::byte>(all)};
    });
    if (to == nullptr) return false;
    if (bytes > 0) std::memset(to, std::to_integer<int>(value), bytes);
    whole_ = assembly_.put(of, bytes);
    return true;
  }

  frame_assembly<memory> assembly_;
  bool whole_ = false;
  size_t taken_ = 0;
};

TEST_F(frame_assembly_test, puts_pieces_one_after_the_other) {
  EXPECT_TRUE(give(frame_kind::piece, 250, 100, std::byte{1}));
  EXPECT_EQ(taken_, 250u); // all of it at once
  EXPECT_TRUE(give(frame_kind::piece, 150, 100, std::byte{2}));
  EXPECT_FALSE(whole_);
  EXPECT_TRUE(give(frame_kind::last_piece, 20, 50, std::byte{3}));
  EXPECT_TRUE(whole_);
  const auto all = assembly_.take().all;
  ASSERT_EQ(all.size(), 250u);
  EXPECT_EQ(all[99], std::byte{1});
  EXPECT_EQ(all[100], std::byte{2});
  EXPECT_EQ(all[249], std::byte{3});
  EXPECT_FALSE(assembly_.under_way());
  EXPECT_TRUE(give(frame_kind::piece, 20, 10)); // the next frame
}

TEST_F(frame_assembly_test, takes_no_more_memory_than_a_frame_may_have) {
  EXPECT_FALSE(give(frame_kind::piece, 1001, 100));
  EXPECT_FALSE(give(frame_kind::piece, UINT32_MAX, 100));
  EXPECT_EQ(taken_, 0u);
  EXPECT_TRUE(give(frame_kind::piece, 1000, 100));
}

TEST_F(frame_assembly_test, refuses_pieces_that_make_no_frame) {
  EXPECT_FALSE(give(frame_kind::last_piece, 0, 10)); // of nothing
  EXPECT_FALSE(give(frame_kind::piece, 100, 0));
  EXPECT_FALSE(give(frame_kind::piece, 100, 100)); // nothing left for the last one
  EXPECT_FALSE(give(frame_kind::piece, 100, 101));
  ASSERT_TRUE(give(frame_kind::piece, 100, 60));
  EXPECT_FALSE(give(frame_kind::piece, 100, 60)); // the same again
  EXPECT_FALSE(give(frame_kind::piece, 41, 20));
  EXPECT_FALSE(give(frame_kind::last_piece, 0, 39));
  EXPECT_FALSE(give(frame_kind::last_piece, 0, 41));
  EXPECT_FALSE(give(frame_kind::last_piece, 101, 40)); // more header than frame
  EXPECT_TRUE(give(frame_kind::last_piece, 100, 40));
}

// The address sanitizer watches that nothing is put outside.
TEST_F(frame_assembly_test, stays_inside_whatever_comes) {
  const random_key random{7, random_subsystem::faults, 1};
  uint64_t n = 0;
  const auto below = [&](uint64_t bound) { return random_below(random, n++, bound); };
  int frames = 0;
  uint64_t left = 0; // of the frame under way, when the random pieces happen to fit
  for (int i = 0; i < 200'000; ++i) {
    const bool fits = below(2) == 0;
    const auto bytes = fits && left > 0 && below(4) == 0 ? left : below(300);
    const bool last = fits ? bytes == left && left > 0 : below(2) == 0;
    const uint64_t number = last ? below(50) : fits && left > 0 ? left : below(1200);
    if (!give(last ? frame_kind::last_piece : frame_kind::piece, static_cast<uint32_t>(number),
              bytes))
      continue;
    left = last ? 0 : number - bytes;
    if (!whole_) continue;
    ++frames;
    EXPECT_LE(assembly_.take().all.size(), bytes_max);
  }
  EXPECT_GT(frames, 1000);
}

} // namespace
} // namespace troupe::transport
