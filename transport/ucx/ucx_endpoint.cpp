// Set-up of the endpoint, and what other threads ask of it.
#include "transport/ucx/ucx_endpoint.hpp"

#include "base/text.hpp"
#include "transport/ucx/endpoint_core.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace troupe::transport {

status ucx_endpoint_core::open() {
  epoll_ = file_handle(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = file_handle(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_ || !wake_) return status(status_code::exhausted, "no file descriptors left");
  file_handle for_lookups(::fcntl(wake_.fd(), F_DUPFD_CLOEXEC, 0));
  if (!for_lookups) return status(status_code::exhausted, "no file descriptors left");
  lookups_.ring_at(std::move(for_lookups));
  TROUPE_RETURN_IF_ERROR(listen());
  auto context =
      ucx_context::open({.transports = options_.transports, .devices = options_.devices});
  if (!context) return context.error();
  context_ = std::move(*context);
  TROUPE_RETURN_IF_ERROR(watch(wake_.fd(), watch_wake, EPOLLIN));
  TROUPE_RETURN_IF_ERROR(watch(listening_.fd(), watch_listen, EPOLLIN));
  now_ = clock_.now();
  next_beat_ = now_ + options_.heartbeat;
  for (const auto& peer : options_.peers) book_.configure(peer.name, peer.address, now_);

  // Signals are for other threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

status ucx_endpoint_core::listen() {
  const auto wanted = resolve(options_.listen);
  if (!wanted) return wanted.error().within("listen");
  auto socket = listen_on(*wanted);
  if (!socket) return socket.error();
  listening_ = std::move(*socket);
  const auto got = local_address(listening_.fd());
  if (!got) return got.error();
  listen_address_ = to_string(*got);
  if (options_.advertise.empty()) {
    if (got->is_any())
      return status(status_code::invalid_argument,
                    text("listening on ", listen_address_,
                         " needs an address to advertise: others cannot dial that one"));
    options_.advertise = listen_address_;
  }
  // UCX opens ports of its own, on every device it may use.
  if (options_.devices.empty()) options_.devices = device_of(*got);
  return {};
}

status ucx_endpoint_core::watch(int fd, uint64_t what, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = what;
  if (::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event) != 0)
    return status(status_code::exhausted, "epoll takes no more descriptors");
  return {};
}

endpoint_counters ucx_endpoint_core::counters() const {
  endpoint_counters out = lanes_.counters();
  std::lock_guard lock(shared_mutex_);
  out.frames_received = shared_counters_.frames_received;
  out.bytes_received = shared_counters_.bytes_received;
  out.dropped_stale = shared_counters_.dropped_stale;
  out.dropped_forged = shared_counters_.dropped_forged;
  out.dropped_replayed = shared_counters_.dropped_replayed;
  out.dropped_truncated = shared_counters_.dropped_truncated;
  out.dropped_oversized = shared_counters_.dropped_oversized;
  out.refused_handshakes = shared_counters_.refused_handshakes;
  out.sessions_opened = shared_counters_.sessions_opened;
  return out;
}

namespace {

status validate(const ucx_options& options) {
  const auto wrong = [](std::string why) {
    return status(status_code::invalid_argument, std::move(why));
  };
  if (!valid_name(options.self.name))
    return wrong(text("'", options.self.name, "' is no name of a node: 1 to ", name_bytes_max,
                      " letters, digits, '.', '_' or '-'"));
  if (options.key.size() < cluster_key_bytes_min)
    return wrong(text("the cluster key has ", options.key.size(), " bytes, fewer than ",
                      cluster_key_bytes_min));
  if (!options.advertise.empty() && !valid_address(options.advertise))
    return wrong(text("'", options.advertise, "' is no address to advertise: write host:port"));
  for (const auto& peer : options.peers) {
    if (!peer.name.empty() && !valid_name(peer.name))
      return wrong(text("'", peer.name, "' is no name of a peer"));
    if (!valid_address(peer.address))
      return wrong(text("'", peer.address, "' is no address of a peer: write host:port"));
  }
  if (options.description.size() > description_bytes_max)
    return wrong(text("a description of ", options.description.size(), " bytes, more than ",
                      description_bytes_max));
  if (options.bounds.frame_bytes_max == 0 || options.bounds.frame_bytes_max > uint64_t{1} << 31)
    return wrong("the largest frame must have between one byte and 2 GiB");
  if (options.bounds.queued_frames_max == 0) return wrong("a queue of no frames");
  if (options.heartbeat <= duration::zero() || options.silence_max < options.heartbeat)
    return wrong("the longest silence must be longer than a heartbeat");
  return {};
}

} // namespace

result<std::unique_ptr<ucx_endpoint>> open_ucx_endpoint(ucx_options options,
                                                        endpoint_listener& listener) {
  if (auto valid = validate(options); !valid.ok()) return fail(std::move(valid));
  // A frame that may be sent must fit in an empty queue.
  options.bounds.queued_bytes_max =
      std::max(options.bounds.queued_bytes_max, options.bounds.frame_bytes_max);
  auto made = std::make_unique<ucx_endpoint_core>(std::move(options), listener);
  if (auto opened = made->open(); !opened.ok()) return fail(std::move(opened));
  return std::unique_ptr<ucx_endpoint>(std::move(made));
}

} // namespace troupe::transport
