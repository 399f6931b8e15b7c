// Copies between the struct and Cap'n Proto, and keeps kj's exceptions in.
#include "schemas/frame_codec.hpp"

#include "base/text.hpp"
#include "schemas/frame.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>
#include <new>
#include <optional>

namespace troupe::schemas {
namespace {

static_assert(static_cast<uint16_t>(wire::FrameKind::TENSOR) ==
              static_cast<uint16_t>(frame_kind::tensor));
static_assert(static_cast<uint16_t>(wire::ElementType::U8) ==
              static_cast<uint16_t>(element_type::u8));

constexpr size_t word_bytes = sizeof(capnp::word);
static_assert(word_bytes == 8);

status broken(std::string why) {
  return status(status_code::corrupt, text("frame header: ", why));
}

std::string text_of(const kj::Exception& error) {
  return error.getDescription().cStr();
}

template <class Number, class List>
void copy_to(const std::vector<Number>& from, List to) {
  for (size_t i = 0; i < from.size(); ++i) to.set(static_cast<unsigned>(i), from[i]);
}

template <class Number, class List>
std::vector<Number> copy_from(const List& from) {
  std::vector<Number> out;
  out.reserve(from.size());
  for (const Number value : from) out.push_back(value);
  return out;
}

void write_to(const frame_header& from, wire::FrameHeader::Builder to) {
  to.setProtocolVersion(from.protocol_version);
  to.setKind(static_cast<wire::FrameKind>(from.kind));
  to.setSourceNode(from.source_node);
  to.setSourceIncarnation(from.source_incarnation);
  to.setPlacementEpoch(from.placement_epoch);
  to.setStep(from.step);
  to.setLayer(from.layer);
  to.setTargetRole(from.target_role);
  copy_to(from.expert_ids, to.initExpertIds(static_cast<unsigned>(from.expert_ids.size())));
  copy_to(from.row_map, to.initRowMap(static_cast<unsigned>(from.row_map.size())));
  to.setElementType(static_cast<wire::ElementType>(from.type));
  copy_to(from.shape, to.initShape(static_cast<unsigned>(from.shape.size())));
  to.setPayloadBytes(from.payload_bytes);
  to.setPayloadChecksum(from.payload_checksum);
}

// Sizes are looked at before anything is copied: a few bytes can promise a very long list.
status check_sizes(wire::FrameHeader::Reader from, const frame_limits& limits) {
  if (from.getSourceNode().size() > limits.name_bytes_max ||
      from.getTargetRole().size() > limits.name_bytes_max)
    return broken("a name is too long");
  if (from.getExpertIds().size() > limits.expert_ids_max) return broken("too many experts");
  if (from.getRowMap().size() > limits.row_map_max) return broken("too many rows");
  if (from.getShape().size() > limits.dimensions_max) return broken("too many dimensions");
  return {};
}

frame_header read_from(wire::FrameHeader::Reader from) {
  frame_header out;
  out.protocol_version = from.getProtocolVersion();
  out.kind = static_cast<frame_kind>(from.getKind());
  out.source_node = from.getSourceNode().cStr();
  out.source_incarnation = from.getSourceIncarnation();
  out.placement_epoch = from.getPlacementEpoch();
  out.step = from.getStep();
  out.layer = from.getLayer();
  out.target_role = from.getTargetRole().cStr();
  out.expert_ids = copy_from<uint32_t>(from.getExpertIds());
  out.row_map = copy_from<uint32_t>(from.getRowMap());
  out.type = static_cast<element_type>(from.getElementType());
  out.shape = copy_from<uint64_t>(from.getShape());
  out.payload_bytes = from.getPayloadBytes();
  out.payload_checksum = from.getPayloadChecksum();
  return out;
}

// A zero byte inside a name would be cut off on the other side.
bool is_plain(const std::string& name) {
  return name.find('\0') == std::string::npos;
}

std::optional<uint64_t> tensor_bytes(const frame_header& header) {
  uint64_t total = element_bytes(header.type);
  for (const uint64_t dimension : header.shape)
    if (__builtin_mul_overflow(total, dimension, &total)) return std::nullopt;
  return total;
}

status validate_tensor(const frame_header& header) {
  if (header.type == element_type::none || header.shape.empty())
    return broken("a tensor has no type or no shape");
  const auto bytes = tensor_bytes(header);
  if (!bytes || *bytes != header.payload_bytes)
    return broken(text("a payload of ", header.payload_bytes, " bytes does not fit its shape"));
  if (!header.row_map.empty() && header.row_map.size() != header.shape[0])
    return broken(text("a row map of ", header.row_map.size(), " for ", header.shape[0], " rows"));
  return {};
}

result<frame_header> decode_words(kj::ArrayPtr<const capnp::word> words,
                                  const frame_limits& limits) {
  capnp::ReaderOptions options;
  // Pointers may refer to the same words over and over; this bounds the work they cause.
  options.traversalLimitInWords = limits.header_bytes_max / word_bytes * 2;
  options.nestingLimit = 8;
  capnp::FlatArrayMessageReader reader(words, options);
  if (reader.getEnd() != words.end()) return fail(broken("bytes are left over"));
  const auto root = reader.getRoot<wire::FrameHeader>();
  if (const auto sizes = check_sizes(root, limits); !sizes.ok()) return fail(sizes);
  return read_from(root);
}

} // namespace

size_t element_bytes(element_type type) {
  switch (type) {
    case element_type::f32:
      return 4;
    case element_type::bf16:
    case element_type::f16:
      return 2;
    case element_type::u8:
      return 1;
    case element_type::none:
      return 0;
  }
  return 0;
}

status validate(const frame_header& header, const frame_limits& limits) {
  if (header.protocol_version != frame_protocol_version)
    return status(status_code::unsupported,
                  text("frame header: protocol version ", header.protocol_version,
                       ", this program speaks ", frame_protocol_version));
  if (header.kind > frame_kind::tensor) return broken("unknown kind");
  if (header.type > element_type::u8) return broken("unknown element type");
  if (header.source_node.empty() || header.source_node.size() > limits.name_bytes_max ||
      !is_plain(header.source_node))
    return broken("the source node has no usable name");
  if (header.target_role.size() > limits.name_bytes_max || !is_plain(header.target_role))
    return broken("the target role has no usable name");
  if (header.expert_ids.size() > limits.expert_ids_max) return broken("too many experts");
  if (header.row_map.size() > limits.row_map_max) return broken("too many rows");
  if (header.shape.size() > limits.dimensions_max) return broken("too many dimensions");
  if (header.payload_bytes > limits.payload_bytes_max)
    return broken(text("a payload of ", header.payload_bytes, " bytes, more than ",
                       limits.payload_bytes_max));
  return header.kind == frame_kind::tensor ? validate_tensor(header) : status();
}

result<std::vector<std::byte>> encode_header(const frame_header& header,
                                             const frame_limits& limits) {
  if (const auto valid = validate(header, limits); !valid.ok()) return fail(valid);
  try {
    capnp::MallocMessageBuilder message;
    write_to(header, message.initRoot<wire::FrameHeader>());
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    if (bytes.size() > limits.header_bytes_max)
      return fail(broken(text("has ", bytes.size(), " bytes")));
    std::vector<std::byte> out(bytes.size());
    std::memcpy(out.data(), bytes.begin(), bytes.size());
    return out;
  } catch (const kj::Exception& error) {
    return fail(broken(text_of(error)));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, "frame header: no memory to write it");
  }
}

result<frame_header> decode_header(std::span<const std::byte> bytes, const frame_limits& limits) {
  if (bytes.empty() || bytes.size() % word_bytes != 0 || bytes.size() > limits.header_bytes_max)
    return fail(broken(text("has ", bytes.size(), " bytes")));
  try {
    // Cap'n Proto reads words where they lie, so they must lie on their own boundary.
    auto words = kj::heapArray<capnp::word>(bytes.size() / word_bytes);
    std::memcpy(words.asBytes().begin(), bytes.data(), bytes.size());
    auto header = decode_words(words, limits);
    if (!header) return header;
    if (const auto valid = validate(*header, limits); !valid.ok()) return fail(valid);
    return header;
  } catch (const kj::Exception& error) {
    return fail(broken(text_of(error)));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, "frame header: no memory to read it");
  }
}

uint64_t checksum_of(std::span<const std::byte> payload) {
  constexpr uint64_t prime = 0x100000001b3;
  uint64_t state = 0xcbf29ce484222325 ^ (payload.size() * 0x9e3779b97f4a7c15);
  while (payload.size() >= 8) {
    uint64_t word = 0; // little-endian by hand: both ends must agree
    for (size_t i = 0; i < 8; ++i) word |= std::to_integer<uint64_t>(payload[i]) << (8 * i);
    state = (state ^ word) * prime;
    state ^= state >> 29;
    payload = payload.subspan(8);
  }
  for (const std::byte each : payload) state = (state ^ std::to_integer<uint64_t>(each)) * prime;
  return state ^ (state >> 32);
}

} // namespace troupe::schemas
