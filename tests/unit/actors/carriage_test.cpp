// A step of another node is refused before it reaches beyond this node's memory; the reason names
// the field.
#include "actors/carriage.hpp"

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

constexpr carriage_limits limits{
    .rows_max = 4, .columns = 3, .slots = 32, .pages = 4, .positions = 16, .vocabulary = 100};

step_carriage good() {
  step_carriage out;
  out.rows = {.tokens = {0, 99},
              .positions = {8, 0},
              .slots = {31, 0},
              .sequence_of = {1, 0},
              .prompt_lengths = {9, 1},
              .tables = {{0}, {2, 3}},
              .wanted_rows = {0, 1}};
  out.hidden = row_block::make(2, 3);
  return out;
}

// Why a step is refused after this change; empty when it is not.
template <class Change>
std::string why(Change change, const carriage_limits& within = limits) {
  auto step = good();
  change(step);
  const auto s = check(step, within);
  EXPECT_TRUE(s.ok() || s.code() == status_code::corrupt);
  return s.ok() ? "" : s.why();
}

TEST(carriage_test, takes_a_step_that_fits) {
  EXPECT_EQ(why([](step_carriage&) {}), "");
}

TEST(carriage_test, counts_rows) {
  EXPECT_EQ(why([](step_carriage& s) { s = {}; }), "a step has 0 rows; 1 to 4 can be taken");
  auto narrow = limits;
  narrow.rows_max = 1;
  EXPECT_EQ(why([](step_carriage&) {}, narrow), "a step has 2 rows; 1 to 1 can be taken");
}

TEST(carriage_test, wants_lists_of_one_length) {
  const std::string differ = "a step's lists differ in length";
  EXPECT_EQ(why([](step_carriage& s) { s.rows.positions.pop_back(); }), differ);
  EXPECT_EQ(why([](step_carriage& s) { s.rows.slots.push_back(0); }), differ);
  EXPECT_EQ(why([](step_carriage& s) { s.rows.sequence_of.pop_back(); }), differ);
  EXPECT_EQ(why([](step_carriage& s) { s.rows.prompt_lengths.push_back(1); }), differ);
}

TEST(carriage_test, wants_indices_that_are_there) {
  EXPECT_EQ(why([](step_carriage& s) { s.rows.tokens[0] = 100; }), "a step's token is no token");
  EXPECT_EQ(why([](step_carriage& s) { s.rows.tokens[0] = -1; }), "a step's token is no token");
  EXPECT_EQ(why([](step_carriage& s) { s.rows.positions[1] = 16; }),
            "a step's position is beyond what a sequence may have");
  EXPECT_EQ(why([](step_carriage& s) { s.rows.slots[1] = 32; }),
            "a step's KV slot is none of ours");
  EXPECT_EQ(why([](step_carriage& s) { s.rows.sequence_of[0] = 2; }),
            "a row of a step is of no sequence");
  EXPECT_EQ(why([](step_carriage& s) { s.rows.tables[1][0] = 4; }),
            "a step's KV page is none of ours");
  EXPECT_EQ(why([](step_carriage& s) { s.rows.wanted_rows[1] = 2; }),
            "a step wants a row it does not have");
}

TEST(carriage_test, wants_rows_within_the_pages_of_their_sequence) {
  const std::string behind = "a row of a step lies behind its KV pages";
  EXPECT_EQ(why([](step_carriage& s) { s.rows.positions[0] = 15; }), "");    // two pages of 8
  EXPECT_EQ(why([](step_carriage& s) { s.rows.positions[1] = 8; }), behind); // one page of 8
  EXPECT_EQ(why([](step_carriage& s) { s.rows.tables[0].clear(); }), behind);
}

TEST(carriage_test, wants_the_hidden_state_it_can_place) {
  EXPECT_EQ(why([](step_carriage& s) { s.hidden = row_block::make(1, 3); }),
            "a step's hidden state is 1 x 3, not 2 x 3");
  EXPECT_EQ(why([](step_carriage& s) { s.hidden = row_block::make(2, 4); }),
            "a step's hidden state is 2 x 4, not 2 x 3");
  auto first_stage = limits;
  first_stage.columns = 0;
  EXPECT_EQ(why([](step_carriage&) {}, first_stage), "a step's hidden state is 2 x 3, not 0 x 0");
  EXPECT_EQ(why([](step_carriage& s) { s.hidden = {}; }, first_stage), "");
}

} // namespace
} // namespace troupe::actors
