// Plans for nodes of any speed and memory: valid, within memory, still, and near the best.
#include "dataflow/placement.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace troupe::dataflow {
namespace {

constexpr uint64_t mib = 1 << 20;

// A cluster drawn from a seed, with everything that a plan goes by.
struct drawn_cluster {
  explicit drawn_cluster(uint64_t seed) : key{seed, random_subsystem::faults, 2} {
    const uint64_t nodes = 1 + below(8);
    for (uint64_t n = 0; n < nodes; ++n) layout.nodes.push_back(std::string(1, char('a' + n)));
    layout.layers = number(1, 12);
    layout.stages = number(1, layout.layers);
    layout.experts = number(0, 20);
    layout.shards = layout.experts == 0 ? 1 : number(1, layout.experts);
    layout.shard_copies = number(1, 3);
    serving.assign(nodes, true);
  }
  uint64_t below(uint64_t bound) { return random_below(key, draws++, bound); }
  uint32_t number(uint64_t least, uint64_t most) {
    return static_cast<uint32_t>(least + below(most - least + 1));
  }
  void draw_speeds() {
    figures.nodes.resize(serving.size());
    for (auto& node : figures.nodes) node.speed = number(40, 80);
  }
  void draw_bytes() {
    layout.bytes.sequencer = below(10) * mib;
    layout.bytes.stages.clear();
    layout.bytes.shards.clear();
    for (uint32_t n = 0; n < layout.stages; ++n)
      layout.bytes.stages.push_back((1 + below(40)) * mib);
    const uint32_t shards = layout.experts == 0 ? 0 : layout.shards;
    for (uint32_t n = 0; n < shards; ++n) layout.bytes.shards.push_back((1 + below(40)) * mib);
  }
  void draw_memory(uint64_t most) {
    figures.nodes.resize(serving.size());
    for (auto& node : figures.nodes) node.memory = 1 + below(most);
  }
  uint64_t needed() const {
    const auto sum = [](const auto& of) {
      return std::accumulate(of.begin(), of.end(), uint64_t{});
    };
    return layout.bytes.sequencer + sum(layout.bytes.stages) + sum(layout.bytes.shards);
  }

  random_key key;
  uint64_t draws = 0;
  cluster_layout layout;
  plan_figures figures;
  std::vector<bool> serving;
};

// Work of all roles on each node, copies in full.
std::vector<uint64_t> loads_of(const placement& where, const drawn_cluster& cluster) {
  const auto work = work_of_roles(cluster.layout, cluster.figures);
  std::vector<uint64_t> out(cluster.serving.size(), 0);
  out[where.sequencer] += work.sequencer;
  for (size_t n = 0; n < where.stages.size(); ++n) out[where.stages[n]] += work.stages[n];
  for (size_t n = 0; n < where.shards.size(); ++n)
    for (const node_index node : where.shards[n]) out[node] += work.shards[n];
  return out;
}

// No plan takes less: the k heaviest roles need as long as the k fastest nodes take for them
// together, and all roles as long as all nodes.
double least_time(std::vector<uint64_t> roles, std::vector<uint64_t> times) {
  std::sort(roles.begin(), roles.end(), std::greater<>());
  std::sort(times.begin(), times.end());
  double best = 0, work = 0, speed = 0;
  for (size_t k = 0; k < roles.size(); ++k) {
    work += static_cast<double>(roles[k]);
    if (k < times.size()) speed += 1.0 / static_cast<double>(times[k]);
    best = std::max(best, work / speed);
  }
  return best;
}

uint32_t moves(const placement& before, const placement& after, const std::vector<bool>& serving) {
  const auto stays = [&](node_index node) { return node != no_node && serving[node]; };
  uint32_t count = stays(before.sequencer) && before.sequencer != after.sequencer;
  for (size_t n = 0; n < before.stages.size() && n < after.stages.size(); ++n)
    count += stays(before.stages[n]) && before.stages[n] != after.stages[n];
  for (size_t n = 0; n < before.shards.size() && n < after.shards.size(); ++n)
    for (const node_index host : before.shards[n])
      count += stays(host) && std::count(after.shards[n].begin(), after.shards[n].end(), host) == 0;
  return count;
}

TEST(placement_property_test, equal_speeds_and_enough_memory_change_no_plan) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    drawn_cluster cluster(seed);
    cluster.draw_bytes();
    cluster.figures.nodes.assign(cluster.serving.size(), {.speed = 57, .memory = 8192 * mib});
    for (auto& node : cluster.figures.nodes) // noise
      node.speed -= static_cast<uint32_t>(cluster.below(3));
    cluster.figures.shard_rows.assign(cluster.layout.bytes.shards.size(), 0);
    for (auto& rows : cluster.figures.shard_rows) rows = cluster.below(100000); // copies_max is 0
    placement plan, plain;
    for (int step = 0; step < 30; ++step) {
      const size_t node = cluster.below(cluster.serving.size());
      cluster.serving[node] = !cluster.serving[node];
      plan = plan_placement(cluster.layout, plan, cluster.serving, cluster.figures);
      plain = plan_placement(cluster.layout, plain, cluster.serving);
      ASSERT_EQ(plan, plain) << seed;
    }
  }
}

TEST(placement_property_test, uneven_speeds_keep_plans_valid_and_still) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    drawn_cluster cluster(seed);
    cluster.draw_speeds();
    cluster.serving.assign(cluster.serving.size(), false);
    placement plan;
    for (int step = 0; step < 40; ++step) {
      const size_t node = cluster.below(cluster.serving.size());
      cluster.serving[node] = !cluster.serving[node];
      const auto next = plan_placement(cluster.layout, plan, cluster.serving, cluster.figures);
      const auto s = validate(next, cluster.layout, cluster.serving);
      ASSERT_TRUE(s.ok()) << seed << ": " << s.why();
      ASSERT_LE(moves(plan, next, cluster.serving), 1u) << seed;
      plan = next;
    }
  }
}

TEST(placement_property_test, plans_come_to_rest) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    drawn_cluster cluster(seed);
    cluster.draw_speeds();
    placement plan = plan_placement(cluster.layout, {}, cluster.serving);
    bool rests = false;
    for (int step = 0; step < 200 && !rests; ++step) {
      const auto next = plan_placement(cluster.layout, plan, cluster.serving, cluster.figures);
      rests = next == plan;
      plan = next;
    }
    ASSERT_TRUE(rests) << seed;
  }
}

// Heaviest first is within twice the best on machines of uneven speed (Gonzalez, Ibarra and Sahni,
// "Bounds for LPT schedules on uniform processors", 1977). One copy, for copies must lie apart.
TEST(placement_property_test, first_plans_are_within_twice_the_best) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    drawn_cluster cluster(seed);
    cluster.layout.shard_copies = 1;
    cluster.draw_speeds();
    const auto plan = plan_placement(cluster.layout, {}, cluster.serving, cluster.figures);
    const auto loads = loads_of(plan, cluster);
    const auto times = time_of_unit(cluster.figures, cluster.serving);
    const auto work = work_of_roles(cluster.layout, cluster.figures);
    uint64_t longest = 0;
    for (size_t n = 0; n < loads.size(); ++n) longest = std::max(longest, loads[n] * times[n]);
    std::vector<uint64_t> roles = work.stages;
    roles.insert(roles.end(), work.shards.begin(), work.shards.end());
    const double best = least_time(roles, times);
    ASSERT_LE(static_cast<double>(longest), 2 * best)
        << seed << ' ' << describe(plan, cluster.layout);
  }
}

TEST(placement_property_test, of_two_nodes_the_faster_one_has_no_less_in_a_first_plan) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    drawn_cluster cluster(seed);
    cluster.draw_speeds();
    const auto plan = plan_placement(cluster.layout, {}, cluster.serving, cluster.figures);
    const auto loads = loads_of(plan, cluster);
    const auto times = time_of_unit(cluster.figures, cluster.serving);
    for (size_t a = 0; a < loads.size(); ++a)
      for (size_t b = 0; b < loads.size(); ++b) {
        if (times[a] >= times[b]) continue;
        ASSERT_GE(loads[a], loads[b]) << seed << ' ' << describe(plan, cluster.layout);
      }
  }
}

TEST(placement_property_test, a_node_that_grows_faster_gets_no_less) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    drawn_cluster cluster(seed);
    cluster.draw_speeds();
    const auto before = plan_placement(cluster.layout, {}, cluster.serving, cluster.figures);
    const size_t node = cluster.below(cluster.serving.size());
    cluster.figures.nodes[node].speed += 4;
    const auto after = plan_placement(cluster.layout, {}, cluster.serving, cluster.figures);
    ASSERT_GE(loads_of(after, cluster)[node], loads_of(before, cluster)[node]) << seed;
  }
}

TEST(placement_property_test, no_node_gets_more_bytes_than_it_has) {
  uint32_t short_of_copies = 0, nowhere = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    drawn_cluster cluster(seed);
    cluster.draw_bytes();
    cluster.draw_speeds();
    cluster.draw_memory(2 * cluster.needed() / cluster.serving.size() + 40 * mib);
    placement plan;
    for (int step = 0; step < 30; ++step) {
      const size_t node = cluster.below(cluster.serving.size());
      cluster.serving[node] = !cluster.serving[node];
      plan = plan_placement(cluster.layout, plan, cluster.serving, cluster.figures);
      const bool anybody = std::count(cluster.serving.begin(), cluster.serving.end(), true) > 0;
      if (plan == placement{}) {
        nowhere += anybody;
        const auto why = why_no_room(cluster.layout, cluster.serving, cluster.figures);
        ASSERT_EQ(why.empty(), !anybody) << seed;
        continue;
      }
      ASSERT_TRUE(validate(plan, cluster.layout, cluster.serving).ok()) << seed;
      const auto s = validate_memory(plan, cluster.layout, cluster.figures);
      ASSERT_TRUE(s.ok()) << seed << ": " << s.why();
      for (const auto& copies : plan.shards)
        short_of_copies += copies.size() < cluster.layout.shard_copies;
    }
  }
  EXPECT_GT(short_of_copies, 0u); // or nothing was short
  EXPECT_GT(nowhere, 0u);
}

// With at most six roles every way to place one copy of each can be tried.
bool fits_somehow(const drawn_cluster& cluster, std::vector<uint64_t> roles,
                  std::vector<uint64_t>& room) {
  if (roles.empty()) return true;
  const uint64_t bytes = roles.back();
  roles.pop_back();
  for (auto& each : room) {
    if (each < bytes) continue;
    each -= bytes;
    const bool fits = fits_somehow(cluster, roles, room);
    each += bytes;
    if (fits) return true;
  }
  return false;
}

TEST(placement_property_test, what_fits_is_nearly_always_placed) {
  uint32_t fitting = 0, missed = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    drawn_cluster cluster(seed);
    cluster.layout.layers = cluster.layout.stages = cluster.number(1, 2);
    cluster.layout.experts = cluster.layout.shards = cluster.number(1, 3);
    cluster.draw_bytes();
    cluster.draw_memory(2 * cluster.needed() / cluster.serving.size());
    auto roles = cluster.layout.bytes.stages;
    const auto& shards = cluster.layout.bytes.shards;
    roles.insert(roles.end(), shards.begin(), shards.end());
    roles.push_back(cluster.layout.bytes.sequencer);
    std::vector<uint64_t> room;
    for (const auto& node : cluster.figures.nodes) room.push_back(node.memory);
    const bool fits = fits_somehow(cluster, roles, room);
    const auto plan = plan_placement(cluster.layout, {}, cluster.serving, cluster.figures);
    ASSERT_TRUE(fits || plan == placement{}) << seed;
    fitting += fits;
    missed += fits && plan == placement{};
  }
  EXPECT_GT(fitting, 150u);
  EXPECT_LE(missed * 50, fitting) << missed;
}

} // namespace
} // namespace troupe::dataflow
