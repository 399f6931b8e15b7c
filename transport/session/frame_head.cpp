// The bytes of a frame's head.
#include "transport/session/frame_head.hpp"

#include "base/text.hpp"
#include "transport/session/byte_stream.hpp"

namespace troupe::transport {

std::array<std::byte, frame_head_bytes> encode(const frame_head& from) {
  std::array<std::byte, frame_head_bytes> out{};
  const auto put = [&out](size_t at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) out[at + i] = static_cast<std::byte>(value >> (8 * i));
  };
  put(0, from.session, 8);
  put(8, from.sequence, 8);
  put(16, from.header_bytes, 4);
  put(20, static_cast<uint8_t>(from.kind), 1);
  return out;
}

result<frame_head> decode_frame_head(std::span<const std::byte> bytes) {
  if (bytes.size() != frame_head_bytes)
    return fail(status_code::corrupt, text("a frame head of ", bytes.size(), " bytes"));
  byte_reader in(bytes);
  frame_head out;
  out.session = in.u64();
  out.sequence = in.u64();
  out.header_bytes = in.u32();
  const uint8_t kind = in.u8();
  if (kind > static_cast<uint8_t>(frame_kind::last_piece))
    return fail(status_code::corrupt, text("a frame of kind ", kind));
  for (const std::byte unused : in.rest())
    if (unused != std::byte{0}) return fail(status_code::corrupt, "a frame head with stray bits");
  out.kind = static_cast<frame_kind>(kind);
  return out;
}

} // namespace troupe::transport
