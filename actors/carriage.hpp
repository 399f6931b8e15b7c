// Steps and rows on their way between nodes, as the parts hand them to the gateway and get them
// from it.
#pragma once

#include "actors/step_pool.hpp"
#include "base/status.hpp"
#include "schemas/pipeline_messages.hpp"

#include <cstdint>
#include <vector>

namespace troupe::actors {

// A step for a stage on another node.
struct step_carriage {
  schemas::step_rows rows;
  row_block hidden; // none for the first stage, which embeds the tokens itself
};

// Rows for a shard on another node, expert by expert.
struct expert_carriage {
  std::vector<schemas::expert_rows> experts;
  row_block input;
};

// What a stage can take in. `columns`: of the hidden state, 0 when none may come.
struct carriage_limits {
  uint32_t rows_max = 0;
  uint32_t columns = 0;
  uint32_t slots = 0; // of the KV cache
  uint32_t pages = 0;
  uint32_t positions = 0; // of a sequence
  uint32_t vocabulary = 0;
};

// `corrupt` when the step would reach beyond this node's memory; the message names the field.
status check(const step_carriage& step, const carriage_limits& limits);

} // namespace troupe::actors
