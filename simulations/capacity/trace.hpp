// Requests as they arrive, drawn from a trace profile. The same profile, load, span and seed give
// the same requests on every machine.
#pragma once

#include "simulations/capacity/trace_profile.hpp"

#include <cstdint>
#include <vector>

namespace troupe::simulations::capacity {

using nanoseconds = int64_t; // of virtual time

inline constexpr nanoseconds second_ns = 1'000'000'000;

struct trace_request {
  nanoseconds arrives = 0;
  uint32_t client = 0;
  uint32_t session = 0;
  uint32_t input = 1;
  uint32_t output = 1;
  uint32_t shared = 0; // leading tokens that an earlier request of the session had too
};

struct trace_args {
  double load = 1; // times the published rate: more clients, with the modulation in common
  nanoseconds span = 0;
  uint64_t seed = 1;
};

// In order of arrival.
std::vector<trace_request> generate_trace(const trace_profile& profile, const trace_args& args);

// Names the content of block `index` of the request's prompt: equal numbers, equal tokens and equal
// tokens before them.
uint64_t block_id(const session_shape& shape, const trace_request& request, uint32_t index);

} // namespace troupe::simulations::capacity
