// Manifests of checkpoints.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_manifest(std::span<const std::byte> bytes);
std::vector<std::string> manifest_seeds();

} // namespace troupe::fuzz
