// Names, numbers and devices, over getaddrinfo and getifaddrs.
#include "transport/ucx/socket_address.hpp"

#include "base/text.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::transport {
namespace {

constexpr int listen_backlog = 128;

struct info_deleter {
  void operator()(addrinfo* info) const { freeaddrinfo(info); }
};
struct interfaces_deleter {
  void operator()(ifaddrs* list) const { freeifaddrs(list); }
};

const sockaddr_in& v4(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_in&>(storage);
}
const sockaddr_in6& v6(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr_in6&>(storage);
}

result<socket_address> look_up(std::string_view host_and_port, int flags) {
  const size_t colon = host_and_port.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return fail(status_code::invalid_argument,
                text("'", host_and_port, "' is no address: write host:port"));
  std::string_view host_part = host_and_port.substr(0, colon);
  if (host_part.size() > 2 && host_part.front() == '[' && host_part.back() == ']')
    host_part = host_part.substr(1, host_part.size() - 2);
  const std::string host(host_part), port(host_and_port.substr(colon + 1));
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, info_deleter> owner(found);
  if (error != 0)
    return fail(status_code::not_found,
                text("address '", host_and_port, "': ", std::string_view(gai_strerror(error))));
  socket_address out;
  std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
  out.bytes = found->ai_addrlen;
  return out;
}

std::string_view reason(int error) {
  return strerrordesc_np(error);
}

} // namespace

uint16_t socket_address::port() const {
  return ntohs(storage.ss_family == AF_INET6 ? v6(storage).sin6_port : v4(storage).sin_port);
}

bool socket_address::is_loopback() const {
  if (storage.ss_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&v6(storage).sin6_addr);
  return (ntohl(v4(storage).sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

bool socket_address::is_any() const {
  if (storage.ss_family == AF_INET6) return IN6_IS_ADDR_UNSPECIFIED(&v6(storage).sin6_addr);
  return v4(storage).sin_addr.s_addr == htonl(INADDR_ANY);
}

std::string to_string(const socket_address& address) {
  char host[INET6_ADDRSTRLEN] = "";
  const bool six = address.storage.ss_family == AF_INET6;
  const void* number = six ? static_cast<const void*>(&v6(address.storage).sin6_addr)
                           : static_cast<const void*>(&v4(address.storage).sin_addr);
  inet_ntop(address.storage.ss_family, number, host, sizeof host);
  return six ? text("[", std::string_view(host), "]:", address.port())
             : text(std::string_view(host), ":", address.port());
}

result<socket_address> parse_numeric(std::string_view host_and_port) {
  return look_up(host_and_port, AI_NUMERICHOST);
}

result<socket_address> resolve(std::string_view host_and_port) {
  return look_up(host_and_port, 0);
}

std::string device_of(const socket_address& address) {
  if (address.is_any()) return "";
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return "";
  const std::unique_ptr<ifaddrs, interfaces_deleter> owner(first);
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != address.storage.ss_family)
      continue;
    sockaddr_storage own{};
    const bool six = address.storage.ss_family == AF_INET6;
    std::memcpy(&own, each->ifa_addr, six ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    const bool same =
        six ? std::memcmp(&v6(own).sin6_addr, &v6(address.storage).sin6_addr, sizeof(in6_addr)) == 0
            : v4(own).sin_addr.s_addr == v4(address.storage).sin_addr.s_addr;
    // All of 127.0.0.0/8 is the loopback device's, though it lists one address of it.
    const bool loopback = address.is_loopback() && (each->ifa_flags & IFF_LOOPBACK) != 0;
    if (same || loopback) return each->ifa_name;
  }
  return "";
}

file_handle& file_handle::operator=(file_handle&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void file_handle::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

result<file_handle> listen_on(const socket_address& address) {
  file_handle out(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!out)
    return fail(status_code::unavailable, text("no socket to listen with: ", reason(errno)));
  const int on = 1;
  // A node that starts again takes its port at once.
  setsockopt(out.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(out.fd(), address.raw(), address.bytes) != 0 ||
      ::listen(out.fd(), listen_backlog) != 0)
    return fail(status_code::unavailable,
                text("cannot listen on ", to_string(address), ": ", reason(errno)));
  return out;
}

result<socket_address> local_address(int fd) {
  socket_address out;
  out.bytes = sizeof out.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.bytes) != 0)
    return fail(status_code::unavailable, text("a socket without an address: ", reason(errno)));
  return out;
}

void ring(int fd) {
  const uint64_t one = 1;
  static_cast<void>(!::write(fd, &one, sizeof one)); // full means that it rings already
}

} // namespace troupe::transport
