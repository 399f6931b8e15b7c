// The bounds of send(), and sealing on the caller's thread.
#include "transport/ucx/lanes.hpp"

#include "base/text.hpp"
#include "transport/session/frame_gate.hpp"

#include <algorithm>
#include <utility>

namespace troupe::transport {

status lanes::send(const std::string& peer, std::span<const std::byte> header,
                   std::span<const std::byte> payload) {
  const uint64_t bytes = header.size() + payload.size();
  auto frame = std::make_shared<pending>();
  std::shared_ptr<const aead_key> key;
  {
    std::lock_guard lock(mutex_);
    const auto found = lanes_.find(peer);
    if (found == lanes_.end())
      return status(status_code::unavailable, text("peer ", peer, " is not up"));
    lane& to = found->second;
    const uint64_t bytes_max = std::min(options_.bounds.frame_bytes_max, to.target.frame_bytes_max);
    if (bytes > bytes_max || header.size() > UINT32_MAX)
      return status(status_code::invalid_argument,
                    text("a frame of ", bytes, " bytes, more than ", bytes_max));
    if (to.frames() >= options_.bounds.queued_frames_max ||
        to.bytes + bytes > options_.bounds.queued_bytes_max) {
      ++counters_.refused_exhausted;
      return status(status_code::exhausted, text("no credit to peer ", peer, ": ", to.frames(),
                                                 " frames of ", to.bytes, " bytes wait"));
    }
    frame->head = {to.target.session, to.next_sequence++, static_cast<uint32_t>(header.size()),
                   frame_kind::data};
    frame->bytes = bytes;
    key = to.target.key;
    to.bytes += bytes;
    to.queue.push_back(frame);
    ++counters_.frames_sent;
    counters_.bytes_sent += bytes;
  }
  frame->body = pool_.take(bytes + seal_bytes(key != nullptr));
  seal_frame(key.get(), frame->head, header, payload, frame->body.data());
  frame->sealed.store(true, std::memory_order_release);
  work_.store(true);
  wake_();
  return {};
}

size_t lanes::credit(const std::string& peer) const {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  if (found == lanes_.end() || found->second.bytes >= options_.bounds.queued_bytes_max) return 0;
  return options_.bounds.queued_frames_max -
         std::min(found->second.frames(), options_.bounds.queued_frames_max);
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
  counters_.dropped_peer_lost += found->second.frames();
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
  from.posted.emplace(out->head.sequence, lane::span{from.posted_offset, first->bytes});
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
  from.posted.erase(at);
  if (!taken) ++counters_.dropped_peer_lost;
  if (!from.queue.empty()) work_.store(true);
}

uint64_t lanes::posted_end(const std::string& peer) const {
  std::lock_guard lock(mutex_);
  const auto found = lanes_.find(peer);
  return found == lanes_.end() ? 0 : found->second.posted_end;
}

} // namespace troupe::transport
