// Which bytes the kernels give: raised whenever any of them gives others for the same input, so
// that what an older program computed and kept is not taken for this one's.
#pragma once

#include <cstdint>

namespace troupe::compute {

inline constexpr uint32_t numerics_version = 1;

} // namespace troupe::compute
