// The probes that production code hits and simulations want to see hit.
#pragma once

#include <string_view>
#include <vector>

namespace troupe::simulations {

// Sorted.
const std::vector<std::string_view>& known_probes();

} // namespace troupe::simulations
