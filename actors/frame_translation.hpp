// Between the messages of actors and what travels in frames. Times travel as spans from now, floats
// as their bits.
#pragma once

#include "actors/ingress.hpp"
#include "actors/sequencer.hpp"
#include "base/clock.hpp"
#include "base/status.hpp"
#include "schemas/pipeline_messages.hpp"

namespace troupe::actors {

schemas::submission to_wire(const request_submission& work, time_point now);
request_submission from_wire(const schemas::submission& in, time_point now);

schemas::emission to_wire(const emission& work, time_point now);
emission from_wire(const schemas::emission& in, time_point now);

} // namespace troupe::actors
