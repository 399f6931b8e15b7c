// A node in a process of its own, for tests that kill it:
//   transport_peer node NAME INCARNATION KEY_HEX SEED flood|quiet   until it is killed
//   transport_peer environment ARGUMENT...                          prints what it started with
#include "transport/ucx/ucx_endpoint.hpp"
#include "transport/ucx/ucx_environment.hpp"

#include <poll.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using troupe::transport::endpoint_listener;
using troupe::transport::node_identity;
using troupe::transport::secret;
using troupe::transport::ucx_options;

class counting_listener final : public endpoint_listener {
public:
  void frame_received(const node_identity&, std::span<const std::byte>,
                      std::span<const std::byte>) override {}
  void peer_up(const node_identity&) override { up = true; }
  void peer_down(const node_identity&) override { up = false; }
  std::atomic<bool> up = false;
};

int run_node(char** arguments) {
  ucx_options options;
  options.self = {arguments[0], std::strtoull(arguments[1], nullptr, 10)};
  options.key = secret::from_hex(arguments[2]).value();
  options.peers = {{"", arguments[3]}};
  const bool flood = std::string_view(arguments[4]) == "flood";
  counting_listener listener;
  auto endpoint = troupe::transport::open_ucx_endpoint(options, listener);
  if (!endpoint) {
    std::fprintf(stderr, "%s\n", endpoint.error().why().c_str());
    return 1;
  }
  const std::vector<std::byte> large(3 << 20), small(500);
  for (uint64_t i = 0;; ++i) {
    if (!flood || !listener.up) {
      ::poll(nullptr, 0, 1);
      continue;
    }
    for (const auto& peer : (*endpoint)->peers())
      if (!(*endpoint)->send(peer.name, {}, i % 8 == 0 ? large : small).ok())
        std::this_thread::yield();
  }
}

int print_environment(char** arguments) {
  const bool started_anew = std::getenv("TROUPE_UCX_ENVIRONMENT") != nullptr;
  const auto prepared = troupe::transport::prepare_ucx_environment(arguments);
  std::printf("%s %s\n", prepared.ok() ? "ready" : prepared.why().c_str(),
              started_anew ? "again" : "first");
  for (const auto& each : troupe::transport::ucx_environment()) {
    const char* value = std::getenv(each.name);
    std::printf("%s=%s\n", each.name, value == nullptr ? "(unset)" : value);
  }
  for (char** each = arguments; *each != nullptr; ++each) std::printf("argument %s\n", *each);
  std::printf("marker %s\n", std::getenv("TROUPE_UCX_ENVIRONMENT") == nullptr ? "gone" : "there");
  return 0;
}

} // namespace

int main(int count, char** arguments) {
  const std::string_view mode = count > 1 ? arguments[1] : "";
  if (mode == "node" && count == 7) return run_node(arguments + 2);
  if (mode == "environment") return print_environment(arguments);
  std::fprintf(stderr, "usage: see the source\n");
  return 2;
}
