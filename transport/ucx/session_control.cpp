// The data path of an accepted session, its control records, and what is said to the peer.
#include "transport/ucx/endpoint_core.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <sys/epoll.h>

namespace troupe::transport {
namespace {

constexpr size_t description_unsent_max = 256 << 10;

} // namespace

void ucx_endpoint_core::open_data_path(session& s) {
  s.at = stage::proving;
  s.deadline = now_ + options_.handshake_timeout;
  auto worker = ucx_worker::open(*context_, s.id, pool_, *this);
  if (!worker) return doom(s, worker.error().why());
  s.worker = std::move(*worker);
  s.worker_asleep = true; // until it has a link
  if (s.worker->address().size() > worker_address_bytes_max)
    return doom(s, "the address of the UCX worker is too long");
  say(s, data_path_record{s.worker->address()});
}

// The peer has opened its side: show that frames get there.
void ucx_endpoint_core::take_control(session& s, const data_path_record& record) {
  if (s.at != stage::proving || s.probed) return doom(s, "a data path that nobody asked for");
  if (const auto connected = s.worker->connect(record.worker_address); !connected.ok())
    return doom(s, connected.why());
  if (const auto watched = watch(s.worker->event_fd(), s.id | watch_worker, EPOLLIN); !watched.ok())
    return doom(s, watched.why());
  const frame_head head{s.peer.session, 0, 0, frame_kind::probe};
  frame_buffer body = pool_.take(seal_bytes(s.seal != nullptr));
  seal_frame(s.seal.get(), head, {}, {}, body.data());
  s.probed = true;
  send_frame(s, {head, std::move(body)});
  drain(s);
}

void ucx_endpoint_core::become_up(session& s) {
  if (!book_.came_up(s.peer.identity, s.peer.address, now_))
    return doom(s, "the address book is full");
  s.at = stage::up;
  s.up_at = now_;
  s.silent_beats = s.stalled_beats = 0;
  s.frames_taken = 1; // the probe
  last_trouble_.erase(s.name());
  count(&endpoint_counters::sessions_opened);
  lanes_.open({.peer = s.peer.identity,
               .session = s.peer.session,
               .frame_bytes_max = s.peer.frame_bytes_max,
               .key = s.seal,
               .first_sequence = 1});
  publish_book();
  tell_book(s, book_.entries());
  const auto entries = book_.entries();
  const auto own = std::find_if(entries.begin(), entries.end(), [&s](const book_entry& each) {
    return each.identity.name == s.name();
  });
  if (own != entries.end())
    for (auto& [id, each] : sessions_)
      if (each->at == stage::up && each.get() != &s && !each->doomed) tell_book(*each, {*own});
  log::info(text("transport: peer ", s.name(), " incarnation ", s.peer.identity.incarnation,
                 " is up at ", s.peer.address));
  listener_.peer_up(s.peer.identity);
}

void ucx_endpoint_core::send_description(session& s) {
  const auto& all = options_.description;
  while (!s.doomed && s.control->unsent() < description_unsent_max) {
    if (s.described == all.size() && (s.described > 0 || s.frames_taken > 0)) {
      if (s.control->unsent() == 0)
        s.deadline = std::min(s.deadline, now_ + std::chrono::milliseconds(200));
      return; // the asker closes
    }
    const size_t bytes = std::min(description_part_bytes_max, all.size() - s.described);
    const auto from = all.begin() + static_cast<ptrdiff_t>(s.described);
    s.described += bytes;
    s.frames_taken = 1; // an empty description is sent once, too
    s.deadline = now_ + options_.handshake_timeout;
    say(s,
        description_record{all.size() - s.described, {from, from + static_cast<ptrdiff_t>(bytes)}});
  }
}

void ucx_endpoint_core::take_control(session& s, const control_record& record) {
  if (const auto* verdict = std::get_if<verdict_record>(&record)) return take_control(s, *verdict);
  if (const auto* book = std::get_if<book_record>(&record)) return take_control(s, *book);
  if (const auto* path = std::get_if<data_path_record>(&record)) return take_control(s, *path);
  if (const auto* heartbeat = std::get_if<heartbeat_record>(&record)) {
    if (heartbeat->frames_taken != s.frames_taken) s.stalled_beats = 0;
    s.frames_taken = heartbeat->frames_taken;
    return;
  }
  if (std::holds_alternative<farewell_record>(record)) return doom(s, "it stopped in good order");
  doom(s, "a control record that nobody asked for");
}

void ucx_endpoint_core::take_control(session& s, const verdict_record& record) {
  if (s.at != stage::awaiting) return doom(s, "a verdict that nobody asked for");
  if (record.verdict == session_verdict::stale) listener_.outdated();
  if (record.verdict != session_verdict::accepted)
    return doom(s, text("it refuses us: ", to_string(record.verdict)));
  if (accepted_session(s.name()) != nullptr) return doom(s, "it was quicker to dial us");
  open_data_path(s);
}

void ucx_endpoint_core::take_control(session& s, const book_record& record) {
  if (!s.accepted()) return doom(s, "an address book before the session");
  for (const auto& entry : record.entries) book_.hear(entry, now_);
}

void ucx_endpoint_core::say(session& s, const control_record& record) {
  if (const auto sent = s.control->send(encode(record)); !sent.ok()) return doom(s, sent.why());
  update_watch(s);
}

void ucx_endpoint_core::tell_book(session& s, const std::vector<book_entry>& entries) {
  for (size_t from = 0; from < entries.size() && !s.doomed; from += book_entries_max) {
    const auto first = entries.begin() + static_cast<ptrdiff_t>(from);
    const size_t count = std::min(book_entries_max, entries.size() - from);
    say(s, book_record{{first, first + static_cast<ptrdiff_t>(count)}});
  }
}

void ucx_endpoint_core::publish_book() {
  auto entries = book_.entries();
  std::lock_guard lock(shared_mutex_);
  shared_book_ = std::move(entries);
}

} // namespace troupe::transport
