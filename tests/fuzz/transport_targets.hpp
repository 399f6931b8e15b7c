// The targets that read what strangers and peers send to the transport between nodes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::fuzz {

void read_handshake(std::span<const std::byte> bytes);
std::vector<std::string> handshake_seeds();

void read_sealed_frame(std::span<const std::byte> bytes);
std::vector<std::string> sealed_frame_seeds();
void put_frame_together(std::span<const std::byte> bytes);
std::vector<std::string> piece_seeds();

void read_control_record(std::span<const std::byte> bytes);
std::vector<std::string> control_record_seeds();

} // namespace troupe::fuzz
