// What must hold for a frame to make sense whoever sent it: sizes within the limits, lists that fit
// each other, numbers that name something. Checked before a frame is written and after it is read.
#pragma once

#include "base/status.hpp"
#include "schemas/frame.hpp"
#include "schemas/frame_limits.hpp"

namespace troupe::schemas {

// `corrupt` with the field and the numbers that disagree.
status validate(const frame_header& header, const frame_limits& limits);
status validate(const acceptor_state& state, const frame_limits& limits);
status validate(const cluster_state& state, const frame_limits& limits);

} // namespace troupe::schemas
