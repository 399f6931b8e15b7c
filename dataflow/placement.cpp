// Keeps roles where they are, rehomes what lost its node, moves one role towards balance, and
// spreads the work over copies.
#include "dataflow/placement.hpp"

#include "base/mutant.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <tuple>

namespace troupe::dataflow {
namespace {

constexpr uint64_t sequencer_load = 1; // everything else weighs at least twice that
constexpr uint64_t unit_load = 2;      // of a layer of a stage, of an expert of a shard

// Things of part `at` when `count` are cut into `parts`, larger parts first (as plan_single_node).
uint64_t share(uint32_t count, uint32_t parts, uint32_t at) {
  return count / parts + (at < count % parts ? 1 : 0);
}

uint32_t shards_of(const cluster_layout& layout) {
  return layout.experts == 0 ? 0 : layout.shards;
}

bool is_in(const std::vector<node_index>& nodes, node_index node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

class planner {
public:
  planner(const cluster_layout& layout, const std::vector<bool>& serving)
      : layout_(layout), serving_(serving), loads_(serving.size(), 0) {
    plan_.stages.assign(layout.stages, no_node);
    plan_.shards.resize(shards_of(layout));
    const auto count = static_cast<uint32_t>(std::count(serving.begin(), serving.end(), true));
    copies_ = std::min(layout.shard_copies, count);
  }

  placement plan(const placement& current) {
    keep(current);
    rehome();
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
  };

  uint64_t stage_load(uint32_t stage) const {
    return unit_load * share(layout_.layers, layout_.stages, stage);
  }
  uint64_t shard_load(uint32_t shard) const {
    return unit_load * share(layout_.experts, layout_.shards, shard);
  }
  bool serves(node_index node) const { return node < serving_.size() && serving_[node]; }

  void keep(const placement& current) {
    if (serves(current.sequencer)) {
      plan_.sequencer = current.sequencer;
      loads_[current.sequencer] += sequencer_load;
    }
    const size_t stages = std::min(current.stages.size(), plan_.stages.size());
    for (uint32_t n = 0; n < stages; ++n) {
      if (!serves(current.stages[n])) continue;
      plan_.stages[n] = current.stages[n];
      loads_[current.stages[n]] += stage_load(n);
    }
    const size_t shards = std::min(current.shards.size(), plan_.shards.size());
    for (uint32_t n = 0; n < shards; ++n)
      for (const node_index node : current.shards[n])
        if (plan_.shards[n].size() < copies_ && serves(node) && !is_in(plan_.shards[n], node))
          add_copy(n, node);
  }

  void add_copy(uint32_t shard, node_index node) {
    plan_.shards[shard].push_back(node);
    loads_[node] += shard_load(shard);
  }

  // Heaviest first, which balances better than any order that does not look at the load.
  void rehome() {
    std::vector<homeless> roles;
    if (plan_.sequencer == no_node) roles.push_back({sequencer_load, kind::sequencer, 0});
    for (uint32_t n = 0; n < plan_.stages.size(); ++n)
      if (plan_.stages[n] == no_node) roles.push_back({stage_load(n), kind::stage, n});
    for (uint32_t n = 0; n < plan_.shards.size(); ++n)
      for (size_t copy = plan_.shards[n].size(); copy < copies_; ++copy)
        roles.push_back({shard_load(n), kind::shard, n});
    std::stable_sort(roles.begin(), roles.end(), [](const homeless& a, const homeless& b) {
      return std::tuple(b.load, a.what, a.index) < std::tuple(a.load, b.what, b.index);
    });
    for (const homeless& role : roles) settle(role);
  }

  void settle(const homeless& role) {
    static const std::vector<node_index> nobody;
    const node_index home =
        least_loaded(role.what == kind::shard ? plan_.shards[role.index] : nobody);
    if (role.what == kind::shard) return add_copy(role.index, home);
    loads_[home] += role.load;
    (role.what == kind::stage ? plan_.stages[role.index] : plan_.sequencer) = home;
  }

  // The serving node with the least load that is not among `taken`.
  node_index least_loaded(const std::vector<node_index>& taken) const {
    node_index best = no_node;
    for (node_index node = 0; node < serving_.size(); ++node) {
      if (!serving_[node]) continue;
      if (is_in(taken, node) && !TROUPE_MUTANT(copies_on_one_node)) continue;
      if (best == no_node || loads_[node] < loads_[best]) best = node;
    }
    return best;
  }

  node_index most_loaded() const {
    node_index best = no_node;
    for (node_index node = 0; node < serving_.size(); ++node)
      if (serving_[node] && (best == no_node || loads_[node] > loads_[best])) best = node;
    return best;
  }

  // One role from the most to the least loaded node, where the larger of their loads shrinks the
  // most. What costs nothing but loading weights goes before what loses KV pages: a copy of a shard
  // that is not the preferred one, a preferred one, and only then a stage. Moving the sequencer
  // never makes a difference worth having.
  void rebalance() {
    const node_index from = most_loaded();
    const node_index to = least_loaded({});
    if (from == to) return;
    const uint64_t before = loads_[from];
    uint64_t best = before;
    node_index* moved = nullptr;
    const auto consider = [&](node_index& role, uint64_t load) {
      const uint64_t after = std::max(before - load, loads_[to] + load);
      if (after >= best) return;
      best = after;
      moved = &role;
    };
    for (const bool preferred : {false, true}) {
      for (uint32_t n = 0; moved == nullptr && n < plan_.shards.size(); ++n) {
        auto& copies = plan_.shards[n];
        if (is_in(copies, to)) continue;
        for (size_t c = 0; c < copies.size(); ++c)
          if (copies[c] == from && (c == 0) == preferred) consider(copies[c], shard_load(n));
      }
    }
    for (uint32_t n = 0; moved == nullptr && n < plan_.stages.size(); ++n)
      if (plan_.stages[n] == from) consider(plan_.stages[n], stage_load(n));
    if (moved != nullptr) *moved = to;
  }

  // The copies that are asked first do the work of a shard; the others wait. So that the work is
  // spread like the copies, each shard in turn prefers the copy on the node with the least work, of
  // equals the one that is preferred now. A new copy, which has to load its weights first, waits
  // while there is an older one.
  void prefer(const placement& current) {
    std::vector<uint64_t> work(serving_.size(), 0);
    work[plan_.sequencer] += sequencer_load;
    for (uint32_t n = 0; n < plan_.stages.size(); ++n) work[plan_.stages[n]] += stage_load(n);
    for (uint32_t n = 0; n < plan_.shards.size(); ++n) {
      auto& copies = plan_.shards[n];
      const auto is_new = [&](node_index node) {
        return n >= current.shards.size() || !is_in(current.shards[n], node);
      };
      const auto less = [&](node_index a, node_index b) {
        return std::tuple(is_new(a), work[a]) < std::tuple(is_new(b), work[b]);
      };
      const auto best = std::min_element(copies.begin(), copies.end(), less);
      std::rotate(copies.begin(), best, best + 1);
      work[copies.front()] += shard_load(n);
    }
  }

  const cluster_layout& layout_;
  const std::vector<bool>& serving_;
  std::vector<uint64_t> loads_; // per node, whether the copies on it are preferred or not
  uint32_t copies_ = 0;         // of every shard
  placement plan_;
};

status invalid(std::string why) {
  return {status_code::invalid_argument, std::move(why)};
}

std::string name_of(const cluster_layout& layout, node_index node) {
  return node < layout.nodes.size() ? layout.nodes[node] : "nobody";
}

} // namespace

placement plan_placement(const cluster_layout& layout, const placement& current,
                         const std::vector<bool>& serving) {
  TROUPE_CHECK(serving.size() == layout.nodes.size());
  if (std::find(serving.begin(), serving.end(), true) == serving.end()) return {};
  return planner(layout, serving).plan(current);
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
