// Put once, read by anyone, gone for good.
#include "actors/shared_slot.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace troupe::actors {
namespace {

TEST(shared_slot_test, holds_what_was_put_until_it_is_closed) {
  shared_slot<std::shared_ptr<int>> slot;
  EXPECT_FALSE(slot.get().has_value());
  const auto value = std::make_shared<int>(7);
  slot.put(value);
  EXPECT_EQ(**slot.get(), 7);
  EXPECT_EQ(value.use_count(), 2);
  slot.close();
  EXPECT_FALSE(slot.get().has_value());
  EXPECT_EQ(value.use_count(), 1);
  slot.put(value); // too late
  EXPECT_FALSE(slot.get().has_value());
  EXPECT_EQ(value.use_count(), 1);
}

} // namespace
} // namespace troupe::actors
