// Readers of the texts of a folder of published weights.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_published_weights(std::span<const std::byte> bytes);
std::vector<std::string> published_weights_seeds();

} // namespace troupe::fuzz
