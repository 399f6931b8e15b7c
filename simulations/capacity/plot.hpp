// The report as a picture: goodput and tail latencies over nodes, and what recoveries consist of.
#pragma once

#include "simulations/capacity/report.hpp"

#include <string>

namespace troupe::simulations::capacity {

// A complete SVG document.
std::string report_svg(const report& what);

} // namespace troupe::simulations::capacity
