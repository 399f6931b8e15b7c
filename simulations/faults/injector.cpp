// The life of a fault: waiting for its time or probe, in force, over.
#include "simulations/faults/injector.hpp"

#include "base/check.hpp"
#include "base/random.hpp"

#include <algorithm>

namespace troupe::simulations {

using dataflow::role;
using dataflow::role_kind;

injector::injector(fault_surface& surface, const fault_plan& plan, const scenario& about)
    : surface_(surface),
      plan_(plan),
      about_(about),
      effects_(surface),
      atlas_({.nodes = surface.nodes(),
              .voters = about.cluster.voters,
              .doors = about.cluster.doors,
              .survivable = about.expect.survivable}) {
  slots_.resize(plan_.faults.size());
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].number = i;
    slots_[i].what = &plan_.faults[i];
    slots_[i].entry = find_fault(plan_.faults[i].id);
    TROUPE_CHECK(slots_[i].entry != nullptr); // plans are checked when they are read
  }
}

void injector::arm() {
  const time_point begin_of_times = surface_.base().now();
  last_change_ = begin_of_times;
  for (auto& s : slots_) {
    if (!s.what->when.probe.empty()) {
      waits_.push_back({.name = s.what->when.probe, .nth = s.what->when.nth, .number = s.number});
      continue;
    }
    ++timed_left_;
    surface_.base().schedule(begin_of_times + s.what->when.at, s.entry->id, [this, &s] {
      --timed_left_;
      begin(s);
    });
  }
}

void injector::on_probe(std::string_view name, uint64_t) {
  if (stopped_ || (waits_.empty() && watches_.empty())) return;
  world& base = surface_.base();
  for (auto wait = waits_.begin(); wait != waits_.end();) {
    if (wait->name != name || ++wait->hits < wait->nth) {
      ++wait;
      continue;
    }
    slot& s = slots_[wait->number];
    // Whoever hit the probe is in the middle of something; it may be what the fault ends.
    base.schedule(base.now(), s.entry->id, [this, &s] { begin(s); });
    wait = waits_.erase(wait);
  }
  for (auto& watch : watches_) {
    if (watch.left == 0 || slots_[watch.number].over) continue;
    if (std::find(watch.names.begin(), watch.names.end(), name) == watch.names.end()) continue;
    --watch.left;
    base.schedule(base.now(), slots_[watch.number].entry->id, [this, &watch] {
      if (!stopped_) watch.then();
    });
  }
}

void injector::begin(slot& s) {
  if (stopped_ || s.begun) return;
  s.begun = true;
  s.node = resolve(*s.what);
  record(s, inject(s));
}

injector::outcome injector::inject(slot& s) {
  switch (s.entry->family[0]) {
    case 'p':
      return inject_process(s);
    case 'n':
      return inject_network(s);
    case 'd':
      return inject_device(s);
    case 's':
      return inject_storage(s);
    default:
      return s.entry->family == "clock" ? inject_clock(s) : inject_logic(s);
  }
}

// A fault that does something several times counts once.
void injector::record(slot& s, outcome what) {
  const time_point now = surface_.base().now();
  last_change_ = now;
  const std::string id(s.entry->id);
  history_.push_back({.number = s.number, .id = id, .when = now, .node = s.node, .what = what});
  if (what == outcome::spared) ++spared_[id];
  if (what != outcome::done || s.counted) return;
  s.counted = true;
  ++counts_[id];
}

void injector::later(slot& s, duration delay, std::function<void()> then) {
  ++s.timers;
  surface_.base().schedule(surface_.base().now() + delay, s.entry->id,
                           [this, &s, then = std::move(then)] {
                             --s.timers;
                             if (s.over) return;
                             last_change_ = surface_.base().now();
                             then();
                           });
}

void injector::finish_later(slot& s) {
  if (s.what->lasts > duration{}) later(s, s.what->lasts, [this, &s] { finish(s); });
}

void injector::finish(slot& s) {
  for (const auto effect : s.in_force) effects_.drop(effect);
  s.in_force.clear();
  const std::vector<uint32_t> repairs = std::move(s.repairs);
  s.repairs.clear();
  for (const uint32_t node : repairs) {
    if (surface_.up(node)) {
      effects_.process_ends(node);
      surface_.crash(node, crash_fate::keep_all);
    }
    const auto pause =
        std::chrono::milliseconds(std::max<int64_t>(setting(s, "restart_after_ms"), 1));
    later(s, pause, [this, node] { start(node); });
  }
}

void injector::stop() {
  stopped_ = true;
  waits_.clear();
  for (auto& watch : watches_) watch.left = 0;
}

void injector::heal(const std::vector<bool>& core) {
  TROUPE_CHECK(core.size() == surface_.nodes());
  stop();
  last_change_ = surface_.base().now();
  for (auto& s : slots_) {
    s.over = true;
    if (core[s.node % core.size()]) disarm(s);
  }
  effects_.drop_within(core);
  for (auto& s : slots_)
    for (const uint32_t node : s.repairs)
      if (core[node] && surface_.up(node)) {
        effects_.process_ends(node);
        surface_.crash(node, crash_fate::keep_all); // what its device lost comes back with a start
      }
  for (uint32_t node = 0; node < surface_.nodes(); ++node) {
    if (core[node]) {
      start(node);
      continue;
    }
    const uint64_t how = surface_.base().draw(random_subsystem::faults, node, 0) % 3;
    if (how == 0 && surface_.up(node)) {
      effects_.process_ends(node);
      surface_.crash(node, crash_fate::keep_all);
    }
    for (uint32_t other = 0; other < surface_.nodes(); ++other) {
      if (!core[other]) continue;
      const auto cut = [](link_quality& link) { link.cut = true; };
      effects_.on_link(other, node, cut);
      if (how == 1) effects_.on_link(node, other, cut); // else: it hears nothing, but is heard
    }
  }
}

void injector::heal_all() {
  heal(std::vector<bool>(surface_.nodes(), true));
}

bool injector::all_ended() const {
  if (timed_left_ > 0 && !stopped_) return false;
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const slot& s) { return s.over || s.timers == 0; });
}

std::map<std::string, uint64_t> injector::counts() const {
  return counts_;
}
std::map<std::string, uint64_t> injector::spared() const {
  return spared_;
}

// -- who and how much

uint32_t injector::resolve(const fault& what) const {
  const uint32_t nodes = surface_.nodes();
  const uint32_t pick = what.node;
  if (what.target.empty()) return pick % nodes;
  if (what.target == "leader") return surface_.leader().value_or(pick % surface_.voters());
  const auto host = [&](role_kind kind, uint32_t count) {
    const auto hosts = surface_.hosts({kind, pick % std::max(count, 1u)});
    return hosts.empty() ? pick % nodes : hosts[pick / std::max(count, 1u) % hosts.size()];
  };
  if (what.target == "sequencer") return host(role_kind::sequencer, 1);
  if (what.target == "stage") return host(role_kind::attention_stage, about_.cluster.stages);
  if (what.target == "shard") return host(role_kind::expert_shard, about_.cluster.shards);
  std::vector<bool> busy(nodes); // target idle
  for (const auto kind :
       {role_kind::sequencer, role_kind::attention_stage, role_kind::expert_shard})
    for (const auto& who : roles_of(kind))
      for (const uint32_t node : surface_.hosts(who)) busy[node] = true;
  std::vector<uint32_t> idle;
  for (uint32_t node = 0; node < nodes; ++node)
    if (!busy[node]) idle.push_back(node);
  return idle.empty() ? pick % nodes : idle[pick % idle.size()];
}

std::vector<role> injector::roles_of(role_kind kind) const {
  uint32_t count = 1;
  if (kind == role_kind::attention_stage || kind == role_kind::gating_router)
    count = about_.cluster.stages;
  if (kind == role_kind::expert_shard) count = about_.cluster.shards;
  std::vector<role> out;
  for (uint32_t i = 0; i < count; ++i) out.push_back({kind, i});
  return out;
}

std::vector<bool> injector::at_work() const {
  std::vector<bool> out(surface_.nodes());
  for (uint32_t node = 0; node < surface_.nodes(); ++node)
    out[node] = surface_.up(node) && !effects_.paused(node);
  return out;
}

void injector::start(uint32_t node) {
  if (!surface_.up(node) && !gone_.contains(node)) surface_.start(node);
}

uint64_t injector::draw(const slot& s, uint64_t n) const {
  return random_bits({.seed = static_cast<uint64_t>(setting(s, "shuffle")),
                      .subsystem = random_subsystem::faults,
                      .entity = UINT32_MAX},
                     n);
}

int64_t injector::setting(const slot& s, std::string_view name) const {
  const auto given = s.what->settings.find(std::string(name));
  if (given != s.what->settings.end()) return given->second;
  const auto* known = s.entry->setting(name);
  TROUPE_CHECK(known != nullptr);
  return known->least;
}

uint32_t injector::peer_of(const slot& s) const {
  const uint32_t nodes = surface_.nodes();
  const uint32_t peer = s.what->peer.value_or(s.node + 1) % nodes;
  return peer != s.node ? peer : (s.node + 1) % nodes;
}

bool injector::spares(const slot& s, const std::vector<uint32_t>& nodes) {
  return s.what->lasts == duration{} && !atlas_.allow_gone(nodes);
}

std::vector<bool> draw_core(const scenario& about, uint64_t seed,
                            const std::vector<uint32_t>& spoiled) {
  const uint32_t nodes = about.cluster.nodes, voters = about.cluster.voters;
  const uint32_t doors = about.cluster.doors == 0 ? nodes : about.cluster.doors;
  const random_key key{.seed = seed, .subsystem = random_subsystem::faults, .entity = UINT32_MAX};
  std::vector<bool> out(nodes);
  std::vector<uint32_t> good;
  for (uint32_t node = 0; node < voters; ++node)
    if (std::find(spoiled.begin(), spoiled.end(), node) == spoiled.end()) good.push_back(node);
  uint64_t n = 0;
  for (uint32_t needed = voters / 2 + 1; needed > 0 && !good.empty(); --needed) {
    const size_t at = random_below(key, n++, good.size());
    out[good[at]] = true;
    good.erase(good.begin() + static_cast<ptrdiff_t>(at));
  }
  out[random_below(key, n++, doors)] = true;
  for (uint32_t node = 0; node < nodes; ++node)
    if (random_below(key, 100 + node, 3) == 0) out[node] = true;
  return out;
}

} // namespace troupe::simulations
