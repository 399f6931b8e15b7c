// Faults of links, F20 to F33, and bits that flip on the way (F42).
#include "simulations/faults/injector.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::simulations {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

void cut(link_quality& link) {
  link.cut = true;
}
void hold(link_quality& link) {
  link.held = true;
}

} // namespace

std::vector<std::pair<uint32_t, uint32_t>> injector::links_of(const slot& s) const {
  const uint32_t nodes = surface_.nodes();
  if (nodes < 2) return {};
  const uint32_t peer = peer_of(s);
  std::vector<std::pair<uint32_t, uint32_t>> out;
  switch (static_cast<link_scope>(setting(s, "scope"))) {
    case link_scope::one_way:
      return {{s.node, peer}};
    case link_scope::two_way:
      return {{s.node, peer}, {peer, s.node}};
    case link_scope::node:
      for (uint32_t other = 0; other < nodes; ++other) {
        if (other == s.node) continue;
        out.emplace_back(s.node, other);
        out.emplace_back(other, s.node);
      }
      return out;
    case link_scope::cluster:
      break;
  }
  for (uint32_t from = 0; from < nodes; ++from)
    for (uint32_t to = 0; to < nodes; ++to)
      if (from != to) out.emplace_back(from, to);
  return out;
}

injector::outcome injector::on_links(slot& s, const std::function<void(link_quality&)>& change) {
  const auto links = links_of(s);
  if (links.empty()) return outcome::no_effect;
  // A link that is bad for good may keep its nodes from doing their part.
  std::vector<uint32_t> touched;
  for (const auto& [from, to] : links) touched.push_back(from == s.node ? to : from);
  touched.push_back(s.node);
  if (spares(s, touched)) return outcome::spared;
  for (const auto& [from, to] : links) s.in_force.push_back(effects_.on_link(from, to, change));
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::on_split(slot& s, bool both_ways) {
  auto mask = static_cast<uint64_t>(setting(s, "mask"));
  if (mask == 0) mask = uint64_t{1} << (s.node % 64); // alone
  std::vector<uint32_t> inside, outside;
  for (uint32_t node = 0; node < surface_.nodes(); ++node)
    (((mask >> (node % 64)) & 1) != 0 ? inside : outside).push_back(node);
  if (inside.empty() || outside.empty()) return outcome::no_effect;
  if (spares(s, inside.size() <= outside.size() ? inside : outside)) return outcome::spared;
  for (const uint32_t deaf : inside)
    for (const uint32_t other : outside) {
      s.in_force.push_back(effects_.on_link(other, deaf, cut));
      if (both_ways) s.in_force.push_back(effects_.on_link(deaf, other, cut));
    }
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::hold_links(slot& s) {
  return setting(s, "swizzle") == 0 ? on_links(s, hold) : swizzle(s);
}

// One node after the other goes silent in the first half, and they come back in another order in
// the second half (FoundationDB's swizzle-clogging).
injector::outcome injector::swizzle(slot& s) {
  if (s.what->lasts == duration{}) return on_links(s, hold);
  std::vector<uint32_t> chosen;
  for (uint32_t node = 0; node < surface_.nodes(); ++node)
    if (draw(s, node) % 2 == 0) chosen.push_back(node);
  if (chosen.empty()) chosen.push_back(s.node);
  const auto half = static_cast<uint64_t>(s.what->lasts.count() / 2);
  for (const uint32_t node : chosen) {
    const auto from = duration(static_cast<int64_t>(draw(s, 100 + node) % (half + 1)));
    const auto until = duration(static_cast<int64_t>(half + draw(s, 200 + node) % (half + 1)));
    later(s, from, [this, &s, node, from, until] {
      std::vector<effects::id> held;
      for (uint32_t other = 0; other < surface_.nodes(); ++other) {
        if (other == node) continue;
        held.push_back(effects_.on_link(node, other, hold));
        held.push_back(effects_.on_link(other, node, hold));
      }
      later(s, until - from, [this, held] {
        for (const auto effect : held) effects_.drop(effect);
      });
    });
  }
  return outcome::done;
}

injector::outcome injector::flap(slot& s) {
  if (surface_.nodes() < 2) return outcome::no_effect;
  if (spares(s, {s.node, peer_of(s)})) return outcome::spared;
  const bool for_good = s.what->lasts == duration{};
  flap_down(s, for_good ? time_point::max() : surface_.base().now() + s.what->lasts);
  return outcome::done;
}

void injector::flap_down(slot& s, time_point until) {
  const uint32_t peer = peer_of(s);
  s.in_force = {effects_.on_link(s.node, peer, cut), effects_.on_link(peer, s.node, cut)};
  later(s, milliseconds(setting(s, "down_ms")), [this, &s, until] {
    finish(s);
    const duration up = milliseconds(setting(s, "up_ms"));
    if (surface_.base().now() + up < until)
      later(s, up, [this, &s, until] { flap_down(s, until); });
  });
}

injector::outcome injector::reset(slot& s) {
  if (surface_.nodes() < 2) return outcome::no_effect;
  const uint32_t peer = peer_of(s);
  if (setting(s, "half_open") != 0) {
    if (spares(s, {s.node, peer})) return outcome::spared;
    s.in_force.push_back(effects_.on_link(peer, s.node, cut));
    finish_later(s);
  }
  surface_.network().reset(s.node, peer);
  return outcome::done;
}

// Frames to a process wait in the network until there is another one in its place.
injector::outcome injector::deliver_stale(slot& s) {
  if (!surface_.up(s.node) || surface_.nodes() < 2) return outcome::no_effect;
  for (uint32_t other = 0; other < surface_.nodes(); ++other)
    if (other != s.node) s.in_force.push_back(effects_.on_link(other, s.node, hold));
  const duration restart = milliseconds(setting(s, "restart_after_ms"));
  later(s, milliseconds(setting(s, "held_ms")), [this, &s, restart] {
    (void)crash(s, s.node, crash_fate::keep_all, setting(s, "restart_after_ms"));
    later(s, restart + duration(milliseconds(setting(s, "release_after_ms"))),
          [this, &s] { finish(s); });
  });
  return outcome::done;
}

injector::outcome injector::inject_network(slot& s) {
  const std::string_view id = s.entry->id;
  const auto rate = [&](std::string_view name) { return static_cast<uint32_t>(setting(s, name)); };
  if (id == "F20") {
    const duration mean = microseconds(setting(s, "delay_us"));
    return on_links(s, [mean, tail = rate("tail_ppm")](link_quality& link) {
      link.delay_mean += mean;
      link.tail_ppm = std::max(link.tail_ppm, tail);
    });
  }
  const auto raise = [&](uint32_t link_quality::*which, uint32_t to) {
    return on_links(s,
                    [which, to](link_quality& link) { link.*which = std::max(link.*which, to); });
  };
  if (id == "F21") return raise(&link_quality::loss_ppm, rate("loss_ppm"));
  if (id == "F22") return raise(&link_quality::repeat_ppm, rate("repeat_ppm"));
  if (id == "F23") return raise(&link_quality::reorder_ppm, rate("reorder_ppm"));
  if (id == "F24") return on_split(s, true);
  if (id == "F25") return on_split(s, false);
  if (id == "F26") {
    if (surface_.nodes() < 2) return outcome::no_effect;
    const uint32_t peer = peer_of(s);
    if (spares(s, {s.node, peer})) return outcome::spared;
    s.in_force = {effects_.on_link(s.node, peer, cut), effects_.on_link(peer, s.node, cut)};
    finish_later(s);
    return outcome::done;
  }
  if (id == "F27") return hold_links(s);
  if (id == "F28") return flap(s);
  const auto narrow = [&] {
    const uint64_t bytes = static_cast<uint64_t>(setting(s, "kib_per_s")) << 10;
    return [bytes](link_quality& link) { link.bytes_per_s = std::min(link.bytes_per_s, bytes); };
  };
  if (id == "F29") return on_links(s, narrow());
  if (id == "F30") return reset(s);
  if (id == "F31") {
    if (spares(s, {s.node})) return outcome::spared;
    for (uint32_t other = 0; other < surface_.nodes(); ++other)
      if (other != s.node) s.in_force.push_back(effects_.on_link(other, s.node, narrow()));
    finish_later(s);
    return outcome::done;
  }
  if (id == "F32") return deliver_stale(s);
  if (id == "F33") return raise(&link_quality::truncate_ppm, rate("truncate_ppm"));
  return outcome::no_effect;
}

} // namespace troupe::simulations
