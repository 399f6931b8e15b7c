// Numbers by hand, so that the bytes are the same on every machine.
#include "storage/sealed_file.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <cstring>

namespace troupe::storage {
namespace {

constexpr size_t magic_bytes = 8;
constexpr size_t checksum_at = 8;
constexpr size_t version_at = 16; // everything from here on is in the checksum
constexpr size_t zero_at = 20;
constexpr size_t length_at = 24;

void put_number(std::byte* to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

uint64_t number_at(const std::byte* from, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= std::to_integer<uint64_t>(from[i]) << (8 * i);
  return value;
}

} // namespace

std::vector<std::byte> seal(const file_kind& kind, std::span<const std::byte> content) {
  std::vector<std::byte> out(seal_bytes + content.size());
  if (!content.empty()) std::memcpy(out.data() + seal_bytes, content.data(), content.size());
  seal_in_place(kind, out);
  return out;
}

void seal_in_place(const file_kind& kind, std::span<std::byte> file) {
  TROUPE_CHECK(kind.magic.size() == magic_bytes && file.size() >= seal_bytes);
  std::memcpy(file.data(), kind.magic.data(), magic_bytes);
  put_number(file.data() + version_at, 4, kind.version);
  put_number(file.data() + zero_at, 4, 0);
  put_number(file.data() + length_at, 8, file.size() - seal_bytes);
  put_number(file.data() + checksum_at, 8, schemas::checksum_of(file.subspan(version_at)));
}

result<std::span<const std::byte>> unseal(const file_kind& kind, std::span<const std::byte> file) {
  if (file.size() < seal_bytes)
    return fail(status_code::corrupt,
                text("is cut off: ", file.size(), " bytes of at least ", seal_bytes));
  if (std::memcmp(file.data(), kind.magic.data(), magic_bytes) != 0)
    return fail(status_code::corrupt, text("does not begin with ", kind.magic));
  const uint64_t length = number_at(file.data() + length_at, 8);
  if (schemas::checksum_of(file.subspan(version_at)) != number_at(file.data() + checksum_at, 8))
    return fail(status_code::corrupt,
                text("the checksum does not match its ", file.size(), " bytes"));
  const uint64_t version = number_at(file.data() + version_at, 4);
  if (version != kind.version)
    return fail(status_code::unsupported,
                text("is of version ", version, ", this program reads ", kind.version));
  if (length != file.size() - seal_bytes || number_at(file.data() + zero_at, 4) != 0)
    return fail(status_code::corrupt,
                text("says it holds ", length, " bytes, and holds ", file.size() - seal_bytes));
  return file.subspan(seal_bytes);
}

} // namespace troupe::storage
