// Reads the rotary part of a configuration. For sources only.
#pragma once

#include "model/config_fields.hpp"
#include "model/description.hpp"

namespace troupe::model {

// `dim`: rotated columns of a head; `default_theta`: the family's. Takes both the spelling with
// `rope_theta` + `rope_scaling` and the newer `rope_parameters`.
rope_spec read_rope(config_fields& config, uint32_t dim, double default_theta,
                    uint32_t positions_max);

} // namespace troupe::model
