// Which bugs are planted, and for each of them runs that are known to tell it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace troupe::mutants {

struct planted_bug {
  std::string_view name;     // as in TROUPE_MUTANT(name)
  std::string_view about;    // what the slip is
  std::string_view scenario; // a built-in one in which …
  uint64_t seed = 1;         // … this seed, or one of the next few, tells it
};
const std::vector<planted_bug>& planted_bugs();

// The one bug of this process that is there; an empty name: none. Before other threads start.
void plant(std::string_view name);

} // namespace troupe::mutants
