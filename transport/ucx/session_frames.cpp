// Frames both ways: out of the lanes, and in through the gate to the listener.
#include "transport/ucx/endpoint_core.hpp"

#include "base/text.hpp"

namespace troupe::transport {
void ucx_endpoint_core::send_frame(session& s, lanes::frame frame) {
  s.worker_asleep = false;
  s.worker_busy = now_;
  const bool large = frame.body.size() > options_.rendezvous_over;
  s.worker->send(frame.head.sequence, encode(frame.head), std::move(frame.body), large);
}

void ucx_endpoint_core::post_frames() {
  if (std::exchange(posting_, true)) return;
  for (auto& [id, each] : sessions_) {
    session& s = *each;
    if (s.at != stage::up || s.doomed) continue;
    while (auto frame = lanes_.next(s.name())) send_frame(s, std::move(*frame));
  }
  posting_ = false;
}

void ucx_endpoint_core::count_bad(session* s, frame_verdict verdict) {
  switch (verdict) {
    case frame_verdict::fresh:
      return;
    case frame_verdict::forged:
      count(&endpoint_counters::dropped_forged);
      break;
    case frame_verdict::replayed:
      count(&endpoint_counters::dropped_replayed);
      break;
    case frame_verdict::truncated:
      count(&endpoint_counters::dropped_truncated);
      break;
    case frame_verdict::oversized:
      count(&endpoint_counters::dropped_oversized);
      break;
  }
  if (s != nullptr && ++s->bad_frames > options_.bad_frames_max && !s->doomed)
    doom(*s, "too many bad frames");
}

// The session to which a frame with this head can belong; null when it was counted and is to be
// dropped. `tag` is the session whose worker got it.
session* ucx_endpoint_core::session_of(uint64_t tag, const result<frame_head>& head) {
  session* s = find(tag);
  if (s == nullptr || s->doomed) {
    count(&endpoint_counters::dropped_stale);
    return nullptr;
  }
  if (head && head->session == tag) return s;
  count_bad(s, head ? frame_verdict::forged : frame_verdict::truncated);
  return nullptr;
}

void ucx_endpoint_core::frame_arrived(uint64_t tag, std::span<const std::byte> head_bytes,
                                      std::span<const std::byte> body) {
  const auto head = decode_frame_head(head_bytes);
  session* s = session_of(tag, head);
  if (s == nullptr) return;
  if (const auto admitted = s->gate->admit(*head, body.size()); admitted != frame_verdict::fresh)
    return count_bad(s, admitted);
  if (is_piece(head->kind) && s->at == stage::up && s->gate->is_next(*head))
    return piece_arrived(*s, *head, body);
  frame_buffer own = pool_.take(body.size());
  if (const auto verdict = s->gate->open(*head, body, own.data()); verdict != frame_verdict::fresh)
    return count_bad(s, verdict);
  frame_opened(*s, *head, std::move(own));
}

// Straight to its place: pieces come in order, unless something that is fetched is late.
void ucx_endpoint_core::piece_arrived(session& s, const frame_head& head,
                                      std::span<const std::byte> body) {
  const size_t plain = body.size() - seal_bytes(s.open != nullptr);
  std::byte* const to = room_for(s, head, plain);
  if (to == nullptr) return;
  if (const auto verdict = s.gate->open(head, body, to); verdict != frame_verdict::fresh)
    return count_bad(&s, verdict);
  s.silent_beats = 0;
  s.gate->pass();
  piece_placed(s, head, plain);
}

std::byte* ucx_endpoint_core::room_for(session& s, const frame_head& head, size_t plain) {
  std::byte* const to = s.assembly.room(head, plain, options_.bounds.frame_bytes_max,
                                        [this](size_t bytes) { return pool_.take(bytes); });
  if (to == nullptr) {
    count_bad(&s, frame_verdict::forged);
    doom(s, "pieces that make no frame");
  }
  return to;
}

void ucx_endpoint_core::piece_placed(session& s, const frame_head& head, size_t plain) {
  if (!s.assembly.put(head, plain)) return;
  const frame_buffer whole = s.assembly.take();
  hand_on(s, whole.bytes(), head.header_bytes);
}

void ucx_endpoint_core::hand_on(session& s, std::span<const std::byte> all, size_t header_bytes) {
  const size_t payload_bytes = all.size() - header_bytes;
  {
    std::lock_guard lock(shared_mutex_);
    ++shared_counters_.frames_received;
    shared_counters_.bytes_received += all.size();
  }
  listener_.frame_received(s.peer.identity, all.subspan(payload_bytes), all.first(payload_bytes));
}

bool ucx_endpoint_core::frame_offered(uint64_t tag, std::span<const std::byte> head_bytes,
                                      size_t body_bytes) {
  const auto head = decode_frame_head(head_bytes);
  session* s = session_of(tag, head);
  if (s == nullptr) return false;
  if (const auto verdict = s->gate->admit(*head, body_bytes); verdict != frame_verdict::fresh) {
    count_bad(s, verdict);
    return false;
  }
  s->gate->expect(*head, body_bytes);
  return true;
}

void ucx_endpoint_core::frame_fetched(uint64_t tag, std::span<const std::byte> head_bytes,
                                      frame_buffer body) {
  const auto head = decode_frame_head(head_bytes);
  session* s = session_of(tag, head);
  if (s == nullptr) return;
  s->gate->came(*head);
  if (const auto verdict = s->gate->open(*head, body.bytes(), body.data());
      verdict != frame_verdict::fresh)
    return count_bad(s, verdict);
  frame_opened(*s, *head, std::move(body));
}

void ucx_endpoint_core::frame_opened(session& s, const frame_head& head, frame_buffer body) {
  s.silent_beats = 0;
  s.gate->insert(head, std::move(body));
  drain(s);
}

// Hands on what is in order. Before the session is up, only the probe is.
void ucx_endpoint_core::drain(session& s) {
  while (s.accepted() && s.probed && !s.doomed) {
    auto frame = s.gate->take();
    if (!frame) return;
    if (frame->head.kind == frame_kind::probe) {
      if (frame->head.sequence != 0) return doom(s, "a probe in the middle of a session");
      become_up(s);
      continue;
    }
    if (s.at != stage::up) return doom(s, "a session that does not begin with a probe");
    const auto all = std::span<const std::byte>(frame->body.bytes())
                         .first(frame->body.size() - seal_bytes(s.open != nullptr));
    if (is_piece(frame->head.kind)) {
      std::byte* const to = room_for(s, frame->head, all.size());
      if (to == nullptr) return;
      std::copy(all.begin(), all.end(), to);
      piece_placed(s, frame->head, all.size());
      continue;
    }
    if (s.assembly.under_way()) return doom(s, "a frame in the middle of the pieces of another");
    hand_on(s, all, frame->head.header_bytes);
  }
}

void ucx_endpoint_core::frame_sent(uint64_t tag, uint64_t sequence, bool taken) {
  session* s = find(tag);
  if (s == nullptr) return;
  if (s->at == stage::up) lanes_.taken(s->name(), sequence, taken);
  if (!taken && !s->doomed) doom(*s, "a frame could not be sent");
}

void ucx_endpoint_core::link_failed(uint64_t tag, std::string why) {
  if (session* s = find(tag)) doom(*s, text("UCX: ", why));
}

} // namespace troupe::transport
