// Credit: never more under way than the window, never more given back than taken.
#include "dataflow/credit.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

TEST(credit_window_test, gives_out_the_window_and_then_nothing) {
  credit_window credit(3);
  EXPECT_TRUE(credit.take(2));
  EXPECT_FALSE(credit.take(2)); // all or none
  EXPECT_EQ(credit.available(), 1u);
  EXPECT_TRUE(credit.take());
  EXPECT_FALSE(credit.take());
  EXPECT_TRUE(credit.take(0));
}

TEST(credit_window_test, takes_back_what_was_taken) {
  credit_window credit(3);
  ASSERT_TRUE(credit.take(3));
  credit.give(2);
  EXPECT_EQ(credit.available(), 2u);
  EXPECT_EQ(credit.taken(), 1u);
  credit.reset();
  EXPECT_EQ(credit.available(), 3u);
}

TEST(credit_window_test, huge_amounts_do_not_wrap_around) {
  credit_window credit(3);
  ASSERT_TRUE(credit.take(2));
  EXPECT_FALSE(credit.take(UINT32_MAX));
  EXPECT_FALSE(credit.take(UINT32_MAX - 1));
  credit_window widest(UINT32_MAX);
  EXPECT_TRUE(widest.take(UINT32_MAX));
  EXPECT_FALSE(widest.take());
}

TEST(credit_window_death_test, giving_back_too_much_is_a_bug) {
  credit_window credit(3);
  ASSERT_TRUE(credit.take());
  EXPECT_DEATH(credit.give(2), "taken_");
}

} // namespace
} // namespace troupe::dataflow
