// The header of a frame between nodes as a plain struct, and its bytes. Reading takes bytes from
// strangers: whatever they are, the answer is a header within the limits or a status.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::schemas {

inline constexpr uint32_t frame_protocol_version = 1;

// Numbers are those of frame.capnp.
enum class frame_kind : uint16_t { control = 0, tensor = 1 };
enum class element_type : uint16_t { none = 0, f32 = 1, bf16 = 2, f16 = 3, u8 = 4 };

size_t element_bytes(element_type type);

struct frame_header {
  uint32_t protocol_version = frame_protocol_version;
  frame_kind kind = frame_kind::control;
  std::string source_node;
  uint64_t source_incarnation = 0;
  uint64_t placement_epoch = 0;
  uint64_t step = 0;
  uint32_t layer = 0;
  std::string target_role; // "expert_shard/3"
  std::vector<uint32_t> expert_ids;
  std::vector<uint32_t> row_map; // for each payload row, its row in the sender's batch
  element_type type = element_type::none;
  std::vector<uint64_t> shape;
  uint64_t payload_bytes = 0;
  uint64_t payload_checksum = 0; // checksum_of(payload)

  friend bool operator==(const frame_header&, const frame_header&) = default;
};

// Beyond these a header is refused, when written and when read.
struct frame_limits {
  size_t header_bytes_max = 1 << 20;
  uint64_t payload_bytes_max = uint64_t{1} << 30;
  size_t name_bytes_max = 256; // node and role
  size_t expert_ids_max = 4096;
  size_t row_map_max = 65536;
  size_t dimensions_max = 4;
};

// Checks the limits and that shape, type and payload_bytes agree for a tensor.
status validate(const frame_header& header, const frame_limits& limits);

// A flat array of Cap'n Proto, a multiple of 8 bytes.
result<std::vector<std::byte>> encode_header(const frame_header& header,
                                             const frame_limits& limits);
// `corrupt` for anything that is no header within the limits; `unsupported` for another protocol
// version.
result<frame_header> decode_header(std::span<const std::byte> bytes, const frame_limits& limits);

// Finds bytes changed by accident, not by an adversary.
uint64_t checksum_of(std::span<const std::byte> payload);

} // namespace troupe::schemas
