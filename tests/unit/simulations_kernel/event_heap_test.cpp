// Order, cancelling and dropping of timed events.
#include "simulations/kernel/event_heap.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace troupe::simulations {
namespace {

time_point at(int64_t ns) {
  return time_point(duration(ns));
}

class event_heap_test : public testing::Test {
protected:
  uint64_t add(int64_t when, int mark, uint32_t machine = no_machine, bool bound = false) {
    return heap.add(at(when), {[this, mark] { marks.push_back(mark); }, event_label("x"), machine,
                               bound, false});
  }
  std::vector<int> all() {
    while (heap.earliest()) heap.take().what();
    return marks;
  }

  event_heap heap;
  std::vector<int> marks;
};

TEST_F(event_heap_test, gives_the_earliest_first_and_equals_in_order) {
  add(5, 1);
  add(3, 2);
  add(5, 3);
  add(4, 4);
  add(3, 5);
  EXPECT_EQ(all(), (std::vector<int>{2, 5, 4, 1, 3}));
}

TEST_F(event_heap_test, forgets_what_is_cancelled_and_uses_its_place_again) {
  const auto first = add(1, 1);
  add(2, 2);
  heap.cancel(first);
  add(3, 3);
  heap.cancel(first); // of the past: nothing
  heap.cancel(uint64_t{77} << 32 | 99);
  EXPECT_EQ(heap.earliest(), at(2));
  EXPECT_EQ(all(), (std::vector<int>{2, 3}));
}

TEST_F(event_heap_test, drops_what_is_bound_to_a_machine_and_frees_what_it_holds) {
  auto held = std::make_shared<int>(1);
  heap.add(at(1), {[held] {}, event_label("x"), 4, true, false});
  add(2, 2, 4, false);
  add(3, 3, 5, true);
  EXPECT_EQ(held.use_count(), 2);
  heap.drop_bound(4);
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(all(), (std::vector<int>{2, 3}));
}

TEST_F(event_heap_test, cuts_long_labels_but_hashes_all_of_them) {
  const std::string longer(100, 'a');
  EXPECT_EQ(event_label(longer).text().size(), 47u);
  EXPECT_NE(event_label(longer).hash(), event_label(longer + "b").hash());
}

} // namespace
} // namespace troupe::simulations
