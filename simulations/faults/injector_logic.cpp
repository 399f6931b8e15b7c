// Faults aimed at the coordinator's protocol and at clients (F70 to F79), and several at once (F80
// to F83).
#include "simulations/faults/injector.hpp"

#include <algorithm>

namespace troupe::simulations {

using dataflow::role;
using dataflow::role_kind;
using std::chrono::milliseconds;

// A node hears nothing while parts of others restart, and so epochs change.
injector::outcome injector::age_routes(slot& s) {
  if (!surface_.up(s.node) || surface_.nodes() < 2 || s.what->lasts == duration{})
    return outcome::no_effect;
  for (uint32_t other = 0; other < surface_.nodes(); ++other)
    if (other != s.node)
      s.in_force.push_back(
          effects_.on_link(other, s.node, [](link_quality& link) { link.held = true; }));
  const int64_t versions = setting(s, "versions");
  for (int64_t i = 0; i < versions; ++i)
    later(s, s.what->lasts * i / (versions + 1), [this, &s, i] {
      const uint32_t deaf = s.node;
      s.node = (deaf + 1 + static_cast<uint32_t>(i)) % surface_.nodes();
      (void)kill_parts(s, roles_of(role_kind::expert_shard), i);
      s.node = deaf;
    });
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::trouble_clients(slot& s) {
  const uint32_t clients = about_.workload.requests;
  if (clients == 0) return outcome::no_effect;
  const auto wanted = std::min<uint64_t>(static_cast<uint64_t>(setting(s, "clients")), clients);
  const bool stall = setting(s, "stall") != 0;
  for (uint64_t i = 0; i < wanted; ++i) {
    const auto client = static_cast<uint32_t>(draw(s, i) % clients);
    if (stall)
      surface_.stall_client(client, s.what->lasts);
    else
      surface_.disconnect_client(client);
  }
  return outcome::done;
}

// Whenever the repair gets a step further, another node ends.
injector::outcome injector::cascade(slot& s) {
  const int64_t restart = setting(s, "restart_after_ms");
  const outcome first = crash(s, s.node, crash_fate::keep_all, restart);
  if (first != outcome::done) return first;
  watches_.push_back({.names = {"epoch.agreed", "epoch.ready", "epoch.go", "stream.resubmitted"},
                      .number = s.number,
                      .left = static_cast<uint32_t>(setting(s, "depth")),
                      .then = [this, &s, restart] {
                        std::vector<uint32_t> up;
                        for (uint32_t node = 0; node < surface_.nodes(); ++node)
                          if (surface_.up(node)) up.push_back(node);
                        if (up.empty()) return;
                        s.node = up[draw(s, surface_.base().events()) % up.size()];
                        record(s, crash(s, s.node, crash_fate::keep_all, restart));
                      }});
  return first;
}

injector::outcome injector::lose_replacement(slot& s) {
  std::optional<role> lost;
  for (const auto kind :
       {role_kind::expert_shard, role_kind::attention_stage, role_kind::sequencer})
    for (const auto& who : roles_of(kind)) {
      const auto hosts = surface_.hosts(who);
      if (!lost && !hosts.empty() && hosts.front() == s.node) lost = who;
    }
  const int64_t restart = setting(s, "restart_after_ms");
  const outcome first = crash(s, s.node, crash_fate::keep_all, restart);
  if (first != outcome::done || !lost) return first;
  watches_.push_back({.names = {"epoch.go"},
                      .number = s.number,
                      .left = 1,
                      .then = [this, &s, who = *lost, restart] {
                        const auto hosts = surface_.hosts(who);
                        if (hosts.empty()) return;
                        s.node = hosts.front();
                        record(s, crash(s, s.node, crash_fate::keep_all, restart));
                      }});
  return first;
}

injector::outcome injector::inject_logic(slot& s) {
  const std::string_view id = s.entry->id;
  if (id == "F70") return crash(s, s.node, crash_fate::keep_all, setting(s, "restart_after_ms"));
  if (id == "F71") {
    if (!surface_.up(s.node)) return outcome::no_effect;
    if (spares(s, {s.node})) return outcome::spared;
    s.in_force.push_back(effects_.on_pause(s.node));
    finish_later(s);
    return outcome::done;
  }
  if (id == "F72") return age_routes(s);
  if (id == "F73") return kill_parts(s, roles_of(role_kind::expert_shard), 0);
  if (id == "F75") return trouble_clients(s);
  if (id == "F79") {
    surface_.add_load(static_cast<uint32_t>(setting(s, "requests")));
    return outcome::done;
  }
  if (id == "F81") return cascade(s);
  if (id == "F82") return lose_replacement(s);
  if (id == "F83")
    return crash_all(s,
                     surface_.hosts({role_kind::expert_shard,
                                     static_cast<uint32_t>(draw(s, 0) % about_.cluster.shards)}));
  return outcome::no_effect;
}

} // namespace troupe::simulations
