// Sessions that end: why, what is told, and what has to wait until UCX has let go.
#include "transport/ucx/endpoint_core.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <sys/epoll.h>

namespace troupe::transport {
namespace {

constexpr size_t troubles_max = 1024; // remembered, so as not to log them again

} // namespace

void ucx_endpoint_core::doom(session& s, std::string why) {
  if (s.doomed) return;
  s.doomed = std::move(why);
  doomed_.push_back(s.id);
}

void ucx_endpoint_core::close_doomed() {
  while (!doomed_.empty()) {
    const uint64_t id = doomed_.back();
    doomed_.pop_back();
    close(id);
  }
}

// The worker lives until UCX has let go of its frames.
void ucx_endpoint_core::retire(session& s) {
  if (!s.worker) return;
  ::epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, s.worker->event_fd(), nullptr);
  s.worker->close();
  retired_.push_back({std::move(s.worker), now_ + goodbye_max});
}

void ucx_endpoint_core::close(uint64_t id) {
  const auto node = sessions_.extract(id);
  if (node.empty()) return;
  session& s = *node.mapped();
  retire(s);
  if (s.initiated && s.at != stage::up) {
    book_.failed(s.dialled.key, now_);
    if (last_trouble_.size() >= troubles_max && !last_trouble_.contains(s.dialled.key))
      last_trouble_.clear(); // what still fails is said once more
    auto& last = last_trouble_[s.dialled.key];
    if (last != *s.doomed)
      log::info(text("transport: no session with ", s.dialled.address,
                     s.dialled.name.empty() ? "" : " (" + s.dialled.name + ")", ": ", *s.doomed));
    last = *s.doomed;
  }
  s.control.reset(); // epoll forgets it
  if (s.at != stage::up) return;
  log::info(text("transport: peer ", s.name(), " incarnation ", s.peer.identity.incarnation,
                 " is down: ", *s.doomed));
  lanes_.close(s.name());
  book_.went_down(s.name(), now_);
  listener_.peer_down(s.peer.identity);
}

} // namespace troupe::transport
