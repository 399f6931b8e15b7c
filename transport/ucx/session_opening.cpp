// Sessions from nothing to accepted: dialling, accepting, the handshake, and which of two sessions
// stays.
#include "transport/ucx/endpoint_core.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "transport/session/rivalry.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace troupe::transport {
namespace {

constexpr size_t strangers_max = 64; // connections that have not proven anything yet
constexpr size_t askers_max = 16;    // sessions that fetch the description
// Of the receiver beyond what senders keep to.
constexpr uint64_t window_slack = 128;
constexpr uint64_t held_bytes_slack = uint64_t{64} << 20;

} // namespace

session& ucx_endpoint_core::add_session(stage first) {
  auto made = std::make_unique<session>();
  do {
    made->id = random_number() & ~watch_worker;
  } while (made->id < session_first || sessions_.count(made->id) != 0);
  made->at = first;
  made->deadline =
      now_ + (first <= stage::connecting ? options_.connect_timeout : options_.handshake_timeout);
  const uint64_t id = made->id;
  return *sessions_.emplace(id, std::move(made)).first->second;
}

void ucx_endpoint_core::accept_strangers() {
  for (size_t i = 0; i < strangers_max; ++i) {
    file_handle socket(::accept4(listening_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        // Until the next beat: the event would come again and again.
        accepting_ = false;
        ::epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, listening_.fd(), nullptr);
        log::warn("transport: no file descriptors left for new peers");
      }
      return;
    }
    session* oldest = nullptr;
    size_t strangers = 0;
    for (auto& [id, each] : sessions_) {
      if (each->initiated || each->at != stage::shaking || each->doomed) continue;
      ++strangers;
      if (oldest == nullptr || each->deadline < oldest->deadline) oldest = each.get();
    }
    // The oldest has had the most time; a peer needs milliseconds.
    if (strangers >= strangers_max) doom(*oldest, "too many strangers");
    session& s = add_session(stage::shaking);
    s.control.emplace(std::move(socket));
    s.shake.emplace(handshake::respond(shake_options(s.id)));
    update_watch(s);
  }
}

void ucx_endpoint_core::dial(const peer_book::dial& to) {
  session& s = add_session(stage::looking_up);
  s.initiated = true;
  s.dialled = to;
  if (const auto numeric = parse_numeric(to.address)) return connect(s, *numeric);
  if (!lookups_.ask(s.id, to.address)) doom(s, "too many name look-ups at a time");
}

void ucx_endpoint_core::take_lookups() {
  for (const auto& answer : lookups_.take()) {
    session* s = find(answer.session);
    if (s == nullptr || s->at != stage::looking_up || s->doomed) continue;
    if (answer.address) {
      connect(*s, *answer.address);
    } else {
      doom(*s, answer.address.error().why());
    }
  }
}

void ucx_endpoint_core::connect(session& s, const socket_address& to) {
  auto made = connection::dial(to);
  if (!made) return doom(s, made.error().why());
  s.control.emplace(std::move(*made));
  s.at = stage::connecting;
  update_watch(s);
}

void ucx_endpoint_core::update_watch(session& s) {
  const uint32_t wanted =
      (s.control->connecting() ? 0u : EPOLLIN) | (s.control->wants_to_write() ? EPOLLOUT : 0u);
  if (wanted == s.watched) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = s.id;
  const int how = s.watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(epoll_.fd(), how, s.control->fd(), &event) != 0)
    return doom(s, "epoll takes no more descriptors");
  s.watched = wanted;
}

void ucx_endpoint_core::session_event(session& s, uint32_t events) {
  if (s.doomed || !s.control) return;
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    const bool was_connecting = s.control->connecting();
    if (const auto written = s.control->on_writable(); !written.ok()) return doom(s, written.why());
    if (was_connecting) {
      s.at = stage::shaking;
      s.deadline = now_ + options_.handshake_timeout;
      s.shake.emplace(handshake::initiate(shake_options(s.id)));
      if (const auto sent = s.control->send(s.shake->opening()); !sent.ok())
        return doom(s, sent.why());
    }
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    const auto read = s.control->on_readable();
    take_records(s);
    if (!read.ok() && !s.doomed) doom(s, read.why());
  }
  if (s.at == stage::describing && !s.doomed) send_description(s);
  if (!s.doomed) update_watch(s);
}

void ucx_endpoint_core::take_records(session& s) {
  while (!s.doomed) {
    auto record = s.control->next();
    if (!record) {
      if (s.at == stage::shaking && !s.initiated) count(&endpoint_counters::refused_handshakes);
      return doom(s, record.error().why());
    }
    if (!record->has_value()) return;
    if (s.at == stage::shaking) {
      take_handshake(s, **record);
      continue;
    }
    s.silent_beats = 0;
    const auto decoded = decode_control_record(**record);
    if (!decoded) return doom(s, decoded.error().why());
    take_control(s, *decoded);
  }
}

void ucx_endpoint_core::take_handshake(session& s, std::span<const std::byte> record) {
  auto answer = s.shake->receive(record);
  if (!answer) {
    count(&endpoint_counters::refused_handshakes);
    return doom(s, text("handshake refused: ", answer.error().why()));
  }
  if (s.shake->done()) {
    s.peer = s.shake->peer();
    if (s.initiated && !check_responder(s)) return;
  }
  if (!answer->empty())
    if (const auto sent = s.control->send(*answer); !sent.ok()) return doom(s, sent.why());
  if (!s.shake->done()) return;
  session_keys keys = s.shake->take_keys();
  s.control->secure(std::move(keys.control_out), std::move(keys.control_in));
  if (options_.encrypt) {
    s.seal = std::make_shared<const aead_key>(std::move(keys.frames_out));
    s.open = std::make_shared<const aead_key>(std::move(keys.frames_in));
  }
  s.gate.emplace(s.open.get(),
                 frame_gate<frame_buffer>::limits{
                     .window = lane_options{}.window + window_slack,
                     .frame_bytes_max = options_.bounds.frame_bytes_max,
                     .held_bytes_max = lane_options{}.posted_bytes_max + held_bytes_slack});
  const bool asks = s.shake->purpose() == session_purpose::description;
  s.shake.reset();
  if (s.initiated) {
    s.at = stage::awaiting;
  } else if (asks) {
    s.at = stage::describing;
    const auto askers = std::count_if(sessions_.begin(), sessions_.end(), [](const auto& each) {
      return each.second->at == stage::describing;
    });
    if (static_cast<size_t>(askers) > askers_max) return doom(s, "too many ask at a time");
    auto known = book_.entries();
    known.push_back({options_.self, options_.advertise});
    tell_book(s, known);
    send_description(s);
  } else {
    take_request(s);
  }
}

// The node that we dialled has proven that it belongs to the cluster; do we want it?
bool ucx_endpoint_core::check_responder(session& s) {
  const auto& peer = s.peer.identity;
  book_.resolved(s.dialled.key, peer.name);
  if (s.dialled.name.empty()) s.dialled.key = s.dialled.name = peer.name;
  if (peer.name == options_.self.name) {
    doom(s, "a node with our own name is there");
    return false;
  }
  if (s.dialled.name != peer.name) {
    doom(s, text("node ", peer.name, " is there and not ", s.dialled.name));
    return false;
  }
  if (book_.highest(peer.name).value_or(0) > peer.incarnation) {
    doom(s, text("incarnation ", peer.incarnation, " of it is there, which is over"));
    return false;
  }
  const session* other = accepted_session(peer.name);
  if (other != nullptr && other->peer.identity.incarnation >= peer.incarnation) {
    doom(s, "it was quicker to dial us");
    return false;
  }
  return true;
}

// A peer asks for a session.
void ucx_endpoint_core::take_request(session& s) {
  rivalry facts;
  facts.self = options_.self;
  facts.peer = s.peer.identity;
  facts.highest = book_.highest(s.name());
  for (const auto& [id, each] : sessions_) {
    if (each.get() == &s || each->doomed || each->name() != s.name()) continue;
    if (each->accepted()) {
      facts.up = each->peer.identity.incarnation;
      facts.up_by_us = each->initiated;
    } else if (each->at == stage::awaiting) {
      facts.closing_by_us = each->peer.identity.incarnation;
    }
  }
  const auto verdict = judge(facts);
  if (verdict == session_verdict::accepted) return accept_session(s);
  if (verdict != session_verdict::duplicate) count(&endpoint_counters::refused_handshakes);
  say(s, verdict_record{verdict});
  doom(s, text("refused as ", to_string(verdict)));
}

void ucx_endpoint_core::accept_session(session& s) {
  book_.proven(s.peer.identity); // a lower incarnation must not come between
  for (auto& [id, each] : sessions_) {
    if (each.get() == &s || each->doomed) continue;
    if (each->name() == s.name() || (each->initiated && each->dialled.key == s.name()))
      doom(*each, "replaced by a session that the peer asked for");
  }
  close_doomed(); // peer_down of the old one comes before peer_up of this one
  say(s, verdict_record{session_verdict::accepted});
  if (!s.doomed) open_data_path(s);
}

// Both want the session.

} // namespace troupe::transport
