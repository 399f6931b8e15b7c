// What serve decides before it opens anything.
#include "cli/serve.hpp"

#include "base/text.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace troupe::cli {

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

bool is_address(const std::string& host) {
  in6_addr bytes = {}; // room for either family
  return host == "localhost" || ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &bytes) == 1;
}

std::vector<std::string> keys_of_file(std::string_view content) {
  std::vector<std::string> out;
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    constexpr std::string_view blank = " \t\r";
    while (!line.empty() && blank.find(line.front()) != std::string_view::npos)
      line.remove_prefix(1);
    while (!line.empty() && blank.find(line.back()) != std::string_view::npos)
      line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#')) out.emplace_back(line);
    content.remove_prefix(std::min(end + 1, content.size()));
  }
  return out;
}

std::string url_of(std::string_view address, uint16_t port) {
  std::string host(address);
  if (address == "0.0.0.0") host = "127.0.0.1";
  if (address == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = text('[', host, ']');
  return text("http://", host, ":", port);
}

std::string key_header_hint(const serve_settings& settings, bool key_from_environment) {
  if (!settings.api_key.empty())
    return text(" -H \"Authorization: Bearer ",
                key_from_environment ? "$TROUPE_API_KEY" : "YOUR_KEY", "\"");
  if (!settings.api_key_file.empty()) return " -H \"Authorization: Bearer YOUR_KEY\"";
  return "";
}

} // namespace troupe::cli
