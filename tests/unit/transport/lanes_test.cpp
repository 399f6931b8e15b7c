// What may be on its way to a peer at a time.
#include "transport/ucx/lanes.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace troupe::transport {
namespace {

class lanes_test : public testing::Test {
protected:
  lanes_test() {
    lanes_.open({.peer = {"b", 1}, .session = 7, .frame_bytes_max = 1000, .key = nullptr});
  }
  status send(size_t bytes) { return lanes_.send("b", {}, std::vector<std::byte>(bytes)); }
  // The numbers of the frames that may be posted now.
  std::vector<uint64_t> post() {
    std::vector<uint64_t> out;
    while (const auto frame = lanes_.next("b")) out.push_back(frame->head.sequence);
    return out;
  }

  using numbers = std::vector<uint64_t>;
  buffer_pool pool_{1 << 20};
  lanes lanes_{{.bounds = {.queued_frames_max = 20, .queued_bytes_max = 4000},
                .window = 4,
                .posted_bytes_max = 500},
               pool_,
               [] {}};
};

TEST_F(lanes_test, posts_a_window_of_numbers_from_the_oldest_that_is_not_taken) {
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(send(10).ok());
  EXPECT_EQ(post(), (numbers{0, 1, 2, 3}));
  for (const uint64_t taken : {1, 2, 3}) lanes_.taken("b", taken, true);
  EXPECT_EQ(post(), numbers{}); // 0 is still on its way
  lanes_.taken("b", 0, true);
  EXPECT_EQ(post(), (numbers{4, 5, 6, 7}));
}

// The peer has to hold all of them when the first is late, whatever of the others it has said to
// have.
TEST_F(lanes_test, posts_a_window_of_bytes_from_the_oldest_that_is_not_taken) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(send(200).ok());
  EXPECT_EQ(post(), (numbers{0, 1}));
  lanes_.taken("b", 1, true);
  EXPECT_EQ(post(), numbers{});
  lanes_.taken("b", 0, true);
  EXPECT_EQ(post(), (numbers{2, 3}));
}

TEST_F(lanes_test, posts_a_frame_beyond_the_window_alone) {
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(send(900).ok());
  EXPECT_EQ(post(), numbers{0});
  lanes_.taken("b", 0, true);
  EXPECT_EQ(post(), numbers{1});
}

TEST_F(lanes_test, sends_large_frames_in_pieces_and_counts_them_as_one) {
  lanes to({.bounds = {.queued_frames_max = 2, .queued_bytes_max = 4000},
            .piece_bytes = 100,
            .whole_over = 400},
           pool_, [] {});
  to.open({.peer = {"b", 1}, .session = 7, .frame_bytes_max = 1000, .key = nullptr});
  const std::vector<std::byte> header(30, std::byte{2}), payload(190, std::byte{1});
  ASSERT_TRUE(to.send("b", header, payload).ok()); // 100 of payload, 90 and 10, 20 of header
  EXPECT_EQ(to.credit("b"), 1u);
  std::vector<std::byte> got;
  std::vector<std::pair<frame_kind, uint32_t>> heads;
  while (const auto part = to.next("b")) {
    heads.emplace_back(part->head.kind, part->head.header_bytes);
    got.insert(got.end(), part->body.bytes().begin(), part->body.bytes().end());
  }
  EXPECT_EQ(heads, (decltype(heads){{frame_kind::piece, 220u},
                                    {frame_kind::piece, 120u},
                                    {frame_kind::last_piece, 30u}}));
  auto whole = payload;
  whole.insert(whole.end(), header.begin(), header.end());
  EXPECT_EQ(got, whole);
  for (const uint64_t taken : {0, 1}) to.taken("b", taken, true);
  EXPECT_EQ(to.credit("b"), 1u);
  to.taken("b", 2, true);
  EXPECT_EQ(to.credit("b"), 2u);
  ASSERT_TRUE(to.send("b", {}, std::vector<std::byte>(401)).ok()); // whole again
  EXPECT_EQ(to.next("b")->head.kind, frame_kind::data);
  ASSERT_TRUE(to.send("b", {}, std::vector<std::byte>(300)).ok());
  to.next("b");
  to.close("b");
  EXPECT_EQ(to.counters().dropped_peer_lost, 2u); // frames, not pieces
}

TEST_F(lanes_test, takes_no_more_than_its_bounds) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(send(990).ok());
  EXPECT_EQ(send(990).code(), status_code::exhausted);
  EXPECT_EQ(send(1001).code(), status_code::invalid_argument);
  EXPECT_EQ(lanes_.send("c", {}, {}).code(), status_code::unavailable);
  ASSERT_EQ(post(), numbers{0});
  lanes_.taken("b", 0, true);
  EXPECT_TRUE(send(990).ok());
  EXPECT_EQ(lanes_.counters().refused_exhausted, 1u);
  lanes_.close("b");
  EXPECT_EQ(lanes_.counters().dropped_peer_lost, 4u);
}

} // namespace
} // namespace troupe::transport
