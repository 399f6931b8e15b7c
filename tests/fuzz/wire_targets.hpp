// The targets that read what other nodes send, and what a voter finds on its disk.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_frame(std::span<const std::byte> bytes);
std::vector<std::string> frame_seeds(); // several of every kind of body

void read_votes(std::span<const std::byte> bytes);
std::vector<std::string> votes_seeds();

// The content of a message of Cap'n Proto as one whole segment: the table says how long it has
// become.
std::vector<std::byte> as_message(std::span<const std::byte> bytes);

} // namespace troupe::fuzz
