// Draws by the place of what is drawn, never by how much was drawn before.
#include "simulations/faults/expansion.hpp"

#include "base/check.hpp"
#include "base/random.hpp"
#include "simulations/faults/catalogue.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

namespace troupe::simulations {
namespace {

constexpr duration time_grain = std::chrono::microseconds(100);
constexpr uint32_t picks = 64; // of one who plays a role

// What a draw of one fault is for. Append only: the numbers are part of what a seed means.
enum purpose : uint64_t { takes_part, count, at, nth, node, peer, lasts, probe, split_size, split };
constexpr uint64_t first_split_member = 16;
constexpr uint64_t first_setting = 128;
constexpr uint64_t draws_per_fault = 256;

class fault_draws {
public:
  fault_draws(uint64_t seed, std::string_view id, uint32_t occurrence) {
    uint32_t hash = 2166136261u; // FNV-1a
    for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    hash = (hash ^ occurrence) * 16777619u;
    key_ = {.seed = seed, .subsystem = random_subsystem::faults, .entity = hash};
  }
  void turn_to(uint64_t fault_number) { base_ = fault_number * draws_per_fault; }
  uint64_t below(uint64_t purpose, uint64_t bound) const {
    return random_below(key_, base_ + purpose, bound);
  }
  int64_t between(uint64_t purpose, int64_t least, int64_t most) const {
    const uint64_t span = static_cast<uint64_t>(most) - static_cast<uint64_t>(least) + 1;
    if (span == 0) return static_cast<int64_t>(random_bits(key_, base_ + purpose));
    return static_cast<int64_t>(static_cast<uint64_t>(least) + below(purpose, span));
  }
  duration between(uint64_t purpose, duration least, duration most) const {
    const auto grains = static_cast<uint64_t>((most - least) / time_grain);
    return least + time_grain * static_cast<int64_t>(below(purpose, grains + 1));
  }

private:
  random_key key_;
  uint64_t base_ = 0;
};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void aim(const scenario& what, const antagonist& from, const fault_entry& entry,
         const fault_draws& draws, fault& out) {
  const auto& cluster = what.cluster;
  const std::string target = from.target == "any" ? std::string(entry.target) : from.target;
  if (is_number(target)) {
    out.node = static_cast<uint32_t>(std::stoul(target)) % cluster.nodes;
  } else if (target == "any") {
    out.node = static_cast<uint32_t>(draws.below(node, cluster.nodes));
  } else if (target == "voter") {
    out.node = static_cast<uint32_t>(draws.below(node, cluster.voters));
  } else if (target == "door") {
    const uint32_t doors = cluster.doors == 0 ? cluster.nodes : cluster.doors;
    out.node = static_cast<uint32_t>(draws.below(node, doors));
  } else {
    out.target = target;
    out.node = static_cast<uint32_t>(draws.below(node, picks));
  }
}

// One group of a partition: half of the time a single node, else any number of them. With a target
// it is the side of the target.
int64_t draw_split(const scenario& what, const antagonist& from, const fault_draws& draws,
                   const fault& aimed) {
  const uint32_t nodes = std::min(what.cluster.nodes, 63u);
  if (nodes < 2 || !aimed.target.empty()) return 0;
  const uint64_t size = draws.below(split, 2) == 0 ? 1 : 1 + draws.below(split_size, nodes - 1);
  std::vector<uint32_t> order(nodes);
  for (uint32_t i = 0; i < nodes; ++i) order[i] = i;
  if (from.target != "any" && aimed.node < nodes) std::swap(order[0], order[aimed.node]);
  const uint32_t fixed = from.target != "any" ? 1 : 0;
  uint64_t mask = 0;
  for (uint32_t i = 0; i < size; ++i) {
    if (i >= fixed) std::swap(order[i], order[i + draws.below(first_split_member + i, nodes - i)]);
    mask |= uint64_t{1} << order[i];
  }
  return static_cast<int64_t>(mask);
}

std::vector<std::string_view> parts_of(std::string_view list) {
  std::vector<std::string_view> out;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    out.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return out;
}

void draw_trigger(const antagonist& from, const fault_entry& entry, const fault_draws& draws,
                  fault_trigger& out) {
  out.probe = from.probe;
  const auto own = parts_of(entry.probes);
  if (out.probe.empty() && !own.empty()) out.probe = own[draws.below(probe, own.size())];
  if (out.probe.empty())
    out.at = draws.between(at, from.from, from.until);
  else
    out.nth = 1 + draws.below(nth, from.nth_max);
}

void draw_settings(const scenario& what, const antagonist& from, const fault_entry& entry,
                   const fault_draws& draws, fault& out) {
  for (size_t i = 0; i < entry.settings.size(); ++i) {
    const auto& setting = entry.settings[i];
    const std::string name(setting.name);
    const auto given = from.settings.find(name);
    int64_t least = setting.least, most = setting.most;
    if (given != from.settings.end()) std::tie(least, most) = given->second;
    const bool drawn_split = entry.scope == fault_scope::split && given == from.settings.end();
    out.settings[name] = drawn_split && name == "mask"
                             ? draw_split(what, from, draws, out)
                             : draws.between(first_setting + i, least, most);
  }
}

bool needs_peer(const fault_entry& entry, const fault& what) {
  if (entry.scope == fault_scope::pair) return true;
  if (entry.scope != fault_scope::links) return false;
  return what.settings.at("scope") <= static_cast<int64_t>(link_scope::two_way);
}

fault draw_fault(const scenario& what, const antagonist& from, const fault_entry& entry,
                 const fault_draws& draws) {
  fault out;
  out.id = from.id;
  draw_trigger(from, entry, draws, out.when);
  aim(what, from, entry, draws, out);
  const bool own_range = from.lasts_max == duration{};
  out.lasts = draws.between(lasts, own_range ? entry.lasts_least : from.lasts_min,
                            own_range ? entry.lasts_most : from.lasts_max);
  draw_settings(what, from, entry, draws, out);
  const uint32_t nodes = what.cluster.nodes;
  if (nodes > 1 && needs_peer(entry, out))
    out.peer = (out.node + 1 + static_cast<uint32_t>(draws.below(peer, nodes - 1))) % nodes;
  return out;
}

} // namespace

fault_plan expand(const scenario& what, uint64_t seed) {
  fault_plan out;
  std::map<std::string, uint32_t> occurrences;
  for (const auto& from : what.antagonists) {
    const fault_entry* entry = find_fault(from.id);
    TROUPE_CHECK(entry != nullptr && entry->implemented()); // scenarios are checked when read
    fault_draws draws(seed, from.id, occurrences[from.id]++);
    if (draws.below(takes_part, 100) >= from.percent) continue;
    const auto faults =
        static_cast<uint64_t>(draws.between(count, int64_t{from.count_min}, from.count_max));
    for (uint64_t number = 0; number < faults; ++number) {
      draws.turn_to(number + 1);
      out.faults.push_back(draw_fault(what, from, *entry, draws));
    }
  }
  std::stable_sort(out.faults.begin(), out.faults.end(), [](const fault& a, const fault& b) {
    if (a.when.probe.empty() != b.when.probe.empty()) return a.when.probe.empty();
    return a.when.at < b.when.at;
  });
  return out;
}

} // namespace troupe::simulations
