// Carries rounds of page book-keeping to dataflow::kv_pages and answers with what changed. With an
// archive, full pages are saved as they come, and pages on the disk are computed by reading them: a
// sequence of the manager's own takes pages, has them filled, and leaves them cached.
#include "actors/kv_cache_manager.hpp"

#include "actors/kv_archive.hpp"
#include "actors/kv_saver.hpp"
#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "base/check.hpp"
#include "base/mutant.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <utility>

namespace troupe::actors {

// A save has ended.
struct page_written {
  local_ref<kv_archive::saved_page> what;
};
// Pages have been read from the disk.
struct pages_read {
  uint64_t restore = 0;
  local_ref<kv_archive::read_result> what;
};
// They are in memory.
struct pages_placed {
  uint64_t restore = 0;
  status_code code = status_code::ok;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, page_written& x) {
  return f(caf::meta::type_name("page_written"), x.what);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pages_read& x) {
  return f(caf::meta::type_name("pages_read"), x.restore, x.what);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pages_placed& x) {
  return f(caf::meta::type_name("pages_placed"), x.restore, x.code);
}

namespace {

using self_type = kv_cache_manager::extend<caf::reacts_to<page_written>, caf::reacts_to<pages_read>,
                                           caf::reacts_to<pages_placed>>;

constexpr uint64_t read_at_once_max = uint64_t{32} << 20; // bytes of pages
// Ids of the manager's own sequences; the sequencer counts from 1.
constexpr dataflow::sequence_id own_sequences = dataflow::sequence_id{1} << 63;

// Pages that are being brought back for a request.
struct restoring {
  restore_pages asked;
  dataflow::sequence_id id = 0;
  std::shared_ptr<const std::vector<int32_t>> tokens; // shared with the reading job
  std::vector<kv_archive::wanted_page> wanted;
  uint32_t first = 0;  // page of the sequence that wanted[0] is
  uint32_t placed = 0; // of the wanted
  uint32_t placing = 0;
};

struct kv_cache_manager_state {
  using self_pointer = self_type::stateful_pointer<kv_cache_manager_state>;
  static inline const char* name = "kv_cache_manager";

  explicit kv_cache_manager_state(self_pointer owner) : self(owner) {}

  void start(const kv_cache_manager_options& o) {
    options = o;
    pages = std::make_unique<dataflow::kv_pages>(o.pages);
    if (options.archive != nullptr) saver.emplace(*options.archive, o.pages.page_tokens);
    report();
  }

  // A new epoch begins with no open sequence; cached pages stay unless their bytes are gone.
  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    for (const auto id : open) pages->close(id);
    open.clear();
    if (saver) saver->clear();
    restores.clear();
    end_restore();
    if (in.kv_lost && !TROUPE_MUTANT(lost_pages_kept)) pages->drop_cached();
    report();
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  void update(const update_pages& in) {
    if (in.epoch != epoch) return; // fenced
    page_round_result out;
    std::set<dataflow::sequence_id> changed;
    for (const auto& commit : in.work->commits) commit_one(commit, changed);
    save();
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
    if (!current) next_restore();
    report();
    self->send(routes->sequencer.handle,
               pages_updated{epoch, in.round, make_local(std::move(out))});
  }

  void commit_one(const page_round::commit& commit, std::set<dataflow::sequence_id>& changed) {
    if (open.count(commit.id) == 0) return;
    if (pages->commit(commit.id, commit.computed)) changed.insert(commit.id);
    if (saver) saver->computed(commit.id, commit.computed);
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
    if (saver)
      saver->opened(opening.id, opening.salt, opening.weight_version,
                    std::span(opening.tokens).first(opened->cached_tokens));
    return out;
  }

  // Sequences that run come before pages that are being brought back.
  void extend(const page_round::extension& extension, std::set<dataflow::sequence_id>& changed,
              page_round_result& out) {
    if (open.count(extension.id) == 0) return;
    bool fits = pages->extend(extension.id, extension.tokens_total).ok();
    if (!fits && current) {
      current->asked.wish->done();
      end_restore();
      fits = pages->extend(extension.id, extension.tokens_total).ok();
    }
    if (fits)
      changed.insert(extension.id);
    else
      out.not_extended.push_back(extension.id);
  }

  void close(dataflow::sequence_id id) {
    if (open.erase(id) == 0) return;
    pages->close(id);
    if (saver) count(options.board->archive.pages_skipped, saver->closed(id));
  }

  // -- the disk

  void save() {
    if (!saver) return;
    saver->go_on(*pages, [to = caf::actor_cast<self_type>(self)](const auto& page) {
      caf::anon_send(to, page_written{make_local(kv_archive::saved_page(page))});
    });
  }

  void written(const page_written& in) {
    options.archive->saved(*in.what);
    save();
  }

  void restore(const restore_pages& in) {
    if (in.epoch != epoch) return; // fenced
    restores.push_back(in);
    if (!current) next_restore();
  }

  // One after another: what one brings back the next one need not.
  void next_restore() {
    end_restore();
    while (!restores.empty() && !current) {
      const restore_pages asked = std::move(restores.front());
      restores.pop_front();
      if (!begin_restore(asked)) asked.wish->done();
    }
  }

  void end_restore() {
    if (!current) return;
    pages->close(current->id);
    current.reset();
    report();
  }

  void finish_restore() {
    current->asked.wish->done();
    next_restore();
  }

  // False when the disk has nothing for it that memory has not, or memory has no room.
  bool begin_restore(const restore_pages& asked) {
    if (options.archive == nullptr || asked.wish->is_over()) return false;
    const auto& wish = *asked.wish;
    const uint32_t page_tokens = pages->page_tokens();
    const auto pages_max = static_cast<uint32_t>((wish.tokens.size() - 1) / page_tokens);
    const auto cached = pages->cached_pages(
        {.tokens = wish.tokens, .salt = wish.salt, .weight_version = wish.weight_version});
    restoring made;
    made.asked = asked;
    made.first = std::min(cached, pages_max);
    auto chain = options.archive->begin(wish.salt, wish.weight_version);
    for (uint32_t n = 0; n < pages_max; ++n) {
      chain = options.archive->extend(
          chain, std::span(wish.tokens).subspan(size_t{n} * page_tokens, page_tokens));
      const bool there = options.archive->has(chain);
      if (n < made.first) continue;
      if (!there) break;
      made.wanted.push_back({chain, (n + 1) * page_tokens});
    }
    if (made.wanted.empty()) return false;
    made.tokens = std::make_shared<const std::vector<int32_t>>(
        wish.tokens.begin(), wish.tokens.begin() + made.wanted.back().tokens_count);
    made.id = own_sequences | ++last_restore;
    // The sequences that run keep a page each to grow into.
    const auto opened = pages->open({.id = made.id,
                                     .tokens = *made.tokens,
                                     .salt = wish.salt,
                                     .weight_version = wish.weight_version,
                                     .counts = false});
    if (!opened) return false;
    TROUPE_CHECK(opened->cached_tokens == made.first * page_tokens);
    current = std::move(made);
    const size_t kept = open.size() + 1;
    const size_t room = pages->available() - std::min<size_t>(pages->available(), kept);
    if (current->wanted.size() > room) current->wanted.resize(room);
    if (!current->wanted.empty() && read_piece()) return true;
    end_restore();
    return false;
  }

  bool read_piece() {
    auto& r = *current;
    const uint64_t at_once =
        std::max<uint64_t>(1, read_at_once_max / options.archive->page_bytes());
    const size_t end = std::min<uint64_t>(r.wanted.size(), r.placed + at_once);
    std::vector<kv_archive::wanted_page> piece(r.wanted.begin() + r.placed,
                                               r.wanted.begin() + static_cast<long>(end));
    // Others may have made room with what was to be read; what is behind a hole is of no use.
    const auto hole = std::find_if(piece.begin(), piece.end(), [this](const auto& each) {
      return !options.archive->has(each.chain);
    });
    piece.erase(hole, piece.end());
    if (piece.empty()) return false;
    if (!pages->extend(r.id, piece.back().tokens_count).ok()) return false;
    auto done = [to = caf::actor_cast<self_type>(self),
                 id = last_restore](std::shared_ptr<const kv_archive::read_result> what) {
      caf::anon_send(to, pages_read{id, {std::move(what)}});
    };
    return options.archive->read(std::move(piece), r.tokens, std::move(done)).ok();
  }

  void place(const pages_read& in) {
    options.archive->noted(*in.what);
    if (!current || in.restore != last_restore) return;
    auto& r = *current;
    r.placing = static_cast<uint32_t>(in.what->files.size());
    if (r.placing == 0) return finish_restore();
    const auto table = pages->pages(r.id).subspan(r.first + r.placed, r.placing);
    auto done = [to = caf::actor_cast<self_type>(self), id = last_restore](status_code code) {
      caf::anon_send(to, pages_placed{id, code});
    };
    const auto sent =
        options.archive->place(in.what.value, {table.begin(), table.end()}, std::move(done));
    if (!sent.ok()) return finish_restore();
    if (in.what->why != status_code::ok) r.wanted.resize(r.placed + r.placing);
  }

  void placed(const pages_placed& in) {
    if (!current || in.restore != last_restore) return;
    auto& r = *current;
    if (in.code != status_code::ok) return finish_restore();
    const size_t begin = size_t{r.first + r.placed} * pages->page_tokens();
    (void)pages->commit(
        r.id, std::span(*r.tokens).subspan(begin, size_t{r.placing} * pages->page_tokens()));
    r.placed += r.placing;
    const bool enough = r.placed == r.wanted.size() || r.asked.wish->is_over();
    if (enough || !read_piece()) finish_restore();
  }

  void report() {
    const auto stats = pages->stats();
    set(options.board->pages_total, stats.pages_total);
    set(options.board->pages_used, stats.pages_used);
    set(options.board->pages_cached, stats.pages_cached);
    set(options.board->prefix_queries, stats.queries_tokens);
    set(options.board->cached_tokens, stats.hit_tokens);
    set(options.board->pages_evicted, stats.evictions);
    set(options.board->pages_evicted_unused, stats.evicted_unused);
    set(options.board->pages_dropped, stats.dropped);
  }

  self_pointer self;
  kv_cache_manager_options options;
  std::unique_ptr<dataflow::kv_pages> pages;
  std::set<dataflow::sequence_id> open;
  std::optional<kv_saver> saver;
  std::deque<restore_pages> restores; // waiting
  std::optional<restoring> current;
  uint64_t last_restore = 0;
  uint64_t epoch = 0;
  local_ref<route_table> routes;
};

self_type::behavior_type kv_cache_manager_behavior(kv_cache_manager_state::self_pointer self,
                                                   kv_cache_manager_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const update_pages& in) { state->update(in); },
      [state](const restore_pages& in) { state->restore(in); },
      [state](const page_written& in) { state->written(in); },
      [state](const pages_read& in) { state->place(in); },
      [state](const pages_placed& in) { state->placed(in); },
  };
}

} // namespace

kv_cache_manager spawn_kv_cache_manager(caf::actor_system& system,
                                        const kv_cache_manager_options& options) {
  return system.spawn(kv_cache_manager_behavior, options);
}

} // namespace troupe::actors
