// The bounds of send(), and sealing on the caller's thread.
#include "transport/ucx/lanes.hpp"

#include "base/text.hpp"
#include "transport/session/frame_gate.hpp"

#include <algorithm>
#include <utility>

namespace troupe::transport {

// Gives the frame its numbers and its place.
lanes::frame_parts lanes::enqueue(lane& to, uint64_t bytes, size_t header_bytes) const {
  const bool whole = bytes <= options_.piece_bytes || bytes > options_.whole_over;
  frame_parts out;
  uint64_t left = bytes;
  do {
    auto part = std::make_shared<pending>();
    part->bytes = whole ? bytes : std::min(left, options_.piece_bytes);
    const bool last = part->bytes == left;
    part->head = {to.target.session, to.next_sequence++,
                  static_cast<uint32_t>(last ? header_bytes : left),
                  whole  ? frame_kind::data
                  : last ? frame_kind::last_piece
                         : frame_kind::piece};
    left -= part->bytes;
    to.queue.push_back(part);
    out.push_back(std::move(part));
  } while (left > 0);
  to.bytes += bytes;
  ++to.frames;
  return out;
}

status lanes::send(const std::string& peer, std::span<const std::byte> header,
                   std::span<const std::byte> payload) {
  const uint64_t bytes = header.size() + payload.size();
  frame_parts parts;
  std::shared_ptr<const aead_key> key;
  {
    std::lock_guard lock(mutex_);
    const auto found = lanes_.find(peer);
    if (found == lanes_.end())
      return status(status_code::unavailable, text("peer ", peer, " is not up"));
    lane& to = found->second;
    const uint64_t bytes_max = std::min(options_.bounds.frame_bytes_max, to.target.frame_bytes_max);
    if (bytes > bytes_max || bytes > UINT32_MAX)
      return status(status_code::invalid_argument,
                    text("a frame of ", bytes, " bytes, more than ", bytes_max));
    if (to.frames >= options_.bounds.queued_frames_max ||
        to.bytes + bytes > options_.bounds.queued_bytes_max) {
      ++counters_.refused_exhausted;
      return status(status_code::exhausted, text("no credit to peer ", peer, ": ", to.frames,
                                                 " frames of ", to.bytes, " bytes wait"));
    }
    parts = enqueue(to, bytes, header.size());
    key = to.target.key;
    ++counters_.frames_sent;
    counters_.bytes_sent += bytes;
  }
  // One piece is on its way while the next is being sealed.
  for (const auto& part : parts) {
    const auto from_payload = payload.first(std::min<size_t>(payload.size(), part->bytes));
    const auto from_header = header.first(part->bytes - from_payload.size());
    payload = payload.subspan(from_payload.size());
    header = header.subspan(from_header.size());
    part->body = pool_.take(part->bytes + seal_bytes(key != nullptr));
    seal_frame(key.get(), part->head, from_header, from_payload, part->body.data());
    part->sealed.store(true, std::memory_order_release);
    work_.store(true);
    wake_();
  }
  return {};
}

size_t lanes::credit(const std::string& peer) const {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  if (found == lanes_.end() || found->second.bytes >= options_.bounds.queued_bytes_max) return 0;
  return options_.bounds.queued_frames_max -
         std::min(found->second.frames, options_.bounds.queued_frames_max);
}

std::vector<node_identity> lanes::peers() const {
  std::lock_guard lock(mutex_);
  std::vector<node_identity> out;
  for (const auto& [name, each] : lanes_) out.push_back(each.target.peer);
  return out;
}

endpoint_counters lanes::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

void lanes::open(lane_target target) {
  std::lock_guard lock(mutex_);
  lane made;
  made.next_sequence = made.posted_end = target.first_sequence;
  std::string name = target.peer.name;
  made.target = std::move(target);
  lanes_.insert_or_assign(std::move(name), std::move(made));
}

void lanes::close(const std::string& peer) {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  if (found == lanes_.end()) return;
  counters_.dropped_peer_lost += found->second.frames;
  lanes_.erase(found);
}

std::optional<lanes::frame> lanes::next(const std::string& peer) {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  if (found == lanes_.end() || found->second.queue.empty()) return std::nullopt;
  lane& from = found->second;
  const auto& first = from.queue.front();
  if (!first->sealed.load(std::memory_order_acquire)) return std::nullopt;
  if (!from.posted.empty() &&
      (first->head.sequence - from.posted.begin()->first >= options_.window ||
       from.posted_offset - from.posted.begin()->second.begin + first->bytes >
           options_.posted_bytes_max))
    return std::nullopt;
  std::optional<frame> out(std::in_place, frame{first->head, std::move(first->body)});
  from.posted.emplace(out->head.sequence,
                      lane::span{from.posted_offset, first->bytes, first->ends_frame()});
  from.posted_offset += first->bytes;
  from.posted_end = out->head.sequence + 1;
  from.queue.pop_front();
  return out;
}

void lanes::taken(const std::string& peer, uint64_t sequence, bool taken) {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  if (found == lanes_.end()) return; // counted when the lane was closed
  lane& from = found->second;
  const auto at = from.posted.find(sequence);
  if (at == from.posted.end()) return;
  from.bytes -= at->second.bytes;
  if (at->second.ends_frame) {
    --from.frames;
    if (!taken) ++counters_.dropped_peer_lost;
  }
  from.posted.erase(at);
  if (!from.queue.empty()) work_.store(true);
}

uint64_t lanes::posted_end(const std::string& peer) const {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  return found == lanes_.end() ? 0 : found->second.posted_end;
}

} // namespace troupe::transport
