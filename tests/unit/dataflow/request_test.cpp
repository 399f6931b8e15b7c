// Names of finish reasons are what metrics and logs print.
#include "dataflow/request.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

TEST(request_test, every_finish_reason_has_its_name) {
  EXPECT_EQ(to_string(finish_reason::stop), "stop");
  EXPECT_EQ(to_string(finish_reason::length), "length");
  EXPECT_EQ(to_string(finish_reason::cancelled), "cancelled");
  EXPECT_EQ(to_string(finish_reason::deadline), "deadline");
  EXPECT_EQ(to_string(finish_reason::failed), "failed");
}

} // namespace
} // namespace troupe::dataflow
