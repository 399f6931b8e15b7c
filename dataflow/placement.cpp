// Keeps roles where they are, rehomes what lost its node, moves one role towards balance, and
// spreads the work over copies; gives up more of the present placement only where room is short.
#include "dataflow/placement.hpp"

#include "base/mutant.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace troupe::dataflow {
namespace {

uint32_t shards_of(const cluster_layout& layout) {
  return layout.experts == 0 ? 0 : layout.shards;
}

bool is_in(const std::vector<node_index>& nodes, node_index node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// How much of the present placement a plan holds on to. Each gives up more, for the sake of room.
enum class holding : uint8_t { all, one_copy, nothing, nothing_and_tight };

class planner {
public:
  planner(const cluster_layout& layout, const std::vector<bool>& serving,
          const plan_figures& figures, holding hold)
      : layout_(layout),
        serving_(serving),
        figures_(figures),
        hold_(hold),
        work_(work_of_roles(layout, figures)),
        time_(time_of_unit(figures, serving)),
        loads_(serving.size(), 0) {
    plan_.stages.assign(layout.stages, no_node);
    plan_.shards.resize(shards_of(layout));
    const auto count = static_cast<uint32_t>(std::count(serving.begin(), serving.end(), true));
    copies_ = std::min(layout.shard_copies, count);
    for (node_index node = 0; node < serving.size(); ++node)
      room_.push_back(serving[node] ? memory_of(figures, node) : 0);
  }

  // Nothing: some role has no node with room for it.
  std::optional<placement> plan(const placement& current) {
    if (!place(current)) return {};
    if (current == placement{}) heavier_to_faster();
    rebalance();
    prefer(current);
    return std::move(plan_);
  }

private:
  // A role without a home. Kinds in the order in which ties are broken.
  enum class kind : uint8_t { stage, shard, sequencer };
  struct homeless {
    uint64_t load;
    kind what;
    uint32_t index;
    uint64_t bytes;
  };

  bool serves(node_index node) const { return node < serving_.size() && serving_[node]; }
  bool has_room(node_index node, uint64_t bytes) const { return room_[node] >= bytes; }
  bool is_limited(node_index node) const { return room_[node] != UINT64_MAX; }
  void take(node_index node, uint64_t load, uint64_t bytes) {
    loads_[node] += load;
    if (is_limited(node)) room_[node] -= bytes;
  }
  uint64_t time_with(node_index node, uint64_t load) const {
    return (loads_[node] + load) * time_[node];
  }

  bool place(const placement& current) {
    if (hold_ == holding::all || hold_ == holding::one_copy) keep_first(current);
    if (hold_ == holding::all) {
      keep_rest(current);
      return settle_all(homeless_roles(true));
    }
    auto needed = homeless_roles(false);
    std::stable_sort(needed.begin(), needed.end(),
                     [](const homeless& a, const homeless& b) { return b.bytes < a.bytes; });
    if (!settle_all(needed)) return false;
    keep_rest(current);
    return settle_all(homeless_roles(true));
  }

  // What there must be one of, in its place.
  void keep_first(const placement& current) {
    if (serves(current.sequencer) && has_room(current.sequencer, layout_.bytes.sequencer)) {
      plan_.sequencer = current.sequencer;
      take(current.sequencer, work_.sequencer, layout_.bytes.sequencer);
    }
    const size_t stages = std::min(current.stages.size(), plan_.stages.size());
    for (uint32_t n = 0; n < stages; ++n) {
      if (!serves(current.stages[n]) || !has_room(current.stages[n], bytes_of_stage(layout_, n)))
        continue;
      plan_.stages[n] = current.stages[n];
      take(current.stages[n], work_.stages[n], bytes_of_stage(layout_, n));
    }
    for (uint32_t n = 0; n < shards_in(current); ++n)
      for (const node_index node : current.shards[n])
        if (plan_.shards[n].empty() && may_hold(n, node)) add_copy(n, node);
  }

  void keep_rest(const placement& current) {
    for (uint32_t n = 0; n < shards_in(current); ++n) {
      const uint32_t most = std::max(copies_, copies_kept(n));
      for (const node_index node : current.shards[n])
        if (plan_.shards[n].size() < most && may_hold(n, node)) add_copy(n, node);
    }
  }

  size_t shards_in(const placement& current) const {
    return std::min(current.shards.size(), plan_.shards.size());
  }
  bool may_hold(uint32_t shard, node_index node) const {
    return serves(node) && !is_in(plan_.shards[shard], node) &&
           has_room(node, bytes_of_shard(layout_, shard));
  }

  // Copies that a hot shard was given stay while it has more than an equal share.
  uint32_t copies_kept(uint32_t shard) const {
    if (!rows_count(layout_, figures_)) return layout_.weighs_load() ? layout_.shard_copies_max : 0;
    uint64_t all = 0;
    for (const uint64_t each : work_.shards) all += each;
    return work_.shards[shard] * work_.shards.size() > all ? layout_.shard_copies_max : 0;
  }

  void add_copy(uint32_t shard, node_index node) {
    plan_.shards[shard].push_back(node);
    take(node, work_.shards[shard], bytes_of_shard(layout_, shard));
  }

  // Heaviest first, which balances better than any order that does not look at the load.
  std::vector<homeless> homeless_roles(bool all_copies) const {
    std::vector<homeless> roles;
    if (plan_.sequencer == no_node)
      roles.push_back({work_.sequencer, kind::sequencer, 0, layout_.bytes.sequencer});
    for (uint32_t n = 0; n < plan_.stages.size(); ++n)
      if (plan_.stages[n] == no_node)
        roles.push_back({work_.stages[n], kind::stage, n, bytes_of_stage(layout_, n)});
    for (uint32_t n = 0; n < plan_.shards.size(); ++n)
      for (size_t copy = plan_.shards[n].size(); copy < (all_copies ? copies_ : 1); ++copy)
        roles.push_back({work_.shards[n], kind::shard, n, bytes_of_shard(layout_, n)});
    std::stable_sort(roles.begin(), roles.end(), [](const homeless& a, const homeless& b) {
      return std::tuple(b.load, a.what, a.index) < std::tuple(a.load, b.what, b.index);
    });
    return roles;
  }

  bool settle_all(const std::vector<homeless>& roles) {
    return std::all_of(roles.begin(), roles.end(),
                       [this](const homeless& role) { return settle(role); });
  }

  // False: it must have a home and there is no room.
  bool settle(const homeless& role) {
    static const std::vector<node_index> nobody;
    const auto& copies = role.what == kind::shard ? plan_.shards[role.index] : nobody;
    const bool needed = copies.empty();
    const node_index home = needed && hold_ == holding::nothing_and_tight
                                ? tightest(role.bytes)
                                : least_loaded(role.load, role.bytes, copies);
    if (home == no_node) return !needed;
    if (role.what == kind::shard) {
      add_copy(role.index, home);
      return true;
    }
    take(home, role.load, role.bytes);
    (role.what == kind::stage ? plan_.stages[role.index] : plan_.sequencer) = home;
    return true;
  }

  // The serving node that would be done first with `load` more, that has room and is not among
  // `taken`.
  node_index least_loaded(uint64_t load, uint64_t bytes,
                          const std::vector<node_index>& taken) const {
    node_index best = no_node;
    for (node_index node = 0; node < serving_.size(); ++node) {
      if (!serving_[node] || !has_room(node, bytes)) continue;
      if (is_in(taken, node) && !TROUPE_MUTANT(copies_on_one_node)) continue;
      if (best == no_node || time_with(node, load) < time_with(best, load)) best = node;
    }
    return best;
  }

  // Where the least room is left over.
  node_index tightest(uint64_t bytes) const {
    node_index best = no_node;
    for (node_index node = 0; node < serving_.size(); ++node)
      if (serving_[node] && has_room(node, bytes) && (best == no_node || room_[node] < room_[best]))
        best = node;
    return best;
  }

  node_index most_loaded() const {
    node_index best = no_node;
    for (node_index node = 0; node < serving_.size(); ++node)
      if (serving_[node] && (best == no_node || time_with(node, 0) > time_with(best, 0)))
        best = node;
    return best;
  }

  // Where nothing stays, nothing moves either: of two nodes the faster one shall not have less.
  void heavier_to_faster() {
    std::vector<node_index> by_load, by_speed;
    for (node_index node = 0; node < serving_.size(); ++node)
      if (serving_[node]) by_load.push_back(node);
    by_speed = by_load;
    const auto slower = [this](node_index a, node_index b) { return time_[a] < time_[b]; };
    std::stable_sort(by_speed.begin(), by_speed.end(), slower);
    if (time_[by_speed.front()] == time_[by_speed.back()]) return;
    std::stable_sort(by_load.begin(), by_load.end(),
                     [this](node_index a, node_index b) { return loads_[a] > loads_[b]; });
    std::vector<node_index> instead(serving_.size(), no_node);
    for (size_t n = 0; n < by_load.size(); ++n) instead[by_load[n]] = by_speed[n];
    placement other = plan_;
    other.sequencer = instead[other.sequencer];
    for (auto& node : other.stages) node = instead[node];
    for (auto& copies : other.shards)
      for (auto& node : copies) node = instead[node];
    if (!validate_memory(other, layout_, figures_).ok()) return;
    plan_ = std::move(other);
    recount();
  }

  void recount() {
    for (node_index node = 0; node < serving_.size(); ++node) {
      loads_[node] = 0;
      room_[node] = serving_[node] ? memory_of(figures_, node) : 0;
    }
    take(plan_.sequencer, work_.sequencer, layout_.bytes.sequencer);
    for (uint32_t n = 0; n < plan_.stages.size(); ++n)
      take(plan_.stages[n], work_.stages[n], bytes_of_stage(layout_, n));
    for (uint32_t n = 0; n < plan_.shards.size(); ++n)
      for (const node_index node : plan_.shards[n])
        take(node, work_.shards[n], bytes_of_shard(layout_, n));
  }

  // One role from the most to the least loaded node, where the larger of their loads shrinks the
  // most. What costs nothing but loading weights goes before what loses KV pages: a copy of a shard
  // that is not the preferred one, a preferred one, and only then a stage. Moving the sequencer
  // never makes a difference worth having.
  void rebalance() {
    const node_index from = most_loaded();
    const node_index to = lightest_with_room(from);
    if (to == no_node || from == to) return;
    const uint64_t before = time_with(from, 0);
    uint64_t best = before;
    node_index* moved = nullptr;
    const auto consider = [&](node_index& role, uint64_t load, uint64_t bytes) {
      const uint64_t after = std::max(before - load * time_[from], time_with(to, load));
      if (after >= best || !has_room(to, bytes)) return;
      best = after;
      moved = &role;
    };
    for (const bool preferred : {false, true}) {
      for (uint32_t n = 0; moved == nullptr && n < plan_.shards.size(); ++n) {
        auto& copies = plan_.shards[n];
        if (is_in(copies, to)) continue;
        for (size_t c = 0; c < copies.size(); ++c)
          if (copies[c] == from && (c == 0) == preferred)
            consider(copies[c], work_.shards[n], bytes_of_shard(layout_, n));
      }
    }
    for (uint32_t n = 0; moved == nullptr && n < plan_.stages.size(); ++n)
      if (plan_.stages[n] == from)
        consider(plan_.stages[n], work_.stages[n], bytes_of_stage(layout_, n));
    if (moved != nullptr) *moved = to;
  }

  // The node that would be done first with the least of what `from` could give away, if it has room
  // for the smallest of that.
  node_index lightest_with_room(node_index from) const {
    uint64_t load = UINT64_MAX, bytes = UINT64_MAX;
    const auto note = [&](uint64_t of_load, uint64_t of_bytes) {
      load = std::min(load, of_load);
      bytes = std::min(bytes, of_bytes);
    };
    for (uint32_t n = 0; n < plan_.shards.size(); ++n)
      if (is_in(plan_.shards[n], from)) note(work_.shards[n], bytes_of_shard(layout_, n));
    for (uint32_t n = 0; n < plan_.stages.size(); ++n)
      if (plan_.stages[n] == from) note(work_.stages[n], bytes_of_stage(layout_, n));
    if (load == UINT64_MAX) return no_node;
    return least_loaded(load, bytes, {});
  }

  // The copies that are asked first do the work of a shard; the others wait. So that the work is
  // spread like the copies, each shard in turn prefers the copy on the node with the least work, of
  // equals the one that is preferred now. A new copy, which has to load its weights first, waits
  // while there is an older one.
  void prefer(const placement& current) {
    std::vector<uint64_t> work(serving_.size(), 0);
    work[plan_.sequencer] += work_.sequencer;
    for (uint32_t n = 0; n < plan_.stages.size(); ++n) work[plan_.stages[n]] += work_.stages[n];
    for (uint32_t n = 0; n < plan_.shards.size(); ++n) {
      auto& copies = plan_.shards[n];
      if (copies.size() > layout_.shard_copies) { // they take turns
        for (const node_index node : copies) work[node] += work_.shards[n] / copies.size();
        continue;
      }
      const auto is_new = [&](node_index node) {
        return n >= current.shards.size() || !is_in(current.shards[n], node);
      };
      const auto rank = [&](node_index node) {
        return std::tuple(is_new(node), (work[node] + work_.shards[n]) * time_[node]);
      };
      const auto best =
          std::min_element(copies.begin(), copies.end(),
                           [&](node_index a, node_index b) { return rank(a) < rank(b); });
      std::rotate(copies.begin(), best, best + 1);
      work[copies.front()] += work_.shards[n];
    }
  }

  const cluster_layout& layout_;
  const std::vector<bool>& serving_;
  const plan_figures& figures_;
  const holding hold_;
  const role_work work_;
  const std::vector<uint64_t> time_; // per node, of a unit of work
  std::vector<uint64_t> loads_;      // per node, whether the copies on it are preferred or not
  std::vector<uint64_t> room_;       // bytes, per node; UINT64_MAX: any number
  uint32_t copies_ = 0;              // of every shard
  placement plan_;
};

status invalid(std::string why) {
  return {status_code::invalid_argument, std::move(why)};
}

// Bytes of one copy of everything, and the largest part.
struct named_bytes {
  std::string name;
  uint64_t bytes = 0;
};
std::pair<uint64_t, named_bytes> needs_of(const cluster_layout& layout) {
  uint64_t sum = 0;
  named_bytes largest;
  const auto add = [&](const role& who, uint64_t bytes) {
    sum += bytes;
    if (bytes > largest.bytes) largest = {to_string(who), bytes};
  };
  add({role_kind::sequencer, 0}, layout.bytes.sequencer);
  for (uint32_t n = 0; n < layout.stages; ++n)
    add({role_kind::attention_stage, n}, bytes_of_stage(layout, n));
  for (uint32_t n = 0; n < shards_of(layout); ++n)
    add({role_kind::expert_shard, n}, bytes_of_shard(layout, n));
  return {sum, largest};
}

std::string name_of(const cluster_layout& layout, node_index node) {
  return node < layout.nodes.size() ? layout.nodes[node] : "nobody";
}

} // namespace

placement plan_placement(const cluster_layout& layout, const placement& current,
                         const std::vector<bool>& serving, const plan_figures& figures) {
  TROUPE_CHECK(serving.size() == layout.nodes.size());
  if (std::find(serving.begin(), serving.end(), true) == serving.end()) return {};
  for (const auto hold :
       {holding::all, holding::one_copy, holding::nothing, holding::nothing_and_tight})
    if (auto plan = planner(layout, serving, figures, hold).plan(current)) return std::move(*plan);
  return {};
}

std::string why_no_room(const cluster_layout& layout, const std::vector<bool>& serving,
                        const plan_figures& figures) {
  if (std::find(serving.begin(), serving.end(), true) == serving.end()) return {};
  std::string nodes;
  uint64_t sum = 0, most = 0;
  for (node_index node = 0; node < serving.size(); ++node) {
    if (!serving[node]) continue;
    const uint64_t memory = memory_of(figures, node);
    sum += std::min(memory, UINT64_MAX - sum);
    most = std::max(most, memory);
    nodes += text(nodes.empty() ? "" : ", ", layout.nodes[node], " has ", memory);
  }
  const auto [need, largest] = needs_of(layout);
  std::string why = text("one copy of everything needs ", need, " bytes; ", nodes);
  if (sum < need) why += text("; ", need - sum, " bytes are missing in all");
  if (most < largest.bytes)
    why += text("; ", largest.name, " alone needs ", largest.bytes, ", ", largest.bytes - most,
                " more than any node has");
  if (sum >= need && most >= largest.bytes) why += "; no way was found to divide it among them";
  return why;
}

bool complete(const placement& where, const cluster_layout& layout) {
  const auto homeless = [](const std::vector<node_index>& copies) { return copies.empty(); };
  return where.sequencer != no_node && where.stages.size() == layout.stages &&
         where.shards.size() == shards_of(layout) && !is_in(where.stages, no_node) &&
         std::none_of(where.shards.begin(), where.shards.end(), homeless);
}

status validate(const placement& where, const cluster_layout& layout,
                const std::vector<bool>& serving) {
  const auto serves = [&serving](node_index node) {
    return node < serving.size() && serving[node];
  };
  const bool anybody = std::find(serving.begin(), serving.end(), true) != serving.end();
  if (!anybody && where == placement{}) return {};
  if (where.stages.size() != layout.stages || where.shards.size() != shards_of(layout))
    return invalid(text("a placement of ", where.stages.size(), " stages and ", where.shards.size(),
                        " shards for ", layout.stages, " and ", shards_of(layout)));
  if (!serves(where.sequencer))
    return invalid(text("the sequencer is on ", where.sequencer, ", which does not serve"));
  for (size_t n = 0; n < where.stages.size(); ++n)
    if (!serves(where.stages[n]))
      return invalid(
          text("attention_stage/", n, " is on ", where.stages[n], ", which does not serve"));
  for (size_t n = 0; n < where.shards.size(); ++n) {
    const auto& copies = where.shards[n];
    if (copies.empty()) return invalid(text("expert_shard/", n, " is nowhere"));
    for (size_t c = 0; c < copies.size(); ++c) {
      if (!serves(copies[c]))
        return invalid(text("expert_shard/", n, " is on ", copies[c], ", which does not serve"));
      if (std::find(copies.begin(), copies.begin() + c, copies[c]) != copies.begin() + c)
        return invalid(text("expert_shard/", n, " has two copies on ", copies[c]));
    }
  }
  return {};
}

status validate_memory(const placement& where, const cluster_layout& layout,
                       const plan_figures& figures) {
  for (node_index node = 0; node < layout.nodes.size(); ++node) {
    const uint64_t bytes = bytes_on(layout, where, node);
    if (bytes > memory_of(figures, node))
      return invalid(text(layout.nodes[node], " has ", memory_of(figures, node), " bytes for ",
                          bytes, " of roles"));
  }
  return {};
}

std::vector<role> roles_of(const placement& where, node_index node) {
  std::vector<role> roles;
  if (node == no_node) return roles; // plays nothing, even where nobody does
  if (where.sequencer == node)
    roles.insert(roles.end(), {{role_kind::sequencer, 0}, {role_kind::kv_cache_manager, 0}});
  for (uint32_t n = 0; n < where.stages.size(); ++n) {
    if (where.stages[n] != node) continue;
    roles.push_back({role_kind::attention_stage, n});
    if (!where.shards.empty()) roles.push_back({role_kind::gating_router, n});
  }
  for (uint32_t n = 0; n < where.shards.size(); ++n)
    if (is_in(where.shards[n], node)) roles.push_back({role_kind::expert_shard, n});
  return roles;
}

std::string describe(const placement& where, const cluster_layout& layout) {
  if (where == placement{}) return "nobody serves";
  std::string out = text("sequencer ", name_of(layout, where.sequencer));
  for (size_t n = 0; n < where.stages.size(); ++n)
    out += text(", attention_stage/", n, ' ', name_of(layout, where.stages[n]));
  for (size_t n = 0; n < where.shards.size(); ++n) {
    out += text(", expert_shard/", n);
    for (const node_index node : where.shards[n]) out += text(' ', name_of(layout, node));
  }
  return out;
}

} // namespace troupe::dataflow
