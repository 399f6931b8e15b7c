// Checks a node's options, plans its graph and makes its memory.
#include "actors/node_state.hpp"

#include "base/text.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace troupe::actors {
namespace {

constexpr uint64_t kv_bytes_default_max = uint64_t{2} << 30;
constexpr duration step_deadline = std::chrono::seconds(120);

status check_range(const char* name, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return {};
  return status(status_code::invalid_argument,
                text(name, " is ", value, "; it must be from ", least, " to ", most));
}

} // namespace

status node_state::check(const node_options& options) const {
  TROUPE_RETURN_IF_ERROR(check_range("page_tokens", options.page_tokens, 8, 64));
  if ((options.page_tokens & (options.page_tokens - 1)) != 0)
    return status(status_code::invalid_argument,
                  text("page_tokens is ", options.page_tokens, "; it must be 8, 16, 32 or 64"));
  TROUPE_RETURN_IF_ERROR(check_range("actor_threads", options.actor_threads, 1, 64));
  TROUPE_RETURN_IF_ERROR(check_range("step_tokens_max", options.step_tokens_max, 1, 65536));
  return dataflow::validate(resources.limits);
}

status node_state::prepare(std::shared_ptr<const model_bundle> bundle, const seams& seams,
                           const node_options& options, const dataflow::cluster_layout* cluster) {
  const auto& description = *bundle->description;
  auto& r = resources;
  r.executor = seams.executor;
  r.time = seams.time;
  r.trace = seams.trace;
  r.step_max = step_deadline;
  r.page_tokens = options.page_tokens;
  r.prefix_cache = options.prefix_cache;
  r.draft_tokens_max = options.draft_tokens_max;
  r.eviction = options.eviction;
  std::set<int32_t> eos(description.eos_ids.begin(), description.eos_ids.end());
  eos.insert(bundle->generation_defaults->eos_ids.begin(),
             bundle->generation_defaults->eos_ids.end());
  r.eos_ids.assign(eos.begin(), eos.end());
  r.limits = {.tokens_max = options.step_tokens_max,
              .sequences_max = options.sequences_max,
              .queue_max = options.queue_max,
              .prefill_chunk_max = std::min(options.prefill_chunk_max, options.step_tokens_max),
              .mixed_prefill_max = options.mixed_prefill_max,
              .max_batch_size = options.max_batch_size,
              .max_wait = std::chrono::microseconds(options.max_wait_us)};
  TROUPE_RETURN_IF_ERROR(check(options));
  r.positions_max = options.positions_max != 0
                        ? options.positions_max
                        : std::min(description.positions_max, positions_max_default);
  TROUPE_RETURN_IF_ERROR(
      check_range("positions_max", r.positions_max, 1, description.positions_max));
  r.bundle = std::move(bundle);
  TROUPE_RETURN_IF_ERROR(plan_graph(options, cluster));
  board = std::make_unique<metrics_board>(r.graph.layers, r.graph.experts);
  r.board = board.get();
  board->eviction = options.eviction;
  TROUPE_RETURN_IF_ERROR(size_pages(options));
  memories.resize(r.graph.stages.size());
  r.memory_of = [this](uint32_t stage) { return memory_of(stage); };
  if (cluster == nullptr)
    for (uint32_t stage = 0; stage < memories.size(); ++stage)
      if (auto made = memory_of(stage); !made) return made.error();
  return make_steps(cluster != nullptr);
}

status node_state::open_archive(const kv_persistence& persistence) {
  auto& r = resources;
  kv_archive_parts parts{.disk = persistence.disk.get(),
                         .worker = persistence.worker.get(),
                         .bytes_max = persistence.bytes_max,
                         .executor = r.executor,
                         .bundle = r.bundle.get(),
                         .memories = {},
                         .page_tokens = r.page_tokens,
                         .board = r.board};
  for (const auto& memory : memories) parts.memories.push_back(memory.get());
  auto opened = kv_archive::open(parts);
  if (!opened) return opened.error();
  archive = std::move(*opened);
  r.archive = archive.get();
  board->archives = true;
  return {};
}

status node_state::plan_graph(const node_options& options,
                              const dataflow::cluster_layout* cluster) {
  const auto& description = *resources.bundle->description;
  auto graph = dataflow::plan_single_node(
      {.layers = static_cast<uint32_t>(description.layers.size()),
       .experts = description.experts_max(),
       .stages = cluster != nullptr ? cluster->stages : options.attention_stages,
       .shards = cluster != nullptr ? cluster->shards : options.expert_shards});
  if (!graph) return graph.error();
  resources.graph = std::move(*graph);
  return {};
}

// Enough pages for every running sequence at full length, within the memory allowed; at least for
// one.
status node_state::size_pages(const node_options& options) {
  auto& r = resources;
  const uint64_t page_bytes = kv_bytes_per_page(*r.bundle->description, r.page_tokens);
  const uint64_t pages_of_one = (r.positions_max + r.page_tokens - 1) / r.page_tokens;
  const uint64_t wanted = pages_of_one * r.limits.sequences_max;
  uint64_t pages = std::min(wanted, kv_bytes_default_max / page_bytes);
  if (options.kv_bytes != 0) pages = options.kv_bytes / page_bytes;
  if (options.kv_bytes == 0) pages = std::max(pages, pages_of_one);
  if (pages < pages_of_one)
    return status(status_code::invalid_argument,
                  text("kv_bytes is ", options.kv_bytes, "; one sequence of ", r.positions_max,
                       " positions alone needs ", pages_of_one * page_bytes));
  r.page_count = static_cast<uint32_t>(std::min<uint64_t>(pages, UINT32_MAX / r.page_tokens - 1));
  return {};
}

result<stage_memory*> node_state::memory_of(uint32_t stage) {
  auto& place = memories[stage];
  if (place) return place.get();
  const auto& r = resources;
  const auto& description = *r.bundle->description;
  const auto& range = r.graph.stages[stage];
  auto memory = std::make_unique<stage_memory>();
  memory->page_count = r.page_count;
  memory->page_tokens = r.page_tokens;
  memory->positions_max = r.positions_max;
  memory->rotary = model::rotary_table(description.rope, r.positions_max, r.limits.tokens_max);
  for (uint32_t layer = range.begin; layer < range.end; ++layer) {
    const auto shape = model::kv_shape_of(description.layers[layer].attention, r.page_tokens);
    auto pages = r.executor->allocate(compute::kv_page_bytes(shape) * r.page_count);
    if (!pages) return fail(pages.error().within(text("KV pages of layer ", layer)));
    memory->pages.push_back(std::move(*pages));
  }
  place = std::move(memory);
  return place.get();
}

status node_state::make_steps(bool clustered) {
  auto& r = resources;
  const uint32_t rows = r.limits.tokens_max;
  auto pool = step_pool::make({.description = r.bundle->description.get(),
                               .weights = r.bundle->weights.get(),
                               .graph = &r.graph,
                               .clustered = clustered,
                               .limits = {rows, std::min(rows, r.limits.sequences_max)}},
                              *r.executor);
  if (!pool) return pool.error();
  steps = std::move(*pool);
  r.steps = steps.get();
  return {};
}

} // namespace troupe::actors
