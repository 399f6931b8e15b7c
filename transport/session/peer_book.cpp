// Addresses of peers, and the patience with those that do not answer.
#include "transport/session/peer_book.hpp"

#include <algorithm>
#include <utility>

namespace troupe::transport {

void peer_book::configure(const std::string& name, const std::string& address, time_point now) {
  if (name == self_.name && !name.empty()) return;
  auto& entry = peers_[name.empty() ? address : name];
  entry.name = name;
  entry.address = address;
  entry.configured = true;
  entry.next = now;
  entry.known_since = now;
}

bool peer_book::hear(const book_entry& heard, time_point now) {
  const auto& name = heard.identity.name;
  if (name == self_.name || heard.address.empty()) return false;
  const auto known = peers_.find(name);
  if (known == peers_.end()) {
    if (peers_.size() >= options_.peers_max) return false;
    auto& entry = peers_[name];
    entry.name = name;
    entry.address = heard.address;
    entry.incarnation = heard.identity.incarnation;
    entry.next = now;
    entry.known_since = now;
    return true;
  }
  auto& entry = known->second;
  if (heard.identity.incarnation <= entry.incarnation || entry.address == heard.address)
    return false;
  entry.address = heard.address;
  entry.incarnation = heard.identity.incarnation;
  entry.failures = 0;
  entry.next = now;
  return true;
}

void peer_book::resolved(const std::string& key, const std::string& name) {
  const auto nameless = peers_.find(key);
  if (nameless == peers_.end() || !nameless->second.name.empty()) return;
  peer entry = std::move(nameless->second);
  peers_.erase(nameless);
  if (name == self_.name) return; // our own address among the settings
  entry.name = name;
  const auto [known, added] = peers_.emplace(name, std::move(entry));
  if (!added) known->second.configured = true;
}

void peer_book::proven(const node_identity& identity) {
  const auto found = peers_.find(identity.name);
  if (found != peers_.end() && found->second.highest)
    found->second.highest = std::max(*found->second.highest, identity.incarnation);
}

bool peer_book::came_up(const node_identity& identity, const std::string& address, time_point now) {
  auto found = peers_.find(identity.name);
  if (found == peers_.end()) {
    if (peers_.size() >= options_.peers_max) return false;
    found = peers_.emplace(identity.name, peer{}).first;
    found->second.name = identity.name;
  }
  auto& entry = found->second;
  if (!address.empty() && identity.incarnation >= entry.incarnation) entry.address = address;
  entry.incarnation = std::max(entry.incarnation, identity.incarnation);
  entry.highest = std::max(entry.highest.value_or(0), identity.incarnation);
  entry.up = true;
  entry.dialling = false;
  entry.failures = 0;
  entry.known_since = now;
  return true;
}

void peer_book::went_down(const std::string& name, time_point now) {
  const auto found = peers_.find(name);
  if (found == peers_.end()) return;
  auto& entry = found->second;
  entry.up = false;
  entry.dialling = false;
  entry.failures = 0;
  entry.next = now + options_.redial_first;
  entry.known_since = now;
}

void peer_book::failed(const std::string& key, time_point now) {
  const auto found = peers_.find(key);
  if (found == peers_.end()) return;
  auto& entry = found->second;
  entry.dialling = false;
  entry.next = now + backoff(entry.failures++);
}

duration peer_book::backoff(uint32_t failures) const {
  duration out = options_.redial_first;
  for (uint32_t i = 0; i < failures && out < options_.redial_max; ++i) out *= 2;
  return std::min(out, options_.redial_max);
}

std::optional<uint64_t> peer_book::highest(const std::string& name) const {
  const auto found = peers_.find(name);
  return found == peers_.end() ? std::nullopt : found->second.highest;
}

std::vector<peer_book::dial> peer_book::due(time_point now) {
  std::erase_if(peers_, [&](const auto& each) {
    const peer& entry = each.second;
    // The incarnation is forgotten with it: after so long nothing of the old one is under way.
    return !entry.configured && !entry.up && !entry.dialling &&
           now - entry.known_since > options_.forget_after;
  });
  std::vector<dial> out;
  for (auto& [key, entry] : peers_) {
    if (entry.up || entry.dialling || entry.address.empty() || entry.next > now) continue;
    entry.dialling = true;
    out.push_back({key, entry.name, entry.address});
  }
  return out;
}

std::optional<time_point> peer_book::next_due() const {
  std::optional<time_point> out;
  for (const auto& [key, entry] : peers_) {
    if (entry.up || entry.dialling || entry.address.empty()) continue;
    if (!out || entry.next < *out) out = entry.next;
  }
  return out;
}

std::vector<book_entry> peer_book::entries() const {
  std::vector<book_entry> out;
  for (const auto& [key, entry] : peers_)
    if (entry.highest && !entry.address.empty())
      out.push_back({{entry.name, entry.incarnation}, entry.address});
  return out;
}

} // namespace troupe::transport
