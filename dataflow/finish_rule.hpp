// When a stream ends by what has been drawn. (Stop texts are the ingress's business: they need
// text.)
#pragma once

#include "dataflow/request.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::dataflow {

struct finish_facts {
  int32_t token = 0;                  // the one just drawn
  uint32_t drawn = 0;                 // tokens drawn so far, this one included
  uint32_t known = 0;                 // tokens of the whole sequence, this one included
  uint32_t positions_max = 0;         // no sequence is longer
  std::span<const int32_t> eos_ids{}; // the model's
};

struct finish_decision {
  finish_reason reason = finish_reason::stop;
  bool by_stop_id = false; // the token ends the stream and has no text of its own
};

// Absent: the stream goes on.
std::optional<finish_decision> finish_after(const generation_request& request,
                                            const finish_facts& facts);

// Ids that may not be drawn yet: every id that would end the stream before tokens_min. Empty when
// the minimum is reached.
std::vector<int32_t> banned_before_min(const generation_request& request, uint32_t drawn,
                                       std::span<const int32_t> eos_ids);

} // namespace troupe::dataflow
