// Work by layers and experts or by rows; speeds on a coarse scale relative to the fastest.
#include "dataflow/node_figures.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace troupe::dataflow {
namespace {

// Fine enough for shares of rows; the sequencer weighs half of a layer or an expert.
constexpr uint64_t unit_work = 128;
constexpr uint64_t sequencer_work = unit_work / 2;
constexpr uint64_t rows_min = 256;               // fewer say nothing about the future
constexpr uint64_t rows_max = uint64_t{1} << 32; // of one shard, so that nothing overflows

constexpr uint32_t octave = 8;       // steps of a speed
constexpr uint32_t half_octave = 4;  // in which they are compared
constexpr uint32_t octaves_max = 10; // slower than that makes no difference any more

// Things of part `at` when `count` are cut into `parts`, larger parts first (as plan_single_node).
uint64_t share(uint32_t count, uint32_t parts, uint32_t at) {
  return count / parts + (at < count % parts ? 1 : 0);
}

uint64_t rows_of(const plan_figures& figures, uint32_t shard) {
  return std::min(figures.shard_rows[shard], rows_max);
}

uint64_t rows_of_all(const plan_figures& figures) {
  uint64_t sum = 0;
  for (uint32_t n = 0; n < figures.shard_rows.size(); ++n) sum += rows_of(figures, n);
  return sum;
}

// 2 to the power of steps / 2, times unit_time.
uint64_t slowed(uint32_t steps) {
  constexpr uint64_t root_of_two = 1448; // times 1024
  const uint64_t whole = unit_time << (steps / 2);
  return steps % 2 == 0 ? whole : whole * root_of_two / 1024;
}

} // namespace

bool rows_count(const cluster_layout& layout, const plan_figures& figures) {
  return layout.weighs_load() && layout.experts > 0 && figures.shard_rows.size() == layout.shards &&
         rows_of_all(figures) >= rows_min;
}

role_work work_of_roles(const cluster_layout& layout, const plan_figures& figures) {
  role_work out;
  out.sequencer = sequencer_work;
  for (uint32_t n = 0; n < layout.stages; ++n)
    out.stages.push_back(unit_work * share(layout.layers, layout.stages, n));
  const uint32_t shards = layout.experts == 0 ? 0 : layout.shards;
  for (uint32_t n = 0; n < shards; ++n)
    out.shards.push_back(unit_work * share(layout.experts, layout.shards, n));
  if (!rows_count(layout, figures)) return out;
  const uint64_t work = std::accumulate(out.shards.begin(), out.shards.end(), uint64_t{0});
  const uint64_t rows = rows_of_all(figures);
  for (uint32_t n = 0; n < shards; ++n)
    out.shards[n] = std::max<uint64_t>(1, work * rows_of(figures, n) / rows);
  return out;
}

std::vector<uint64_t> time_of_unit(const plan_figures& figures, const std::vector<bool>& serving) {
  std::vector<uint64_t> out(serving.size(), unit_time);
  uint32_t fastest = 0, slowest = UINT32_MAX;
  const auto speed_of = [&](size_t node) {
    return node < figures.nodes.size() ? figures.nodes[node].speed : 0;
  };
  for (size_t n = 0; n < serving.size(); ++n) {
    if (!serving[n] || speed_of(n) == 0) continue;
    fastest = std::max(fastest, speed_of(n));
    slowest = std::min(slowest, speed_of(n));
  }
  if (fastest == 0) return out;
  for (size_t n = 0; n < serving.size(); ++n) {
    const uint32_t speed = speed_of(n) == 0 ? slowest : speed_of(n);
    const uint32_t behind = std::min(fastest - std::min(speed, fastest), octaves_max * octave);
    out[n] = slowed((behind + 1) / half_octave);
  }
  return out;
}

uint64_t memory_of(const plan_figures& figures, node_index node) {
  const uint64_t told = node < figures.nodes.size() ? figures.nodes[node].memory : 0;
  return told == 0 ? UINT64_MAX : told;
}

uint64_t bytes_of_stage(const cluster_layout& layout, uint32_t stage) {
  return stage < layout.bytes.stages.size() ? layout.bytes.stages[stage] : 0;
}

uint64_t bytes_of_shard(const cluster_layout& layout, uint32_t shard) {
  return shard < layout.bytes.shards.size() ? layout.bytes.shards[shard] : 0;
}

uint64_t bytes_on(const cluster_layout& layout, const placement& where, node_index node) {
  uint64_t sum = where.sequencer == node ? layout.bytes.sequencer : 0;
  for (uint32_t n = 0; n < where.stages.size(); ++n)
    if (where.stages[n] == node) sum += bytes_of_stage(layout, n);
  for (uint32_t n = 0; n < where.shards.size(); ++n)
    for (const node_index host : where.shards[n])
      if (host == node) sum += bytes_of_shard(layout, n);
  return sum;
}

} // namespace troupe::dataflow
