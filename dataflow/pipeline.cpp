// Cutting a model into stages and shards, and naming the parts.
#include "dataflow/pipeline.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace troupe::dataflow {
namespace {

constexpr std::array<std::string_view, 10> kind_names = {
    "ingress",      "sequencer",        "attention_stage",        "gating_router",
    "expert_shard", "kv_cache_manager", "checkpoint_coordinator", "membership",
    "coordinator",  "node_supervisor"};

status invalid(std::string why) {
  return {status_code::invalid_argument, std::move(why)};
}

// The begin of part `at` when `count` things are cut into `parts`, larger parts first.
uint32_t cut(uint32_t count, uint32_t parts, uint32_t at) {
  return count / parts * at + std::min(at, count % parts);
}

status validate_stages(const pipeline_graph& graph) {
  if (graph.stages.empty()) return invalid("a pipeline without attention stages");
  uint32_t next = 0;
  for (size_t n = 0; n < graph.stages.size(); ++n) {
    const layer_range& stage = graph.stages[n];
    if (stage.begin != next || stage.end <= stage.begin || stage.end > graph.layers)
      return invalid(text("attention_stage/", n, " has layers ", stage.begin, " to ", stage.end,
                          " (excluded); it must begin at ", next, ", end later and at ",
                          graph.layers, " at most"));
    next = stage.end;
  }
  if (next != graph.layers)
    return invalid(text("the stages end at layer ", next, " of ", graph.layers));
  return {};
}

status validate_shards(const pipeline_graph& graph) {
  std::vector<bool> seen(graph.experts, false);
  uint64_t covered = 0;
  for (size_t n = 0; n < graph.shards.size(); ++n) {
    const expert_set& shard = graph.shards[n];
    if (shard.count == 0 || shard.stride == 0)
      return invalid(text("expert_shard/", n, " has no experts or stride 0"));
    const uint64_t last = shard.first + uint64_t{shard.count - 1} * shard.stride;
    if (last >= graph.experts)
      return invalid(text("expert_shard/", n, " has expert ", last, " of ", graph.experts));
    for (uint32_t local = 0; local < shard.count; ++local) {
      if (seen[shard.expert(local)])
        return invalid(text("expert ", shard.expert(local), " is in two shards, the second is ",
                            "expert_shard/", n));
      seen[shard.expert(local)] = true;
    }
    covered += shard.count;
  }
  if (covered == graph.experts) return {};
  const auto missing = std::find(seen.begin(), seen.end(), false) - seen.begin();
  return invalid(text("expert ", missing, " is in no shard"));
}

} // namespace

std::string_view to_string(role_kind kind) {
  return kind_names[static_cast<size_t>(kind)];
}

std::string to_string(const role& who) {
  return text(to_string(who.kind), '/', who.index);
}

result<role> parse_role(std::string_view name) {
  const size_t slash = name.find('/');
  const auto kind = std::find(kind_names.begin(), kind_names.end(), name.substr(0, slash));
  if (slash == std::string_view::npos || kind == kind_names.end())
    return fail(status_code::invalid_argument,
                text("'", name, "' is no role; roles read like attention_stage/0"));
  role who;
  who.kind = static_cast<role_kind>(kind - kind_names.begin());
  const std::string_view digits = name.substr(slash + 1);
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), who.index);
  const bool canonical = digits.size() == 1 || !digits.starts_with('0');
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size() || !canonical)
    return fail(status_code::invalid_argument,
                text("'", name, "' has no decimal index behind the slash"));
  return who;
}

bool expert_set::contains(uint32_t expert) const {
  return expert >= first && (expert - first) % stride == 0 && (expert - first) / stride < count;
}

uint32_t expert_set::local_index(uint32_t expert) const {
  TROUPE_CHECK(contains(expert));
  return (expert - first) / stride;
}

uint32_t pipeline_graph::stage_of(uint32_t layer) const {
  TROUPE_CHECK(layer < layers);
  const auto stage =
      std::upper_bound(stages.begin(), stages.end(), layer,
                       [](uint32_t value, const layer_range& range) { return value < range.end; });
  return static_cast<uint32_t>(stage - stages.begin());
}

uint32_t pipeline_graph::shard_of(uint32_t expert) const {
  const auto shard = std::find_if(shards.begin(), shards.end(),
                                  [expert](const expert_set& set) { return set.contains(expert); });
  TROUPE_CHECK(shard != shards.end());
  return static_cast<uint32_t>(shard - shards.begin());
}

std::vector<role> pipeline_graph::roles() const {
  std::vector<role> all = {
      {role_kind::ingress, 0}, {role_kind::sequencer, 0}, {role_kind::kv_cache_manager, 0}};
  for (uint32_t n = 0; n < stages.size(); ++n) all.push_back({role_kind::attention_stage, n});
  if (shards.empty()) return all;
  for (uint32_t n = 0; n < stages.size(); ++n) all.push_back({role_kind::gating_router, n});
  for (uint32_t n = 0; n < shards.size(); ++n) all.push_back({role_kind::expert_shard, n});
  return all;
}

status validate(const pipeline_graph& graph) {
  TROUPE_RETURN_IF_ERROR(validate_stages(graph));
  return validate_shards(graph);
}

result<pipeline_graph> plan_single_node(const single_node_args& args) {
  if (args.stages == 0 || args.stages > args.layers)
    return fail(invalid(text(args.stages, " attention stages for ", args.layers,
                             " layers; there must be 1 to ", args.layers)));
  if (args.experts > 0 && (args.shards == 0 || args.shards > args.experts))
    return fail(invalid(text(args.shards, " expert shards for ", args.experts,
                             " experts; there must be 1 to ", args.experts)));
  pipeline_graph graph;
  graph.epoch = args.epoch;
  graph.layers = args.layers;
  graph.experts = args.experts;
  for (uint32_t n = 0; n < args.stages; ++n)
    graph.stages.push_back(
        {cut(args.layers, args.stages, n), cut(args.layers, args.stages, n + 1)});
  const uint32_t shards = args.experts == 0 ? 0 : args.shards;
  for (uint32_t n = 0; n < shards; ++n) {
    const uint32_t begin = cut(args.experts, shards, n);
    const uint32_t count = cut(args.experts, shards, n + 1) - begin;
    if (args.layout == expert_layout::contiguous)
      graph.shards.push_back({begin, count, 1});
    else
      graph.shards.push_back({n, count, shards});
  }
  TROUPE_CHECK(validate(graph).ok());
  return graph;
}

} // namespace troupe::dataflow
