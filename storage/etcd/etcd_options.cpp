// The address of an etcd, read strictly: a mistyped one must not become another cluster's.
#include "storage/etcd/etcd_options.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::storage {
namespace {

constexpr size_t endpoints_max = 32;
constexpr size_t prefix_max = 200;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool all_of(std::string_view characters, std::string_view others) {
  return std::all_of(characters.begin(), characters.end(), [others](char c) {
    return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
  });
}

status refused(std::string_view what, std::string_view why) {
  return {status_code::invalid_argument, text("etcd: '", what, "' ", why)};
}

status check_endpoint(std::string_view endpoint) {
  if (endpoint.find('@') != std::string_view::npos)
    return {status_code::invalid_argument,
            "etcd: a user and a password do not belong in the address, where everybody can read "
            "them; there are options for them"};
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return refused(endpoint, "has no port; write HOST:PORT");
  const auto host = endpoint.substr(0, colon);
  const auto port = endpoint.substr(colon + 1);
  uint32_t number = 0;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || stop != port.data() + port.size() || number == 0 || number > 65535)
    return refused(endpoint, "has no port from 1 to 65535");
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']' &&
                         all_of(host.substr(1, host.size() - 2), ":.");
  if (!bracketed && (host.empty() || !all_of(host, ".-_")))
    return refused(endpoint, "has no host; write HOST:PORT, and an IPv6 address in brackets");
  return {};
}

status check_prefix(const std::string& prefix) {
  if (prefix.size() < 2 || prefix.front() != '/' || prefix.back() == '/' ||
      prefix.size() > prefix_max || !all_of(prefix, "/._-") ||
      prefix.find("//") != std::string::npos)
    return refused(prefix, "is no prefix; write /NAME with letters, digits and . _ - /");
  return {};
}

} // namespace

result<etcd_options> parse_etcd_address(std::string_view address) {
  etcd_options out;
  auto rest = address;
  const auto drop = [&rest](std::string_view scheme) {
    if (!rest.starts_with(scheme)) return false;
    rest.remove_prefix(scheme.size());
    return true;
  };
  out.tls = drop("etcds://");
  if (!out.tls && !drop("etcd://"))
    return fail(refused(address, "begins with neither etcd:// nor etcds://"));
  const size_t slash = std::min(rest.find('/'), rest.size());
  if (slash + 1 < rest.size()) out.prefix = rest.substr(slash);
  for (auto list = rest.substr(0, slash);;) {
    const size_t comma = std::min(list.find(','), list.size());
    out.endpoints.emplace_back(list.substr(0, comma));
    if (comma == list.size()) break;
    list.remove_prefix(comma + 1);
  }
  if (auto s = validate(out); !s.ok()) return fail(std::move(s));
  return out;
}

status validate(const etcd_options& options) {
  if (options.endpoints.empty() || options.endpoints.size() > endpoints_max)
    return {status_code::invalid_argument, text("etcd: ", options.endpoints.size(),
                                                " endpoints; there must be 1 to ", endpoints_max)};
  for (const auto& endpoint : options.endpoints) TROUPE_RETURN_IF_ERROR(check_endpoint(endpoint));
  TROUPE_RETURN_IF_ERROR(check_prefix(options.prefix));
  const bool has_files = !options.ca_file.empty() || !options.certificate_file.empty();
  if (!options.tls && has_files)
    return {status_code::invalid_argument,
            "etcd: certificates are for TLS; write the address with etcds://"};
  if (options.certificate_file.empty() != options.key_file.empty())
    return {status_code::invalid_argument,
            "etcd: a client's certificate and its key go together; one of them is missing"};
  if (options.user.empty() && !options.password.empty())
    return {status_code::invalid_argument, "etcd: a password without a user"};
  const duration least = std::chrono::milliseconds(1);
  if (options.attempt_timeout < least || options.call_timeout < options.attempt_timeout)
    return {status_code::invalid_argument,
            "etcd: an attempt must have at least 1 ms, and a call as long as an attempt"};
  return {};
}

} // namespace troupe::storage
