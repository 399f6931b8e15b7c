// The bytes of a hello.
#include "transport/session/hello.hpp"

#include "base/text.hpp"
#include "transport/session/byte_stream.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::transport {

bool valid_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= name_bytes_max &&
         std::all_of(name.begin(), name.end(), plain);
}

bool valid_address(std::string_view address) {
  if (address.size() > address_bytes_max) return false;
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto port = address.substr(colon + 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535)
    return false;
  const auto host = address.substr(0, colon);
  return std::all_of(host.begin(), host.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::vector<std::byte> encode(const hello& from) {
  byte_writer out;
  out.sized(from.identity.name);
  out.u64(from.identity.incarnation);
  out.sized(from.address);
  out.u64(from.session);
  out.u64(from.frame_bytes_max);
  return out.take();
}

result<hello> decode_hello(std::span<const std::byte> bytes) {
  byte_reader in(bytes);
  hello out;
  out.identity.name = in.sized_text();
  out.identity.incarnation = in.u64();
  out.address = in.sized_text();
  out.session = in.u64();
  out.frame_bytes_max = in.u64();
  if (!in.at_end()) return fail(status_code::corrupt, "a hello of the wrong length");
  if (!out.identity.name.empty() && !valid_name(out.identity.name))
    return fail(status_code::corrupt, "a hello with a name that is none");
  if (!out.address.empty() && !valid_address(out.address))
    return fail(status_code::corrupt, "a hello with an address that is none");
  return out;
}

} // namespace troupe::transport
