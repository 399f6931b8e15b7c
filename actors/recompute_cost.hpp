// What computing a position again costs, as far as eviction needs to know it.
#pragma once

#include <cstdint>

namespace troupe::model {
struct description;
} // namespace troupe::model

namespace troupe::actors {

// The position whose attention costs as much as all of a token's matrix products, so that its token
// costs twice the first one's. Layers that see a window only do not count as attention.
uint32_t attention_positions_of(const model::description& description);

} // namespace troupe::actors
