// Numbers of the user's own: a TOML file with the tables [device], [failures], [routing] and
// [recovery], whose keys replace those of the presets.
#pragma once

#include "simulations/capacity/device_profile.hpp"
#include "simulations/capacity/failure_model.hpp"
#include "simulations/capacity/recovery.hpp"
#include "simulations/capacity/routing.hpp"

#include <string>
#include <string_view>

namespace troupe::simulations::capacity {

struct profile_numbers {
  device_profile& device;
  failure_model& failures;
  routing_options& routing;
  recovery_options& recovery;
};

// The message names the file, the place and, for an unknown key, the nearest known one.
status read_profile_file(std::string_view toml_text, const std::string& file,
                         profile_numbers& numbers);

} // namespace troupe::simulations::capacity
