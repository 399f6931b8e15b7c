// The trace seam: moments worth knowing of, told to whoever watches. Production counts them;
// a simulation writes history with them and injects faults at them.
#pragma once

#include <cstdint>
#include <string_view>

namespace troupe {

// Must not block. Calls come from the threads of the parts.
class trace {
public:
  virtual ~trace() = default;
  // `probe` is a constant like "register.accepted"; `value` says which one (an epoch, a step).
  virtual void hit(std::string_view probe, uint64_t value) = 0;
};

// A value that says in which epoch, and which one.
constexpr uint64_t traced(uint64_t epoch, uint64_t which) {
  return epoch << 32 | (which & 0xffffffff);
}

// Watches nothing.
class silent_trace final : public trace {
public:
  void hit(std::string_view, uint64_t) override {}
};

} // namespace troupe
