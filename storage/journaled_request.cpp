// The bytes of a journal's entry: a version, five numbers, three texts with their lengths.
#include "base/check.hpp"
#include "base/text.hpp"
#include "storage/request_journal.hpp"

#include <cstring>
#include <optional>

namespace troupe::storage {
namespace {

constexpr uint8_t entry_version = 1;
constexpr int64_t seconds_max = int64_t{1} << 40;

void put_number(std::vector<std::byte>& to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void put_text(std::vector<std::byte>& to, std::string_view value, size_t bytes_max) {
  TROUPE_CHECK(value.size() <= bytes_max);
  put_number(to, 4, value.size());
  const auto bytes = std::as_bytes(std::span(value));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// Takes from the front; once something is missing nothing more is found.
class reader {
public:
  explicit reader(std::span<const std::byte> from) : rest_(from) {}

  uint64_t number(size_t bytes) {
    uint64_t value = 0;
    if (!enough(bytes)) return 0;
    for (size_t i = 0; i < bytes; ++i) value |= std::to_integer<uint64_t>(rest_[i]) << (8 * i);
    rest_ = rest_.subspan(bytes);
    return value;
  }
  std::string text(size_t bytes_max) {
    const uint64_t length = number(4);
    if (length > bytes_max) good_ = false;
    if (!enough(length)) return {};
    std::string out(reinterpret_cast<const char*>(rest_.data()), length);
    rest_ = rest_.subspan(length);
    return out;
  }
  int64_t seconds() {
    const uint64_t value = number(8);
    if (value > static_cast<uint64_t>(seconds_max)) good_ = false;
    return good_ ? static_cast<int64_t>(value) : 0;
  }
  bool all_taken() const { return good_ && rest_.empty(); }

private:
  bool enough(uint64_t bytes) {
    good_ = good_ && bytes <= rest_.size();
    return good_;
  }

  std::span<const std::byte> rest_;
  bool good_ = true;
};

} // namespace

std::vector<std::byte> encode(const journaled_request& entry) {
  TROUPE_CHECK(entry.created >= 0 && entry.created <= seconds_max && entry.expires >= 0 &&
               entry.expires <= seconds_max);
  std::vector<std::byte> out;
  out.reserve(64 + entry.response_id.size() + entry.path.size() + entry.body.size());
  put_number(out, 1, entry_version);
  put_number(out, 8, entry.nonce);
  put_number(out, 8, entry.owner);
  put_number(out, 8, static_cast<uint64_t>(entry.created));
  put_number(out, 8, static_cast<uint64_t>(entry.expires));
  put_text(out, entry.response_id, response_id_bytes_max);
  put_text(out, entry.path, request_path_bytes_max);
  put_text(out, entry.body, request_body_bytes_max);
  return out;
}

result<journaled_request> decode_request(std::span<const std::byte> bytes) {
  reader from(bytes);
  const uint64_t version = from.number(1);
  if (version != entry_version)
    return fail(
        bytes.empty() ? status_code::corrupt : status_code::unsupported,
        text("a journaled request of version ", version, "; this program reads ", entry_version));
  journaled_request out;
  out.nonce = from.number(8);
  out.owner = from.number(8);
  out.created = from.seconds();
  out.expires = from.seconds();
  out.response_id = from.text(response_id_bytes_max);
  out.path = from.text(request_path_bytes_max);
  out.body = from.text(request_body_bytes_max);
  if (!from.all_taken() || out.response_id.empty() || !out.path.starts_with('/'))
    return fail(status_code::corrupt,
                text("a journaled request of ", bytes.size(), " bytes is damaged"));
  return out;
}

} // namespace troupe::storage
