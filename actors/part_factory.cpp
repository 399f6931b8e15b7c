// One function per role: which of the node's resources its part gets.
#include "actors/part_factory.hpp"

#include "actors/attention_stage.hpp"
#include "actors/expert_shard.hpp"
#include "actors/gating_router.hpp"
#include "actors/ingress.hpp"
#include "actors/kv_cache_manager.hpp"
#include "actors/model_bundle.hpp"
#include "actors/recompute_cost.hpp"
#include "actors/sequencer.hpp"
#include "base/text.hpp"

namespace troupe::actors {
namespace {

using dataflow::role_kind;

ingress make_ingress(caf::actor_system& system, const node_resources& r, uint32_t number) {
  return spawn_ingress(system, {.tokenizer = r.bundle->tokenizer.get(),
                                .board = r.board,
                                .time = r.time,
                                .trace = r.trace,
                                .part = number});
}

sequencer make_sequencer(caf::actor_system& system, const node_resources& r, uint32_t number) {
  return spawn_sequencer(system, {.limits = r.limits,
                                  .positions_max = r.positions_max,
                                  .page_tokens = r.page_tokens,
                                  .prefix_cache = r.prefix_cache,
                                  .draft_tokens_max = r.draft_tokens_max,
                                  .restores_pages = r.archive != nullptr,
                                  .weight_version = r.bundle->weight_version,
                                  .eos_ids = r.eos_ids,
                                  .description = r.bundle->description.get(),
                                  .tokenizer = r.bundle->tokenizer.get(),
                                  .executor = r.executor,
                                  .steps = r.steps,
                                  .board = r.board,
                                  .time = r.time,
                                  .trace = r.trace,
                                  .step_max = r.step_max,
                                  .part = number});
}

kv_cache_manager make_kv_cache_manager(caf::actor_system& system, const node_resources& r,
                                       uint32_t number) {
  return spawn_kv_cache_manager(
      system, {.pages = {.page_count = r.page_count,
                         .page_tokens = r.page_tokens,
                         .eviction = r.eviction,
                         .attention_positions = attention_positions_of(*r.bundle->description)},
               .archive = r.archive,
               .board = r.board,
               .part = number});
}

attention_stage make_stage(caf::actor_system& system, const node_resources& r, uint32_t stage,
                           stage_memory* memory, uint32_t number) {
  return spawn_attention_stage(system, {.stage = stage,
                                        .layers = r.graph.stages[stage],
                                        .description = r.bundle->description.get(),
                                        .weights = r.bundle->weights.get(),
                                        .executor = r.executor,
                                        .steps = r.steps,
                                        .memory = memory,
                                        .trace = r.trace,
                                        .part = number});
}

gating_router make_router(caf::actor_system& system, const node_resources& r, uint32_t stage,
                          uint32_t number) {
  return spawn_gating_router(system, {.stage = stage,
                                      .description = r.bundle->description.get(),
                                      .weights = r.bundle->weights.get(),
                                      .executor = r.executor,
                                      .steps = r.steps,
                                      .board = r.board,
                                      .time = r.time,
                                      .trace = r.trace,
                                      .reroute_after = r.reroute_after,
                                      .shard_copies = r.shard_copies,
                                      .part = number});
}

expert_shard make_shard(caf::actor_system& system, const node_resources& r, uint32_t shard,
                        uint32_t number) {
  return spawn_expert_shard(system, {.shard = shard,
                                     .description = r.bundle->description.get(),
                                     .weights = r.bundle->weights.get(),
                                     .executor = r.executor,
                                     .steps = r.steps,
                                     .trace = r.trace,
                                     .part = number});
}

} // namespace

result<caf::actor> make_part(caf::actor_system& system, const node_resources& resources,
                             const dataflow::role& who, uint32_t number) {
  const auto any = [](const auto& handle) { return caf::actor_cast<caf::actor>(handle); };
  switch (who.kind) {
    case role_kind::ingress:
      return any(make_ingress(system, resources, number));
    case role_kind::sequencer:
      return any(make_sequencer(system, resources, number));
    case role_kind::kv_cache_manager:
      return any(make_kv_cache_manager(system, resources, number));
    case role_kind::attention_stage: {
      auto memory = resources.memory_of(who.index);
      if (!memory) return fail(memory.error().within(to_string(who)));
      return any(make_stage(system, resources, who.index, *memory, number));
    }
    case role_kind::gating_router:
      return any(make_router(system, resources, who.index, number));
    case role_kind::expert_shard:
      return any(make_shard(system, resources, who.index, number));
    default:
      break;
  }
  return fail(status_code::unsupported, text("no part plays ", to_string(who)));
}

} // namespace troupe::actors
