// Text building and the nearest name.
#include "base/text.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe {
namespace {

TEST(text_test, joins_strings_and_numbers) {
  EXPECT_EQ(text("field '", std::string("n"), "' is ", -3, ' ', 0.1), "field 'n' is -3 0.1");
}

TEST(text_test, finds_the_nearest_name_or_none) {
  const std::vector<std::string> names = {"max_tokens", "temperature", "top_p"};
  EXPECT_EQ(nearest_name("max_token", names), "max_tokens");
  EXPECT_EQ(nearest_name("temprature", names), "temperature");
  EXPECT_EQ(nearest_name("xyzzy", names), "");
}

} // namespace
} // namespace troupe
