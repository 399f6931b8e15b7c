// GGUF files: the container, and everything that is read from one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_gguf(std::span<const std::byte> bytes);
std::vector<std::string> gguf_seeds();

} // namespace troupe::fuzz
