// Status and result: codes, context, and the check that ends the process.
#include "base/status.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

result<int> half(int x) {
  if (x % 2 != 0) return fail(status_code::invalid_argument, "odd");
  return x / 2;
}

TEST(status_test, a_result_holds_a_value_or_the_reason_why_not) {
  EXPECT_EQ(half(8).value(), 4);
  const auto failed = half(7);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), status_code::invalid_argument);
  EXPECT_EQ(failed.error().within("field x").why(), "field x: odd");
}

TEST(status_test, every_code_has_a_name) {
  for (int code = 0; code <= static_cast<int>(status_code::cancelled); ++code)
    EXPECT_NE(to_string(static_cast<status_code>(code)), "unknown");
}

TEST(status_test, a_failed_check_names_its_expression) {
  EXPECT_DEATH(TROUPE_CHECK(1 + 1 == 3), "check failed at .*status_test.cpp.*1 \\+ 1 == 3");
}

} // namespace
} // namespace troupe
