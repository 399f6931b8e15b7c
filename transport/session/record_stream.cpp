// Lengths and seals of the records on a connection.
#include "transport/session/record_stream.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "transport/session/byte_stream.hpp"

#include <limits>

namespace troupe::transport {
namespace {

constexpr size_t length_bytes = 4;

} // namespace

void append_record(std::vector<std::byte>& out, std::span<const std::byte> record) {
  TROUPE_CHECK(record.size() <= std::numeric_limits<uint32_t>::max());
  byte_writer length;
  length.u32(static_cast<uint32_t>(record.size()));
  out.insert(out.end(), length.bytes().begin(), length.bytes().end());
  out.insert(out.end(), record.begin(), record.end());
}

result<std::optional<std::vector<std::byte>>> record_reader::next() {
  const auto rest = std::span<const std::byte>(buffer_).subspan(taken_);
  byte_reader in(rest);
  const uint32_t length = in.u32();
  if (in.good() && length > record_bytes_max_)
    return fail(status_code::corrupt,
                text("a record of ", length, " bytes, more than ", record_bytes_max_));
  const auto record = in.raw(length);
  if (!in.good()) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(taken_));
    taken_ = 0;
    return std::optional<std::vector<std::byte>>();
  }
  taken_ += length_bytes + length;
  return std::optional<std::vector<std::byte>>(std::in_place, record.begin(), record.end());
}

std::vector<std::byte> record_sealer::seal(std::span<const std::byte> plain) {
  std::vector<std::byte> out(plain.size() + aead_tag_bytes);
  key_.seal(next_++, {}, plain, {}, out.data());
  return out;
}

result<std::vector<std::byte>> record_opener::open(std::span<const std::byte> sealed) {
  if (sealed.size() < aead_tag_bytes)
    return fail(status_code::corrupt, text("a sealed record of ", sealed.size(), " bytes"));
  std::vector<std::byte> out(sealed.size() - aead_tag_bytes);
  if (!key_.open(next_, {}, sealed, out.data()))
    return fail(status_code::corrupt, "a control record that was not sealed by the peer");
  ++next_;
  return out;
}

} // namespace troupe::transport
