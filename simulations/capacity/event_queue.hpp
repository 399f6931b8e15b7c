// What happens when: a heap ordered by time and then by the order of scheduling, so that equal
// times have one order on every machine.
#pragma once

#include "simulations/capacity/trace.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace troupe::simulations::capacity {

enum class event_kind : uint8_t { plan, stage, resume, node_back, fast_again };

struct event {
  nanoseconds at = 0;
  uint64_t number = 0; // of scheduling
  event_kind kind = event_kind::plan;
  uint32_t replica = 0;
  uint32_t value = 0; // a step, a node, a recovery
  uint64_t epoch = 0; // of the replica; events of an earlier one are void
};

class event_queue {
public:
  bool empty() const { return heap_.empty(); }
  const event& next() const { return heap_.front(); }
  uint64_t scheduled() const { return numbers_; }

  void add(event what) {
    what.number = ++numbers_;
    heap_.push_back(what);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  event take() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const event out = heap_.back();
    heap_.pop_back();
    return out;
  }

private:
  static bool later(const event& a, const event& b) {
    return a.at != b.at ? a.at > b.at : a.number > b.number;
  }
  std::vector<event> heap_;
  uint64_t numbers_ = 0;
};

} // namespace troupe::simulations::capacity
