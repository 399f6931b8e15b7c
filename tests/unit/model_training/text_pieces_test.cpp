// Pieces cover every document once; their order depends on the seed alone.
#include "model/training/text_pieces.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::model {
namespace {

TEST(text_pieces, ask_for_every_token_once) {
  text_pieces pieces(3, 0);
  pieces.add({5, 6, 7, 8}, 11);
  pieces.add({}, 0);
  pieces.add({9}, 4);
  ASSERT_EQ(pieces.count(), 3u);
  EXPECT_EQ(pieces.tokens(), 7u);
  EXPECT_EQ(pieces.bytes(), 15u);
  EXPECT_EQ(pieces.bytes_of(0), 6u); // 3 of 5 tokens
  EXPECT_EQ(pieces.bytes_of(1), 5u);
  EXPECT_EQ(pieces.bytes_of(2), 4u);
  std::vector<std::vector<int32_t>> inputs, targets;
  for (const auto& piece : pieces.all()) {
    inputs.emplace_back(piece.tokens.begin(), piece.tokens.end());
    targets.emplace_back(piece.targets.begin(), piece.targets.end());
  }
  EXPECT_EQ(inputs, (std::vector<std::vector<int32_t>>{{0, 5, 6}, {7, 8}, {0, 9}}));
  EXPECT_EQ(targets, (std::vector<std::vector<int32_t>>{{5, 6, 7}, {8, 0}, {9, 0}}));
}

std::vector<size_t> deal(piece_order& order, size_t count) {
  std::vector<size_t> out;
  for (size_t i = 0; i < count; ++i) out.push_back(order.next());
  return out;
}

TEST(piece_order, deals_each_piece_once_an_epoch) {
  piece_order order(50, 7);
  auto first = deal(order, 50);
  EXPECT_EQ(order.epoch(), 1u);
  auto second = deal(order, 50);
  EXPECT_EQ(order.epoch(), 2u);
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  for (size_t i = 0; i < 50; ++i) EXPECT_EQ(first[i], i);
  EXPECT_EQ(first, second);
}

TEST(piece_order, depends_on_the_seed_alone) {
  piece_order one(20, 1), same(20, 1), other(20, 2);
  const auto dealt = deal(one, 45);
  EXPECT_EQ(deal(same, 45), dealt);
  EXPECT_NE(deal(other, 45), dealt);
}

} // namespace
} // namespace troupe::model
