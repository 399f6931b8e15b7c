// Timed events: earliest first, equal times in the order of their scheduling.
#pragma once

#include "base/clock.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe::simulations {

// A short piece of text kept in place; what is longer is cut, but hashed whole.
class event_label {
public:
  event_label() = default;
  explicit event_label(std::string_view text);
  std::string_view text() const { return {text_.data(), size_}; }
  uint64_t hash() const { return hash_; }

private:
  static constexpr size_t text_max = 47;
  uint64_t hash_ = 0;
  uint8_t size_ = 0;
  std::array<char, text_max> text_;
};

inline constexpr uint32_t no_machine = UINT32_MAX;

struct timed_event {
  std::function<void()> what;
  event_label label;
  uint32_t machine = no_machine; // whose event it is
  bool bound = false;            // dropped when the machine crashes
  bool silent = false;           // housekeeping: neither counted nor hashed
};

class event_heap {
public:
  // A number by which the event can be cancelled; never 0.
  uint64_t add(time_point when, timed_event event);
  void cancel(uint64_t id); // nothing when it has happened already

  std::optional<time_point> earliest();
  timed_event take(); // the earliest; there must be one

  // Destroys all that is bound to the machine, now.
  void drop_bound(uint32_t machine);

private:
  struct slot {
    timed_event event;
    uint32_t generation = 0;
    bool taken = false;
  };
  struct item {
    time_point when;
    uint64_t order = 0;
    uint32_t slot = 0;
    uint32_t generation = 0;
  };
  static bool later(const item& a, const item& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }
  bool stale(const item& i) const { return slots_[i.slot].generation != i.generation; }
  void release(uint32_t index);
  void skip_stale();

  std::vector<slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<item> items_; // a heap by `later`; cancelled ones leave when they come up
  uint64_t order_ = 0;
};

} // namespace troupe::simulations
