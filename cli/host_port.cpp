// An IPv6 address stands in brackets, since it has colons of its own.
#include "cli/host_port.hpp"

#include "base/text.hpp"
#include "cli/option_value.hpp"

namespace troupe::cli {

result<host_port> parse_host_port(std::string_view from) {
  const auto wrong = [](std::string_view why) {
    return fail(status_code::invalid_argument, std::string(why));
  };
  host_port out;
  const size_t colon = from.rfind(':');
  if (colon == std::string_view::npos) return wrong("it must be HOST:PORT");
  std::string_view host = from.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return wrong("an IPv6 address must stand in brackets: [ADDRESS]:PORT");
  if (host.empty()) return wrong("it must be HOST:PORT, and the host is missing");
  if (host.find_first_of("[] \t/@") != std::string_view::npos)
    return wrong("it must be HOST:PORT, and the host is none");
  if (!parse_value(from.substr(colon + 1), out.port).ok())
    return wrong("it must be HOST:PORT with a port from 0 to 65535");
  out.host = host;
  return out;
}

std::string to_string(const host_port& from) {
  const bool brackets = from.host.find(':') != std::string::npos;
  return text(brackets ? "[" : "", from.host, brackets ? "]" : "", ":", from.port);
}

} // namespace troupe::cli
