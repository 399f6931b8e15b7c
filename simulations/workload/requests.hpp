// What the clients of a run ask for, and when. All contents come from a bounded family that does
// not depend on the seed, so that the right answers are computed once for many runs.
#pragma once

#include "base/clock.hpp"
#include "dataflow/request.hpp"
#include "simulations/faults/scenario.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace troupe::simulations {

struct client_request {
  uint32_t client = 0; // its number, from 0
  duration arrives{};  // since the cluster stood
  uint32_t door = 0;   // asked first, modulo the number of doors
  // Shared by the client, its record and whoever serves it; never changed.
  std::shared_ptr<const dataflow::generation_request> request;
  std::optional<uint32_t> cancel_after; // leaves with so many tokens, of all choices together
  std::optional<duration> deadline;     // after its arrival
  bool salt_is_own = false;             // nobody else has its cache_salt
};

// Distinct contents one kind of workload can have.
inline constexpr uint32_t request_variants = 64;

// Content `variant` (modulo request_variants) of the family. Depends on nothing else.
dataflow::generation_request make_request(const scenario_workload& what, uint32_t variant);

// In order of arrival, which is also the order of the clients' numbers.
std::vector<client_request> make_workload(const scenario_workload& what, uint64_t seed);

// So many more that arrive at once, e.g. for a burst; `number` tells bursts of one run apart.
std::vector<client_request> make_burst(const scenario_workload& what, uint64_t seed,
                                       uint32_t number, uint32_t first_client, uint32_t requests);

} // namespace troupe::simulations
