// Numbers by hand, so that the bytes are the same on every machine.
#include "storage/ingest_segment.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"
#include "schemas/learning_codec.hpp"

#include <charconv>
#include <cstring>

namespace troupe::storage {
namespace {

constexpr std::string_view segment_magic = "TRPINGST";
constexpr uint32_t segment_version = 1;
constexpr size_t head_bytes = 32;
constexpr size_t head_checksum_at = 16;
constexpr size_t head_first_at = 24;
constexpr uint32_t frame_magic = 0x4D524654; // "TFRM"
constexpr size_t frame_checksum_at = 8;
constexpr size_t frame_first_at = 16;
constexpr std::string_view segment_prefix = "ingest-";
constexpr size_t segment_digits = 20;

void put_number(std::byte* to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

uint64_t number_at(std::span<const std::byte> from, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= std::to_integer<uint64_t>(from[at + i]) << (8 * i);
  return value;
}

// The bytes of the frame at the beginning of `rest`; 0: there is no whole one.
size_t whole_frame_bytes(std::span<const std::byte> rest) {
  if (rest.size() < ingest_frame_head_bytes || number_at(rest, 0, 4) != frame_magic) return 0;
  const uint64_t length = number_at(rest, 4, 4);
  if (length > rest.size() - ingest_frame_head_bytes) return 0;
  const size_t bytes = ingest_frame_head_bytes + length;
  const auto guarded = rest.subspan(frame_first_at, bytes - frame_first_at);
  return schemas::checksum_of(guarded) == number_at(rest, frame_checksum_at, 8) ? bytes : 0;
}

// Looks at no more beginnings than chance would ever put into a segment.
bool has_whole_frame(std::span<const std::byte> bytes) {
  int looks_left = 64;
  for (size_t at = 0; at + ingest_frame_head_bytes <= bytes.size() && looks_left > 0; ++at) {
    if (number_at(bytes, at, 4) != frame_magic) continue;
    if (whole_frame_bytes(bytes.subspan(at)) != 0) return true;
    --looks_left;
  }
  return false;
}

status broken(std::string why) {
  return status(status_code::corrupt, std::move(why));
}

} // namespace

std::string ingest_segment_name(uint64_t first) {
  const std::string digits = std::to_string(first);
  return text(segment_prefix, std::string(segment_digits - digits.size(), '0'), digits);
}

std::optional<uint64_t> ingest_segment_first(std::string_view name) {
  if (name.size() != segment_prefix.size() + segment_digits || !name.starts_with(segment_prefix))
    return std::nullopt;
  name.remove_prefix(segment_prefix.size());
  uint64_t first = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), first);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return first;
}

result<std::vector<std::byte>> encode_segment_head(
    uint64_t first, const std::vector<schemas::ingest_client>& clients) {
  const auto content = schemas::encode_ingest_clients(clients);
  if (!content) return fail(content.error());
  std::vector<std::byte> out(head_bytes);
  out.insert(out.end(), content->begin(), content->end());
  std::memcpy(out.data(), segment_magic.data(), segment_magic.size());
  put_number(out.data() + 8, 4, segment_version);
  put_number(out.data() + 12, 4, content->size());
  put_number(out.data() + head_first_at, 8, first);
  put_number(out.data() + head_checksum_at, 8,
             schemas::checksum_of(std::span(out).subspan(head_first_at)));
  return out;
}

result<ingest_segment_head> read_segment_head(std::span<const std::byte> segment) {
  const auto cut_off = [&] {
    return fail(status_code::unavailable,
                text("is cut off within its head: ", segment.size(), " bytes"));
  };
  if (segment.size() < head_bytes) return cut_off();
  if (std::memcmp(segment.data(), segment_magic.data(), segment_magic.size()) != 0)
    return fail(broken(text("does not begin with ", segment_magic)));
  const uint64_t version = number_at(segment, 8, 4);
  if (version != segment_version)
    return fail(status_code::unsupported,
                text("is of version ", version, ", this program reads ", segment_version));
  const uint64_t length = number_at(segment, 12, 4);
  if (length > segment.size() - head_bytes) return cut_off();
  const auto guarded = segment.subspan(head_first_at, head_bytes - head_first_at + length);
  if (schemas::checksum_of(guarded) != number_at(segment, head_checksum_at, 8))
    return fail(broken("the checksum of its head does not match"));
  auto clients = schemas::decode_ingest_clients(segment.subspan(head_bytes, length));
  if (!clients) return fail(clients.error());
  return ingest_segment_head{.first = number_at(segment, head_first_at, 8),
                             .clients = std::move(*clients),
                             .bytes = head_bytes + length};
}

std::vector<std::byte> encode_frame(uint64_t first,
                                    std::span<const std::vector<std::byte>> batches) {
  std::vector<std::byte> out(ingest_frame_head_bytes);
  for (const auto& batch : batches) {
    out.resize(out.size() + 4);
    put_number(out.data() + out.size() - 4, 4, batch.size());
    out.insert(out.end(), batch.begin(), batch.end());
  }
  put_number(out.data(), 4, frame_magic);
  put_number(out.data() + 4, 4, out.size() - ingest_frame_head_bytes);
  put_number(out.data() + frame_first_at, 8, first);
  put_number(out.data() + frame_checksum_at, 8,
             schemas::checksum_of(std::span(out).subspan(frame_first_at)));
  return out;
}

uint64_t ingest_frame::documents() const {
  uint64_t out = 0;
  for (const auto& batch : batches) out += batch.documents.size();
  return out;
}

result<std::optional<ingest_frame>> read_frame(std::span<const std::byte> rest, uint64_t first,
                                               const schemas::ingest_limits& limits) {
  const size_t bytes = whole_frame_bytes(rest);
  if (bytes == 0) {
    if (rest.empty() || !has_whole_frame(rest.subspan(1))) return std::nullopt;
    return fail(broken(text("the frame of document ", first, " is damaged")));
  }
  ingest_frame out{.first = number_at(rest, frame_first_at, 8), .batches = {}, .bytes = bytes};
  if (out.first != first)
    return fail(broken(text("document ", out.first, " comes where ", first, " should")));
  auto content = rest.subspan(ingest_frame_head_bytes, bytes - ingest_frame_head_bytes);
  while (!content.empty()) {
    const uint64_t length = content.size() < 4 ? UINT64_MAX : number_at(content, 0, 4);
    if (length > content.size() - 4)
      return fail(broken(text("the frame of document ", first, " holds half a batch")));
    auto batch = schemas::decode_ingest_batch(content.subspan(4, length), limits);
    if (!batch) return fail(batch.error().within(text("the frame of document ", first)));
    out.batches.push_back(std::move(*batch));
    content = content.subspan(4 + length);
  }
  if (out.batches.empty())
    return fail(broken(text("the frame of document ", first, " holds nothing")));
  return out;
}

} // namespace troupe::storage
