// Few entries are open at a time and they end within milliseconds, so all of them are looked at.
#include "dataflow/entry_replication.hpp"

#include <algorithm>
#include <utility>

namespace troupe::dataflow {

entry_replication::outcomes entry_replication::meet(std::vector<uint64_t> incarnations) {
  incarnations_ = std::move(incarnations);
  outcomes out;
  for (auto entry = open_.begin(); entry != open_.end();) {
    auto& awaited = entry->second.awaited;
    std::erase_if(awaited, [this](const auto& peer) {
      return peer.first >= incarnations_.size() || incarnations_[peer.first] != peer.second;
    });
    entry = awaited.empty() ? settle(entry, out) : std::next(entry);
  }
  return out;
}

// The nodes that follow this one in the list: every node's entries go to others.
std::optional<entry_replication::dispatch> entry_replication::begin(uint64_t bytes,
                                                                    time_point now) {
  if (open_.size() >= limits_.open_max || bytes > limits_.bytes_max - bytes_) return {};
  dispatch out;
  open_entry fresh;
  const auto count = static_cast<node_index>(incarnations_.size());
  for (node_index step = 1; step < count && out.to.size() < limits_.peers_max; ++step) {
    const node_index node = (self_ + step) % count;
    if (incarnations_[node] == 0) continue;
    out.to.push_back(node);
    fresh.awaited.emplace(node, incarnations_[node]);
  }
  if (out.to.empty()) return {};
  out.number = ++last_;
  fresh.bytes = bytes;
  fresh.until = now + limits_.patience;
  bytes_ += bytes;
  open_.emplace(out.number, std::move(fresh));
  return out;
}

std::optional<entry_replication::outcome> entry_replication::answered(uint64_t number,
                                                                      node_index by, bool kept,
                                                                      time_point now) {
  const auto entry = open_.find(number);
  if (entry == open_.end() || entry->second.awaited.erase(by) == 0) return {};
  auto& waited = entry->second;
  if (kept && !std::exchange(waited.kept, true))
    waited.until = std::min(waited.until, now + limits_.grace);
  if (!waited.awaited.empty()) return {};
  outcomes out;
  settle(entry, out);
  return out.front();
}

entry_replication::outcomes entry_replication::due(time_point now) {
  outcomes out;
  for (auto entry = open_.begin(); entry != open_.end();)
    entry = entry->second.until <= now ? settle(entry, out) : std::next(entry);
  return out;
}

std::optional<time_point> entry_replication::next_due() const {
  std::optional<time_point> next;
  for (const auto& [number, entry] : open_)
    next = next ? std::min(*next, entry.until) : entry.until;
  return next;
}

entry_replication::outcomes entry_replication::end() {
  outcomes out;
  for (auto entry = open_.begin(); entry != open_.end();) entry = settle(entry, out);
  return out;
}

entry_replication::position entry_replication::settle(position entry, outcomes& out) {
  out.push_back({entry->first, entry->second.kept});
  bytes_ -= entry->second.bytes;
  return open_.erase(entry);
}

} // namespace troupe::dataflow
