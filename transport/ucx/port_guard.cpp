// A socket filter that drops everything, on listening sockets that are not ours to close.
#include "transport/ucx/port_guard.hpp"

#include "transport/ucx/socket_address.hpp"

#include <dirent.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace troupe::transport {
namespace {

struct folder_deleter {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

std::optional<uint16_t> listening_port_of(int fd) {
  int listens = 0;
  socklen_t bytes = sizeof listens;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) != 0 || listens == 0)
    return std::nullopt;
  const auto at = local_address(fd);
  if (!at || (at->storage.ss_family != AF_INET && at->storage.ss_family != AF_INET6))
    return std::nullopt;
  return at->port();
}

// A worker's address holds the ports of its interfaces, in network order.
bool names(std::span<const std::byte> worker_address, uint16_t port) {
  const std::array<std::byte, 2> wanted = {static_cast<std::byte>(port >> 8),
                                           static_cast<std::byte>(port)};
  return std::search(worker_address.begin(), worker_address.end(), wanted.begin(), wanted.end()) !=
         worker_address.end();
}

} // namespace

std::vector<listening_port> listening_ports() {
  std::vector<listening_port> out;
  const std::unique_ptr<DIR, folder_deleter> folder(::opendir("/proc/self/fd"));
  if (!folder) return out;
  while (const dirent* entry = ::readdir(folder.get())) {
    int fd = -1;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, fd).ptr != end) continue;
    if (const auto port = listening_port_of(fd)) out.push_back({fd, *port});
  }
  return out;
}

port_guard::port_guard(const std::vector<listening_port>& before,
                       std::span<const std::byte> worker_address) {
  for (const auto& each : listening_ports())
    if (std::find(before.begin(), before.end(), each) == before.end() &&
        names(worker_address, each.port))
      ports_.push_back(each);
}

bool port_guard::shut() const {
  sock_filter drop{};
  drop.code = BPF_RET | BPF_K;
  drop.k = 0; // bytes to keep
  sock_fprog program{};
  program.len = 1;
  program.filter = &drop;
  bool all = true;
  for (const auto& each : ports_) {
    // The number may belong to another socket by now.
    if (listening_port_of(each.fd) != each.port) continue;
    all &= ::setsockopt(each.fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
  }
  return all;
}

} // namespace troupe::transport
