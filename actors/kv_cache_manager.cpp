// Carries rounds of page book-keeping to dataflow::kv_pages and answers with what changed.
#include "actors/kv_cache_manager.hpp"

#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "base/mutant.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <set>
#include <utility>

namespace troupe::actors {
namespace {

struct kv_cache_manager_state {
  using self_pointer = kv_cache_manager::stateful_pointer<kv_cache_manager_state>;
  static inline const char* name = "kv_cache_manager";

  explicit kv_cache_manager_state(self_pointer owner) : self(owner) {}

  void start(const kv_cache_manager_options& o) {
    options = o;
    pages = std::make_unique<dataflow::kv_pages>(o.pages);
    report();
  }

  // A new epoch begins with no open sequence; cached pages stay unless their bytes are gone.
  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    for (const auto id : open) pages->close(id);
    open.clear();
    if (in.kv_lost && !TROUPE_MUTANT(lost_pages_kept)) pages->drop_cached();
    report();
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  void update(const update_pages& in) {
    if (in.epoch != epoch) return; // fenced
    page_round_result out;
    std::set<dataflow::sequence_id> changed;
    for (const auto& commit : in.work->commits)
      if (open.count(commit.id) != 0 && pages->commit(commit.id, commit.computed))
        changed.insert(commit.id);
    for (const auto id : in.work->closes) {
      close(id);
      changed.erase(id);
    }
    for (const auto& opening : in.work->openings)
      out.openings.push_back(open_one(opening, changed));
    for (const auto& extension : in.work->extensions) extend(extension, changed, out);
    for (const auto id : changed) {
      const auto table = pages->pages(id);
      out.tables.push_back({id, {table.begin(), table.end()}});
    }
    out.pages_available = pages->available();
    report();
    self->send(routes->sequencer.handle,
               pages_updated{epoch, in.round, make_local(std::move(out))});
  }

  page_round_result::opened open_one(const page_round::opening& opening,
                                     std::set<dataflow::sequence_id>& changed) {
    page_round_result::opened out;
    out.id = opening.id;
    auto opened = pages->open({.id = opening.id,
                               .tokens = opening.tokens,
                               .salt = opening.salt,
                               .weight_version = opening.weight_version,
                               .reuse = opening.reuse});
    if (!opened) {
      out.why = opened.error();
      return out;
    }
    open.insert(opening.id);
    changed.insert(opening.id);
    out.cached_tokens = opened->cached_tokens;
    return out;
  }

  void extend(const page_round::extension& extension, std::set<dataflow::sequence_id>& changed,
              page_round_result& out) {
    if (open.count(extension.id) == 0) return;
    if (pages->extend(extension.id, extension.tokens_total).ok())
      changed.insert(extension.id);
    else
      out.not_extended.push_back(extension.id);
  }

  void close(dataflow::sequence_id id) {
    if (open.erase(id) != 0) pages->close(id);
  }

  void report() {
    const auto stats = pages->stats();
    set(options.board->pages_total, stats.pages_total);
    set(options.board->pages_used, stats.pages_used);
    set(options.board->pages_cached, stats.pages_cached);
    set(options.board->prefix_queries, stats.queries_tokens);
    set(options.board->cached_tokens, stats.hit_tokens);
  }

  self_pointer self;
  kv_cache_manager_options options;
  std::unique_ptr<dataflow::kv_pages> pages;
  std::set<dataflow::sequence_id> open;
  uint64_t epoch = 0;
  local_ref<route_table> routes;
};

kv_cache_manager::behavior_type kv_cache_manager_behavior(kv_cache_manager_state::self_pointer self,
                                                          kv_cache_manager_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const update_pages& in) { state->update(in); },
  };
}

} // namespace

kv_cache_manager spawn_kv_cache_manager(caf::actor_system& system,
                                        const kv_cache_manager_options& options) {
  return system.spawn(kv_cache_manager_behavior, options);
}

} // namespace troupe::actors
