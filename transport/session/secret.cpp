// Keeps secrets out of freed memory.
#include "transport/session/secret.hpp"

#include "transport/session/crypto.hpp"

#include <openssl/crypto.h>

namespace troupe::transport {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

} // namespace

secret& secret::operator=(const secret& other) {
  if (this != &other) *this = secret(other);
  return *this;
}

secret& secret::operator=(secret&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
    other.bytes_.clear();
  }
  return *this;
}

void secret::wipe() {
  if (!bytes_.empty()) OPENSSL_cleanse(bytes_.data(), bytes_.size());
  bytes_.clear();
}

std::string secret::hex() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes_.size() * 2);
  for (const std::byte each : bytes_) {
    out += digits[std::to_integer<unsigned>(each) >> 4];
    out += digits[std::to_integer<unsigned>(each) & 15];
  }
  return out;
}

secret secret::random(size_t bytes) {
  secret out;
  out.bytes_.resize(bytes);
  fill_random(out.bytes_);
  return out;
}

result<secret> secret::from_hex(std::string_view digits) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!digits.empty() && blank(digits.front())) digits.remove_prefix(1);
  while (!digits.empty() && blank(digits.back())) digits.remove_suffix(1);
  if (digits.empty() || digits.size() % 2 != 0)
    return fail(status_code::invalid_argument,
                "the key is not an even number of hexadecimal digits");
  secret out;
  out.bytes_.reserve(digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = digit(digits[i]), low = digit(digits[i + 1]);
    if (high < 0 || low < 0)
      return fail(status_code::invalid_argument,
                  "the key has characters that are no hexadecimal digits");
    out.bytes_.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return out;
}

} // namespace troupe::transport
