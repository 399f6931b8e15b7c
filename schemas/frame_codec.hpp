// The bytes of a frame's header. Reading takes bytes from strangers: whatever they are, the answer
// is a header within the limits that passes validate(), or a status.
//
// Bytes: 8 of checksum_of(the rest), lowest first; then one message of Cap'n Proto in its usual
// framing (frame.capnp). A multiple of 8. Equal headers have equal bytes.
#pragma once

#include "base/status.hpp"
#include "schemas/checksum.hpp"
#include "schemas/frame.hpp"
#include "schemas/frame_limits.hpp"
#include "schemas/message_rules.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe::schemas {

inline constexpr uint32_t frame_protocol_version = 2;

// `corrupt` when validate() refuses it or it exceeds header_bytes_max.
result<std::vector<std::byte>> encode_frame(const frame_header& header, const frame_limits& limits);

// `corrupt` for anything that is no header within the limits; `unsupported` for another protocol
// version or a body of a kind this program does not know. The bytes may lie anywhere; on a boundary
// of 8 they are not copied.
result<frame_header> decode_frame(std::span<const std::byte> bytes, const frame_limits& limits);

// What a voter keeps. The bytes have no checksum of their own: the file they go to has one.
result<std::vector<std::byte>> encode_acceptor_state(const acceptor_state& state,
                                                     const frame_limits& limits = {});
result<acceptor_state> decode_acceptor_state(std::span<const std::byte> bytes,
                                             const frame_limits& limits = {});

// What is kept outside the nodes, likewise.
result<std::vector<std::byte>> encode_cluster_state(const cluster_state& state,
                                                    const frame_limits& limits = {});
result<cluster_state> decode_cluster_state(std::span<const std::byte> bytes,
                                           const frame_limits& limits = {});

} // namespace troupe::schemas
