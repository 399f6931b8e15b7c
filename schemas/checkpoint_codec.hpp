// Bytes of a checkpoint's manifest. They have no checksum of their own: the file they go to has
// one. Equal manifests have equal bytes.
#pragma once

#include "base/status.hpp"
#include "schemas/checkpoint_manifest.hpp"

#include <span>
#include <vector>

namespace troupe::schemas {

// `corrupt` with what is wrong: names that are empty or there twice, sizes that do not add up,
// anything beyond the limits.
status validate(const checkpoint_manifest& manifest, const checkpoint_limits& limits = {});

result<std::vector<std::byte>> encode_checkpoint_manifest(const checkpoint_manifest& manifest,
                                                          const checkpoint_limits& limits = {});
// `corrupt` for anything but a manifest that validate() accepts.
result<checkpoint_manifest> decode_checkpoint_manifest(std::span<const std::byte> bytes,
                                                       const checkpoint_limits& limits = {});

} // namespace troupe::schemas
