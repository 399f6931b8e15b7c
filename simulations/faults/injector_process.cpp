// Faults of processes and nodes, F01 to F13.
#include "simulations/faults/injector.hpp"

#include <algorithm>
#include <array>

namespace troupe::simulations {

using dataflow::role;
using dataflow::role_kind;
using std::chrono::milliseconds;

namespace {
constexpr duration mailbox_poll = milliseconds(5);
}

injector::outcome injector::crash(slot& s, uint32_t node, crash_fate fate,
                                  int64_t restart_after_ms) {
  if (!surface_.up(node)) return outcome::no_effect;
  if (restart_after_ms == 0 && !atlas_.allow_gone({node})) return outcome::spared;
  effects_.process_ends(node);
  surface_.crash(node, atlas_.soften(node, fate));
  if (restart_after_ms == 0 && !about_.expect.survivable) gone_.insert(node);
  if (restart_after_ms > 0) later(s, milliseconds(restart_after_ms), [this, node] { start(node); });
  return outcome::done;
}

injector::outcome injector::crash_all(slot& s, const std::vector<uint32_t>& nodes) {
  outcome out = outcome::no_effect;
  for (const uint32_t node : nodes) {
    const outcome one = crash(s, node, crash_fate::keep_all, setting(s, "restart_after_ms"));
    if (out != outcome::done && one != outcome::no_effect) out = one; // one is enough
  }
  return out;
}

injector::outcome injector::crash_repeatedly(slot& s, uint32_t node, int64_t times) {
  const outcome first =
      crash(s, node, crash_fate::keep_all, std::max<int64_t>(setting(s, "down_ms"), 1));
  if (times > 1)
    later(s, milliseconds(setting(s, "down_ms") + setting(s, "up_ms")),
          [this, &s, node, times] { (void)crash_repeatedly(s, node, times - 1); });
  return first;
}

// `damage` says whether there was anything to damage.
injector::outcome injector::lose_memory(uint32_t node, const std::function<bool()>& damage) {
  if (!atlas_.allow_memory_loss(node, at_work())) return outcome::spared;
  return damage() ? outcome::done : outcome::no_effect;
}

// Ends a part that plays one of the roles, on the fault's node if one plays there.
injector::outcome injector::kill_parts(slot& s, const std::vector<role>& candidates, int64_t nth) {
  std::vector<std::pair<uint32_t, role>> here, anywhere;
  for (const auto& who : candidates)
    for (const uint32_t node : surface_.hosts(who)) {
      if (!surface_.up(node)) continue;
      anywhere.emplace_back(node, who);
      if (node == s.node) here.emplace_back(node, who);
    }
  const auto& choice = here.empty() ? anywhere : here;
  if (choice.empty()) return outcome::no_effect;
  const auto& [node, who] = choice[draw(s, static_cast<uint64_t>(nth)) % choice.size()];
  s.node = node;
  return surface_.kill_part(node, who) ? outcome::done : outcome::no_effect;
}

injector::outcome injector::drain(slot& s) {
  if (!surface_.up(s.node)) return outcome::no_effect;
  const int64_t restart_after_ms = setting(s, "restart_after_ms");
  if (restart_after_ms == 0 && !atlas_.allow_gone({s.node})) return outcome::spared;
  surface_.drain(s.node);
  later(s, milliseconds(setting(s, "stop_after_ms")), [this, &s, restart_after_ms] {
    (void)crash(s, s.node, crash_fate::keep_all, restart_after_ms);
  });
  return outcome::done;
}

injector::outcome injector::kill_when_full(slot& s) {
  if (!surface_.up(s.node)) return outcome::no_effect;
  const duration window = std::max(s.what->lasts, duration(mailbox_poll));
  poll_messages(s, surface_.base().now() + window);
  return outcome::waits;
}

void injector::poll_messages(slot& s, time_point until) {
  size_t waiting = 0;
  if (surface_.up(s.node))
    for (const auto& [name, messages] : surface_.base().at(s.node).mailboxes()) waiting += messages;
  if (waiting > static_cast<size_t>(setting(s, "messages_max")))
    return record(s, crash(s, s.node, crash_fate::keep_all, setting(s, "restart_after_ms")));
  if (surface_.base().now() < until)
    later(s, mailbox_poll, [this, &s, until] { poll_messages(s, until); });
}

injector::outcome injector::inject_process(slot& s) {
  constexpr std::array computing = {role_kind::attention_stage, role_kind::gating_router,
                                    role_kind::expert_shard};
  constexpr std::array directing = {role_kind::sequencer, role_kind::kv_cache_manager,
                                    role_kind::ingress};
  const std::string_view id = s.entry->id;
  if (id == "F01" || id == "F02") {
    const auto part = static_cast<size_t>(setting(s, "part"));
    return kill_parts(s, roles_of(id == "F01" ? computing[part] : directing[part]), 0);
  }
  if (id == "F03") return crash(s, s.node, crash_fate::keep_all, setting(s, "restart_after_ms"));
  if (id == "F04")
    return lose_memory(s.node, [&] {
      if (crash(s, s.node, crash_fate::keep_all, setting(s, "restart_after_ms")) != outcome::done)
        return false;
      surface_.wipe_disk(s.node);
      return true;
    });
  if (id == "F05")
    return crash(s, s.node, static_cast<crash_fate>(setting(s, "fate")),
                 setting(s, "restart_after_ms"));
  if (id == "F06" || id == "F13") return crash_repeatedly(s, s.node, setting(s, "times"));
  if (id == "F07") {
    if (!surface_.up(s.node)) return outcome::no_effect;
    if (spares(s, {s.node})) return outcome::spared;
    s.in_force.push_back(effects_.on_pause(s.node));
    finish_later(s);
    return outcome::done;
  }
  if (id == "F08") {
    s.in_force.push_back(
        effects_.on_messages(s.node, std::chrono::microseconds(setting(s, "message_cost_us"))));
    const auto percent = static_cast<uint32_t>(setting(s, "slow_percent"));
    return on_device(s, [percent](device_quality& device) {
      device.slow_percent = std::max(device.slow_percent, percent);
    });
  }
  if (id == "F09") return drain(s);
  if (id == "F10") return kill_when_full(s);
  if (id == "F12") {
    std::vector<uint32_t> rack;
    const auto wanted = static_cast<uint64_t>(setting(s, "nodes"));
    for (uint32_t i = 0; i < std::min<uint64_t>(wanted, surface_.nodes()); ++i)
      rack.push_back((s.node + i) % surface_.nodes());
    return crash_all(s, rack);
  }
  return outcome::no_effect;
}

} // namespace troupe::simulations
