// Batches are whole pieces; a source that was put back goes on with the same ones.
#include "model/training/piece_source.hpp"

#include <gtest/gtest.h>

namespace troupe::model {
namespace {

text_pieces numbered_pieces(int32_t documents) {
  text_pieces out(4, 0);
  for (int32_t i = 0; i < documents; ++i) out.add({10 + i, 50 + i, 90 + i}, 7);
  return out;
}

std::vector<int32_t> next_tokens(piece_source& source) {
  std::vector<int32_t> out;
  const auto batch = source.next().value().value();
  for (const auto& document : batch.documents)
    out.insert(out.end(), document.tokens.begin(), document.tokens.end());
  EXPECT_EQ(batch.bytes, 7 * batch.documents.size());
  return out;
}

TEST(piece_source, gives_whole_pieces_until_a_step_has_its_tokens) {
  const auto pieces = numbered_pieces(5);
  piece_source source(pieces, 9, 1);
  EXPECT_EQ(next_tokens(source).size(), 12u);
}

TEST(piece_source, goes_on_with_the_same_batches_after_every_one) {
  const auto pieces = numbered_pieces(5);
  for (int before = 0; before < 8; ++before) {
    piece_source source(pieces, 8, 3), again(pieces, 8, 3);
    for (int i = 0; i < before; ++i) next_tokens(source);
    ASSERT_TRUE(again.restore(source.state()).ok());
    EXPECT_EQ(again.epoch(), source.epoch());
    EXPECT_EQ(again.state(), source.state());
    for (int i = 0; i < 6; ++i) EXPECT_EQ(next_tokens(again), next_tokens(source));
  }
}

TEST(piece_source, refuses_the_state_of_other_data_and_names_the_difference) {
  const auto pieces = numbered_pieces(5), more = numbered_pieces(6);
  const piece_source source(pieces, 8, 3);
  const auto why = [&](piece_source other) { return other.restore(source.state()).why(); };
  EXPECT_EQ(why({more, 8, 3}), "data: pieces was 5 and is 6");
  EXPECT_EQ(why({pieces, 9, 3}), "data: tokens a step was 8 and is 9");
  EXPECT_EQ(why({pieces, 8, 4}), "data: seed was 3 and is 4");
}

TEST(piece_source, refuses_bytes_that_are_no_state) {
  const auto pieces = numbered_pieces(5);
  piece_source source(pieces, 8, 3);
  const auto good = source.state();
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(source.restore(std::span(good).first(size)).code(), status_code::corrupt);
  auto bad = good;
  bad[0] = std::byte{2};
  EXPECT_EQ(source.restore(bad).why(), "data: a state of version 2");
  bad = good;
  bad.back() = std::byte{1}; // more pieces dealt than there are
  EXPECT_EQ(source.restore(bad).code(), status_code::corrupt);
  EXPECT_EQ(source.state(), good);
}

} // namespace
} // namespace troupe::model
