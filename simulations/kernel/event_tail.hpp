// The last events of a run, kept small and turned into text only when somebody asks.
#pragma once

#include "base/clock.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace troupe::simulations {

struct tail_entry {
  enum class kind_of : uint8_t { message, timers, event, note };
  kind_of kind = kind_of::event;
  uint32_t machine = 0; // no_machine: of the world
  time_point when{};
  uint64_t actor = 0;                   // message
  const std::type_info* type = nullptr; // message: of its first element
  std::string_view name;                // message: of the actor; must outlive the tail
  std::string_view what;                // event, note: copied, cut to what fits
};

class event_tail {
public:
  explicit event_tail(size_t size) : entries_(size) {}
  void add(const tail_entry& entry);
  // One line each, oldest first.
  std::deque<std::string> lines() const;

private:
  struct kept {
    tail_entry entry;
    uint8_t size = 0;
    std::array<char, 119> text;
  };
  static std::string line(const kept& k);

  std::vector<kept> entries_;
  uint64_t added_ = 0;
};

} // namespace troupe::simulations
