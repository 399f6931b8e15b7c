// Turns the batcher's decisions into page rounds, steps and draws, one step at a time. The order
// within a step: open pages for starting sequences, plan rows, extend pages (giving up sequences
// when there is no room), compute, draw, tell the ingress.
#include "actors/sequencer.hpp"

#include "actors/carriage.hpp"
#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "base/log.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "dataflow/draft.hpp"
#include "dataflow/finish_rule.hpp"
#include "dataflow/orphaned_streams.hpp"
#include "model/description.hpp"
#include "model/grammar/compile.hpp"
#include "model/rotary.hpp"
#include "model/tokenizer.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace troupe::actors {

// The sampling job of a step is done.
struct rows_sampled {
  uint64_t epoch = 0;
  uint64_t step = 0;
  status_code code = status_code::ok;
};
// Time to look again: company was awaited.
struct sequencer_wake {
  uint64_t timer = 0;
};
// Time to see whether the step under way has been so for too long.
struct step_watch {
  uint64_t epoch = 0;
};

// From the KV-cache manager: what the disk has of a request is in memory.
struct pages_restored {
  uint64_t ticket = 0;
};
// A request has waited long enough for the disk.
struct restore_overdue {
  uint64_t ticket = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pages_restored& x) {
  return f(caf::meta::type_name("pages_restored"), x.ticket);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, restore_overdue& x) {
  return f(caf::meta::type_name("restore_overdue"), x.ticket);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, rows_sampled& x) {
  return f(caf::meta::type_name("rows_sampled"), x.epoch, x.step, x.code);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, step_watch& x) {
  return f(caf::meta::type_name("step_watch"), x.epoch);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, sequencer_wake& x) {
  return f(caf::meta::type_name("sequencer_wake"), x.timer);
}

namespace {

using dataflow::finish_reason;
using dataflow::sequence_id;
using self_type = sequencer::extend<caf::reacts_to<rows_sampled>, caf::reacts_to<sequencer_wake>,
                                    caf::reacts_to<step_watch>, caf::reacts_to<pages_restored>,
                                    caf::reacts_to<restore_overdue>>;

// Reading pages costs a small part of computing them; a disk that takes longer is in trouble.
constexpr duration restore_patience = std::chrono::seconds(2);

struct live_sequence {
  request_handle handle = 0;
  uint32_t choice = 0;
  std::shared_ptr<const dataflow::generation_request> request; // shared with ingress and draws
  std::shared_ptr<model::token_history> history; // shared with the draws under way, which only read
  std::vector<int32_t> tokens;                   // prompt and drawn
  std::optional<model::constrained_text> text;   // what was drawn, under the request's constraint
  std::vector<uint32_t> pages;
  std::vector<dataflow::token_record> prompt_records;
  std::vector<int32_t> draft; // guessed to come next: computed in the step being made or under way
  dataflow::draft_length draft_length;
  uint32_t computed = 0;
  uint32_t committed = 0; // of these the page table knows
  uint32_t cached_tokens = 0;
  time_point arrived{};
  time_point started{};
  bool active = false;    // the batcher has started it
  bool has_pages = false; // open at the KV-cache manager
  bool announced = false; // the ingress has heard of its start
  bool prompt_scored = false;

  uint32_t prompt_tokens() const { return static_cast<uint32_t>(request->prompt.size()); }
  uint32_t drawn() const { return static_cast<uint32_t>(tokens.size()) - prompt_tokens(); }
  bool wants_prompt_scores() const { return request->prompt_logprobs && !prompt_scored; }
};

// A request that waits for pages from the disk.
struct held_request {
  uint64_t ticket = 0;
  submit_request request;
  std::vector<uint32_t> ended; // choices nobody wants any more
  // Shared with the wish for its pages.
  std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
};

enum class phase : uint8_t { halted, idle, opening, extending, computing, drawing };

struct sequencer_state {
  using self_pointer = self_type::stateful_pointer<sequencer_state>;
  static inline const char* name = "sequencer";

  explicit sequencer_state(self_pointer owner) : self(owner) {}

  void start(const sequencer_options& o) {
    options = o;
    batcher.emplace(o.limits);
  }

  // -- wiring

  // An epoch begins from what the ingresses know: each hands over its unfinished streams again,
  // with the tokens they have. What was drawn and has not reached them is drawn again, the same.
  void rewire(const wire& in) {
    epoch = in.epoch;
    keep_orphans(*in.routes);
    routes = in.routes;
    now_doing = phase::halted;
    live.clear();
    ids.clear();
    held.clear();
    batcher.emplace(options.limits);
    plan.clear();
    round = {};
    pages_available = UINT32_MAX;
    watching = false;
    set(options.board->step_started_ns, 0);
    report();
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  // Streams whose door is not there any more, or not as it was.
  void keep_orphans(const route_table& next) {
    if (!routes.value) return;
    const auto stays = [&](uint32_t door) {
      return door < next.members.size() && next.members[door].present &&
             next.members[door].incarnation == routes->members[door].incarnation;
    };
    const auto now = options.time->now();
    for (const auto& [id, sequence] : live) {
      if (stays(dataflow::door_of(sequence.handle))) continue;
      const auto drawn = sequence.tokens.begin() + sequence.prompt_tokens();
      orphans.keep(sequence.request, sequence.choice, {drawn, sequence.tokens.end()}, now);
    }
  }

  void resume(const pipeline_ready& in) {
    if (in.epoch != epoch || now_doing != phase::halted) return;
    now_doing = phase::idle;
    for (const auto& [handle, waits] : held) ask_for_pages(waits);
    advance();
  }

  void forget_pages(sequence_id id, live_sequence& sequence) {
    batcher->on_preempted(id);
    sequence.pages.clear();
    sequence.draft.clear();
    sequence.prompt_records.clear();
    sequence.computed = sequence.committed = 0;
    sequence.has_pages = sequence.active = false;
  }

  // -- arrivals and departures

  void accept(const submit_request& in) {
    if (in.epoch != epoch && !TROUPE_MUTANT(old_submissions_taken)) return; // fenced
    options.trace->hit("request.taken", traced(in.epoch, epoch));
    // Beyond the bound of the queue it is the batcher that answers.
    if (!wants_restored_pages(*in.work) || held.size() >= options.limits.queue_max)
      return take_in(*in.work);
    held_request waits;
    waits.ticket = ++last_ticket;
    waits.request = in;
    if (now_doing != phase::halted) ask_for_pages(waits);
    held.insert_or_assign(in.handle, std::move(waits));
    report();
  }

  void ask_for_pages(const held_request& waits) {
    const auto& request = *waits.request.work->request;
    restore_wish wish;
    wish.tokens = request.prompt;
    wish.salt = request.cache_salt;
    wish.weight_version = page_version(request.prompt.size());
    wish.over = waits.over;
    wish.done = [to = caf::actor_cast<self_type>(self), ticket = waits.ticket] {
      caf::anon_send(to, pages_restored{ticket});
    };
    self->send(routes->kv_cache_manager, restore_pages{epoch, make_local(std::move(wish))});
    self->delayed_send(self, restore_patience, restore_overdue{waits.ticket});
  }

  bool wants_restored_pages(const request_submission& work) const {
    return options.restores_pages && options.prefix_cache && !work.request->prompt_logprobs &&
           work.request->prompt.size() > options.page_tokens;
  }

  void restore_late(const restore_overdue& in) {
    if (release(in.ticket)) count(options.board->archive.restores_late);
  }

  // False when the request goes its way already, or its epoch is over.
  bool release(uint64_t ticket) {
    const auto found = std::find_if(held.begin(), held.end(), [ticket](const auto& entry) {
      return entry.second.ticket == ticket;
    });
    if (found == held.end()) return false;
    const held_request waited = std::move(found->second);
    held.erase(found);
    waited.over->store(true, std::memory_order_relaxed);
    request_submission work = *waited.request.work;
    for (const uint32_t choice : waited.ended) work.finished[choice] = true;
    take_in(work);
    return true;
  }

  void take_in(const request_submission& work) {
    // A request enters the queue as a whole or not at all, and one that had begun is not turned
    // away because its sequencer has changed.
    bool inside = std::any_of(work.drawn.begin(), work.drawn.end(),
                              [](const auto& drawn) { return !drawn.empty(); });
    for (uint32_t choice = 0; choice < work.request->choices; ++choice) {
      if (work.finished[choice] && !TROUPE_MUTANT(ended_choices_drawn)) continue;
      if (!accept_choice(work, choice, inside)) break;
      inside = true;
    }
    advance();
  }

  // False when it was refused, and the request with it.
  bool accept_choice(const request_submission& work, uint32_t choice, bool inside) {
    live_sequence sequence;
    sequence.handle = work.handle;
    sequence.choice = choice;
    sequence.request = work.request;
    sequence.arrived = work.arrived;
    sequence.prompt_scored = work.prompt_scored[choice];
    sequence.tokens = work.request->prompt;
    auto drawn = work.drawn[choice];
    if (drawn.empty() && !(drawn = take_over(sequence)).empty()) inside = true;
    sequence.tokens.insert(sequence.tokens.end(),
                           drawn.begin() + (TROUPE_MUTANT(resume_skips_a_token) && !drawn.empty()),
                           drawn.end());
    sequence.history = make_history(*work.request, drawn);
    if (const auto begun = begin_text(sequence); !begun.ok()) {
      fail_request(work.handle, begun);
      return false;
    }
    if (sequence.text && sequence.text->is_over()) {
      announce_end(sequence, {finish_reason::stop, false});
      return true;
    }
    if (sequence.request->tokens_max == 0 && !sequence.wants_prompt_scores()) {
      announce_end(sequence, {finish_reason::length, false});
      return true;
    }
    const sequence_id id = ++last_id;
    const auto admitted =
        batcher->admit({.id = id,
                        .prompt_tokens = static_cast<uint32_t>(sequence.tokens.size()),
                        .priority = work.request->priority,
                        .arrived = work.arrived,
                        .deadline = work.request->deadline,
                        .gang = work.request->choices > 1 ? work.handle : 0,
                        .never_refused = inside});
    if (!admitted.ok()) {
      fail_request(work.handle, admitted);
      return false;
    }
    ids.emplace(std::pair(work.handle, choice), id);
    live.emplace(id, std::move(sequence));
    return true;
  }

  // The state of a constraint is nothing but the tokens drawn so far: whoever has them has it.
  status begin_text(live_sequence& sequence) {
    if (!sequence.request->constraint.any()) return {};
    auto text = constraints.begin(sequence.request->constraint, [this] { return token_texts(); });
    if (!text) return text.error().within("the constraint");
    for (size_t i = sequence.prompt_tokens(); i < sequence.tokens.size(); ++i)
      if (!text->add(sequence.tokens[i]))
        return {status_code::corrupt, "the answer so far does not meet its constraint"};
    sequence.text.emplace(std::move(*text));
    return {};
  }

  // By id; what ends a stream is no text.
  std::vector<std::string> token_texts() const {
    std::vector<std::string> out(options.description->vocabulary);
    for (size_t i = 0; i < std::min(out.size(), options.tokenizer->id_limit()); ++i) {
      const auto id = static_cast<int32_t>(i);
      const bool ends =
          std::find(options.eos_ids.begin(), options.eos_ids.end(), id) != options.eos_ids.end();
      if (!ends && !options.tokenizer->is_special(id)) out[i] = options.tokenizer->token_bytes(id);
    }
    return out;
  }

  // A client that comes back from a door that was lost: its new door hears at once what is known.
  std::vector<int32_t> take_over(live_sequence& sequence) {
    auto known = orphans.take(*sequence.request, sequence.choice, options.time->now());
    if (known.empty()) return known;
    options.trace->hit("stream.taken_over", known.size());
    sequence.started = options.time->now();
    emission out;
    out.entries.push_back(start_entry(sequence));
    for (const int32_t token : known) out.entries.back().tokens.push_back({token, 0, {}, false});
    sequence.announced = true;
    tell(std::move(out));
    return known;
  }

  // Penalties alone look at the history; without them it stays empty.
  static std::shared_ptr<model::token_history> make_history(
      const dataflow::generation_request& request, const std::vector<int32_t>& drawn) {
    auto history = std::make_shared<model::token_history>();
    if (!needs_history(request)) return history;
    history->add_prompt(request.prompt);
    if (!TROUPE_MUTANT(penalties_not_resumed))
      for (const int32_t token : drawn) history->add_output(token);
    return history;
  }

  static bool needs_history(const dataflow::generation_request& request) {
    const auto& sampling = request.sampling;
    return sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 ||
           sampling.frequency_penalty != 0;
  }

  void end_one(const end_choice& in) {
    if (in.epoch != epoch) return; // fenced
    if (const auto waits = held.find(in.handle); waits != held.end()) {
      auto& ended = waits->second.ended;
      ended.push_back(in.choice);
      if (ended.size() >= waits->second.request.work->request->choices)
        waits->second.over->store(true, std::memory_order_relaxed);
    }
    if (const auto id = ids.find({in.handle, in.choice}); id != ids.end()) drop(id->second);
    advance();
  }

  // Frees everything the sequence held. Draws under way notice that it is gone.
  void drop(sequence_id id) {
    const auto entry = live.find(id);
    TROUPE_CHECK(entry != live.end());
    if (entry->second.has_pages && !TROUPE_MUTANT(ended_streams_keep_pages))
      round.closes.push_back(id);
    batcher->remove(id);
    plan.remove(id);
    ids.erase({entry->second.handle, entry->second.choice});
    live.erase(entry);
  }

  void fail_request(request_handle handle, const status& why) {
    for (auto id = ids.lower_bound({handle, 0}); id != ids.end() && id->first.first == handle;
         id = ids.lower_bound({handle, 0}))
      drop(id->second);
    self->send(routes->door(handle), request_failed{epoch, handle, why.code(), why.why()});
  }

  // -- planning

  dataflow::step_room room() const {
    return {.now = options.time->now(),
            .kv_pages = pages_available,
            .page_tokens = options.page_tokens};
  }

  // Does the next thing there is to do; called whenever something has changed.
  void advance() {
    if (now_doing != phase::idle) return report();
    batcher->plan_starts(room(), plan);
    for (const auto id : plan.dropped) drop_late(id);
    if (!plan.starts.empty()) {
      for (const auto id : plan.starts) open_pages(id);
      send_round(phase::opening);
      return report();
    }
    batcher->plan_rows(plan);
    add_drafts();
    for (const auto& entry : plan.entries) extend_pages(entry);
    if (!round.empty())
      send_round(phase::extending);
    else if (!plan.entries.empty())
      compute();
    else if (plan.wait_until)
      wake_at(*plan.wait_until);
    report();
  }

  void drop_late(sequence_id id) {
    const auto entry = live.find(id);
    if (entry == live.end()) return;
    announce_end(entry->second, {finish_reason::deadline, false});
    drop(id);
  }

  void wake_at(time_point when) {
    const auto pause = std::max(duration(0), when - options.time->now());
    self->delayed_send(self, pause, sequencer_wake{++last_timer});
  }

  void open_pages(sequence_id id) {
    auto& sequence = live.at(id);
    sequence.active = true;
    round.openings.push_back({.id = id,
                              .tokens = sequence.tokens,
                              .salt = sequence.request->cache_salt,
                              .weight_version = page_version(sequence.prompt_tokens()),
                              .reuse = options.prefix_cache && !sequence.wants_prompt_scores()});
  }

  // Keys of one rotary variant are of no use to another (model/rotary.hpp), so they count as
  // weights of another version.
  uint64_t page_version(size_t prompt_tokens) const {
    const uint64_t variant =
        model::rope_variant(options.description->rope, static_cast<uint32_t>(prompt_tokens));
    return options.weight_version << 32 | variant;
  }

  // What the step has tokens left for. Penalties and constraints look at tokens that are only
  // guessed yet, so streams with either have no drafts.
  void add_drafts() {
    if (options.draft_tokens_max == 0) return;
    uint32_t left = options.limits.tokens_max - std::min(plan.tokens, options.limits.tokens_max);
    for (const auto& entry : plan.entries) {
      auto& sequence = live.at(entry.sequence);
      sequence.draft.clear();
      const auto& request = *sequence.request;
      if (!entry.wants_logits || request.tokens_max == 0 || needs_history(request) ||
          request.constraint.any())
        continue;
      // The last token of the answer is drawn after the draft, and computed by nobody.
      const uint32_t useful =
          std::min(request.tokens_max - sequence.drawn() - 1,
                   options.positions_max - static_cast<uint32_t>(sequence.tokens.size()));
      const uint32_t count_max = std::min({left, options.draft_tokens_max, useful});
      sequence.draft = dataflow::draft_from(sequence.tokens, sequence.draft_length.next(count_max));
      left -= static_cast<uint32_t>(sequence.draft.size());
    }
  }

  void extend_pages(const dataflow::step_entry& entry) {
    const auto& sequence = live.at(entry.sequence);
    const auto tokens_total =
        static_cast<uint32_t>(entry.begin + entry.count + sequence.draft.size());
    if (uint64_t{sequence.pages.size()} * options.page_tokens >= tokens_total) return;
    round.extensions.push_back({entry.sequence, tokens_total});
  }

  void send_round(phase next) {
    now_doing = next;
    self->send(routes->kv_cache_manager,
               update_pages{epoch, ++last_round, make_local(std::exchange(round, {}))});
  }

  void apply(const pages_updated& in) {
    if (in.epoch != epoch || in.round != last_round) return; // fenced
    const auto& outcome = *in.outcome;
    pages_available = outcome.pages_available;
    for (const auto& opened : outcome.openings) apply_opening(opened);
    for (const auto& table : outcome.tables)
      if (const auto entry = live.find(table.id); entry != live.end())
        entry->second.pages = table.pages;
    const phase was = std::exchange(now_doing, phase::idle);
    if (was == phase::opening) return advance();
    make_room(outcome.not_extended);
    if (!round.empty())
      send_round(phase::extending);
    else if (!plan.entries.empty())
      compute();
    else
      advance();
    report();
  }

  void apply_opening(const page_round_result::opened& opened) {
    const auto entry = live.find(opened.id);
    if (entry == live.end()) { // ended meanwhile
      if (opened.why.ok()) round.closes.push_back(opened.id);
      return;
    }
    auto& sequence = entry->second;
    if (!opened.why.ok()) return fail_request(sequence.handle, opened.why);
    sequence.has_pages = true;
    sequence.computed = sequence.committed = opened.cached_tokens;
    sequence.cached_tokens = opened.cached_tokens;
    sequence.started = options.time->now();
    batcher->on_started(opened.id, opened.cached_tokens);
  }

  // Gives up drafts, then running sequences, until those that lack pages have been given another
  // chance or are themselves given up; what was given up is computed again later, to the same bits.
  void make_room(const std::vector<sequence_id>& not_extended) {
    for (const auto id : not_extended) {
      if (!in_plan(id)) continue; // given up or ended in the meantime
      if (!std::exchange(live.at(id).draft, {}).empty()) {
        extend_pages_of(id);
        continue;
      }
      const auto victim = batcher->choose_victim();
      TROUPE_CHECK(victim.has_value());
      if (batcher->running() == 1 && round.closes.empty()) { // alone, and still no room
        fail_request(live.at(id).handle,
                     status(status_code::exhausted, "the sequence is longer than the KV memory"));
        continue;
      }
      give_up(*victim);
      extend_pages_of(id);
    }
  }

  void extend_pages_of(sequence_id id) {
    for (const auto& entry : plan.entries)
      if (entry.sequence == id) extend_pages(entry);
  }

  bool in_plan(sequence_id id) const {
    for (const auto& entry : plan.entries)
      if (entry.sequence == id) return true;
    return false;
  }

  void give_up(sequence_id id) {
    auto& sequence = live.at(id);
    round.closes.push_back(id);
    std::erase_if(round.extensions, [id](const auto& extension) { return extension.id == id; });
    plan.remove(id);
    forget_pages(id, sequence);
    count(options.board->preemptions);
  }

  // -- a step

  void compute() {
    auto& frame = options.steps->at(step_pool::sequencer_slot);
    frame.clear();
    for (const auto& entry : plan.entries) add_rows(frame, entry);
    for (const auto& draw : frame.draws) frame.wanted_rows.push_back(draw.row);
    now_doing = phase::computing;
    ++last_step;
    count(options.board->steps);
    set(options.board->step_started_ns,
        static_cast<uint64_t>(options.time->now().time_since_epoch().count()));
    options.board->step_tokens.add(static_cast<double>(frame.ids.size()));
    const auto& first = routes->stages.front();
    forward_batch out{epoch, last_step, 0, step_pool::sequencer_slot, {}};
    if (first.remote) out.carried = make_local(step_carriage{frame.description(), {}});
    options.trace->hit("step.started", traced(epoch, last_step));
    self->send(first.handle, std::move(out));
    watch_step();
    find_masks();
  }

  // While others compute, so that most draws find their mask made.
  void find_masks() {
    for (const auto& entry : plan.entries) {
      const auto& text = live.at(entry.sequence).text;
      if (entry.wants_logits && text) (void)text->mask(); // a failure comes again with the draw
    }
  }

  // What may be drawn; an end only where the text is complete.
  void put_mask(row_draw& draw) {
    const auto found = live.find(draw.sequence);
    if (draw.given || found == live.end() || !found->second.text) return;
    const auto& text = *found->second.text;
    if (auto mask = text.mask())
      draw.allowed = std::move(*mask);
    else
      draw.why = mask.error();
    if (!text.is_complete()) return;
    draw.ends = draw.request->stop_ids;
    if (!draw.request->ignore_eos)
      draw.ends.insert(draw.ends.end(), options.eos_ids.begin(), options.eos_ids.end());
  }

  // One timer at a time looks after all steps.
  void watch_step() {
    step_since = options.time->now();
    if (watching || options.step_max <= duration(0)) return;
    watching = true;
    self->delayed_send(self, options.step_max, step_watch{epoch});
  }

  void look_at_step(const step_watch& in) {
    if (in.epoch != epoch) return;
    watching = false;
    if (now_doing != phase::computing && now_doing != phase::drawing) return;
    const auto left = step_since + options.step_max - options.time->now();
    if (left <= duration(0)) {
      options.trace->hit("step.stuck", last_step);
      return self->send(routes->supervisor, pipeline_stuck{epoch, last_step});
    }
    watching = true;
    self->delayed_send(self, left, step_watch{epoch});
  }

  void add_rows(step_frame& frame, const dataflow::step_entry& entry) {
    const auto& sequence = live.at(entry.sequence);
    const auto index = static_cast<uint32_t>(frame.tables.size());
    frame.tables.push_back(sequence.pages);
    for (uint32_t i = 0; i < entry.count + sequence.draft.size(); ++i) {
      const uint32_t position = entry.begin + i;
      const uint32_t page = sequence.pages[position / options.page_tokens];
      frame.ids.push_back(i < entry.count ? sequence.tokens[position]
                                          : sequence.draft[i - entry.count]);
      frame.positions.push_back(position);
      frame.sequence_of.push_back(index);
      frame.prompt_lengths.push_back(sequence.prompt_tokens());
      frame.slots.push_back(page * options.page_tokens + position % options.page_tokens);
    }
    add_draws(frame, entry, sequence);
  }

  // Which rows need logits, and what for.
  void add_draws(step_frame& frame, const dataflow::step_entry& entry,
                 const live_sequence& sequence) {
    const auto rows = static_cast<uint32_t>(entry.count + sequence.draft.size());
    const auto first_row = static_cast<uint32_t>(frame.ids.size()) - rows;
    for (uint32_t i = 0; i < rows; ++i) {
      const uint32_t next = entry.begin + i + 1; // the position these logits are about
      const bool scores = sequence.wants_prompt_scores() && next < sequence.prompt_tokens();
      const bool draws =
          entry.wants_logits && i + 1 >= entry.count && sequence.request->tokens_max > 0;
      if (!scores && !draws) continue;
      row_draw draw;
      draw.sequence = entry.sequence;
      draw.row = first_row + i;
      draw.request = sequence.request;
      draw.history = sequence.history;
      draw.choice = sequence.choice;
      draw.position = TROUPE_MUTANT(sampling_key_reused) ? next - sequence.cached_tokens : next;
      if (scores) draw.given = sequence.tokens[next];
      if (draws)
        draw.banned = dataflow::banned_before_min(
            *sequence.request, sequence.drawn() + i + 1 - entry.count, options.eos_ids);
      frame.draws.push_back(std::move(draw));
    }
  }

  void draw_rows(const forward_done& in) {
    if (in.epoch != epoch || in.step != last_step) return; // fenced
    if (in.wanted.value && !take(*in.wanted)) return;
    for (auto& draw : options.steps->at(step_pool::sequencer_slot).draws) put_mask(draw);
    now_doing = phase::drawing;
    auto done = [to = caf::actor_cast<self_type>(self), step = last_step,
                 epoch = epoch](const status& s) {
      caf::anon_send(to, rows_sampled{epoch, step, s.code()});
    };
    auto work = [pool = options.steps](compute::kernels& k) {
      pool->draw(k, step_pool::sequencer_slot);
    };
    if (const auto s = options.executor->submit(std::move(work), std::move(done)); !s.ok())
      fail_step({epoch, last_step, s.code(), s.why()});
  }

  // Rows from another node; false when they cannot be those asked for.
  bool take(const row_block& rows) {
    auto& frame = options.steps->at(step_pool::sequencer_slot);
    if (rows.rows == frame.wanted_rows.size() &&
        (rows.rows == 0 || rows.columns == frame.buffers.hidden.cols)) {
      frame.put_wanted(rows);
      return true;
    }
    fail_step({epoch, last_step, status_code::corrupt,
               "the last stage's answer has another shape than its question"});
    return false;
  }

  void finish_step(const rows_sampled& in) {
    if (in.epoch != epoch || in.step != last_step) return; // fenced
    if (in.code != status_code::ok)
      return fail_step({epoch, last_step, in.code, "the device gave up drawing tokens"});
    auto& frame = options.steps->at(step_pool::sequencer_slot);
    emission out;
    // A copy: an ending sequence leaves the plan.
    const std::vector<dataflow::step_entry> entries = plan.entries;
    for (const auto& entry : entries) finish_entry(entry, draws_of(frame, entry.sequence), out);
    set(options.board->step_started_ns, 0);
    options.trace->hit("step.done", last_step);
    plan.clear();
    now_doing = phase::idle;
    tell(std::move(out));
    advance();
  }

  // Every door hears of its own requests.
  void tell(emission out) {
    std::map<uint32_t, emission> by_door;
    for (auto& entry : out.entries)
      by_door[dataflow::door_of(entry.handle)].entries.push_back(std::move(entry));
    for (auto& [door, entries] : by_door)
      self->send(routes->doors[door], tokens_emitted{epoch, make_local(std::move(entries))});
  }

  // Draws of one sequence are neighbours. Those of sequences that have ended meanwhile are
  // nobody's.
  static std::span<row_draw> draws_of(step_frame& frame, sequence_id id) {
    const auto begin = std::find_if(frame.draws.begin(), frame.draws.end(),
                                    [id](const row_draw& draw) { return draw.sequence == id; });
    const auto end = std::find_if(begin, frame.draws.end(),
                                  [id](const row_draw& draw) { return draw.sequence != id; });
    return {begin, end};
  }

  void finish_entry(const dataflow::step_entry& entry, std::span<row_draw> draws, emission& out) {
    const sequence_id id = entry.sequence;
    const auto found = live.find(id);
    if (found == live.end()) return; // its request failed in this very step
    auto& sequence = found->second;
    emission::entry told = start_entry(sequence);
    const auto draft = std::exchange(sequence.draft, {});
    uint32_t accepted = 0;
    bool drew = false;
    for (auto& draw : draws) {
      if (!draw.why.ok()) return fail_request(sequence.handle, draw.why);
      if (draw.given) {
        sequence.prompt_records.push_back(to_record(draw.drawn, draw.request->top_logprobs));
        continue;
      }
      drew = true;
      take_token(sequence, draw.drawn, told);
      // What comes after a guess that did not hold was computed for nothing.
      if (told.finished || accepted == draft.size()) break;
      if (draft[accepted] != draw.drawn.token && !TROUPE_MUTANT(drafts_believed)) break;
      ++accepted;
    }
    if (drew) note_draft(sequence, draft, accepted);
    batcher->on_computed(id, entry.count);
    if (accepted > 0) batcher->on_accepted(id, accepted);
    note_computed(id, sequence, entry.count + accepted);
    finish_prompt(sequence, told);
    const bool over = told.finished;
    if (told.first || over || !told.tokens.empty() || !told.prompt.empty())
      out.entries.push_back(std::move(told));
    sequence.announced = true;
    if (over)
      drop(id);
    else if (drew)
      batcher->on_sampled(id);
  }

  void note_draft(live_sequence& sequence, const std::vector<int32_t>& draft, uint32_t accepted) {
    const auto drafted = static_cast<uint32_t>(draft.size());
    sequence.draft_length.drew(drafted, accepted);
    count(options.board->draft_tokens, drafted);
    count(options.board->draft_accepted, accepted);
    if (accepted > 0) options.trace->hit("draft.accepted", accepted);
  }

  // The page table hears of computed tokens when a page has become full.
  void note_computed(sequence_id id, live_sequence& sequence, uint32_t count_of_tokens) {
    const uint32_t prompt_left =
        sequence.prompt_tokens() - std::min(sequence.computed, sequence.prompt_tokens());
    count(options.board->prompt_tokens, std::min(count_of_tokens, prompt_left));
    sequence.computed += count_of_tokens;
    if (sequence.computed / options.page_tokens == sequence.committed / options.page_tokens) return;
    const auto begin = sequence.tokens.begin();
    round.commits.push_back({id, {begin + sequence.committed, begin + sequence.computed}});
    sequence.committed = sequence.computed;
  }

  emission::entry start_entry(const live_sequence& sequence) const {
    emission::entry told;
    told.handle = sequence.handle;
    told.choice = sequence.choice;
    told.begin = sequence.drawn();
    told.first = !sequence.announced;
    told.cached_tokens = sequence.cached_tokens;
    told.started = sequence.started;
    return told;
  }

  static dataflow::token_record to_record(const model::sampled_token& sampled,
                                          const std::optional<uint32_t>& top_logprobs) {
    return {sampled.token, sampled.logprob, sampled.top, top_logprobs.has_value()};
  }

  void take_token(live_sequence& sequence, const model::sampled_token& sampled,
                  emission::entry& told) {
    sequence.tokens.push_back(sampled.token);
    if (needs_history(*sequence.request)) sequence.history->add_output(sampled.token);
    told.tokens.push_back(to_record(sampled, sequence.request->top_logprobs));
    count(options.board->generated_tokens);
    const auto end = dataflow::finish_after(*sequence.request,
                                            {.token = sampled.token,
                                             .drawn = sequence.drawn(),
                                             .known = static_cast<uint32_t>(sequence.tokens.size()),
                                             .positions_max = options.positions_max,
                                             .eos_ids = options.eos_ids});
    if (end) {
      told.finished = true;
      told.reason = end->reason;
      told.ends_with_stop_id = end->by_stop_id;
    }
    if (sequence.text && !told.ends_with_stop_id) extend_text(*sequence.text, sampled.token, told);
  }

  // A text to which nothing can be added has come to its end, whatever the limits.
  static void extend_text(model::constrained_text& text, int32_t token, emission::entry& told) {
    const bool fits = text.add(token);
    if (fits && !text.is_over()) return;
    told.finished = true;
    told.reason = fits ? finish_reason::stop : finish_reason::failed;
  }

  // The prompt's scores are told once, when they are complete.
  void finish_prompt(live_sequence& sequence, emission::entry& told) {
    if (!sequence.wants_prompt_scores() || sequence.computed < sequence.prompt_tokens()) return;
    told.prompt.push_back({sequence.tokens.front(), 0, {}, false});
    for (auto& record : sequence.prompt_records) told.prompt.push_back(std::move(record));
    sequence.prompt_records.clear();
    sequence.prompt_scored = true;
    if (sequence.request->tokens_max > 0) return;
    told.finished = true;
    told.reason = finish_reason::length;
  }

  void announce_end(const live_sequence& sequence, const dataflow::finish_decision& end) {
    emission out;
    out.entries.push_back(start_entry(sequence));
    out.entries.back().first = false;
    out.entries.back().finished = true;
    out.entries.back().reason = end.reason;
    tell(std::move(out));
  }

  // A part could not do its share: the requests of the step fail, the others go on.
  void fail_step(const step_failed& in) {
    if (in.epoch != epoch || in.step != last_step) return; // fenced
    if (now_doing != phase::computing && now_doing != phase::drawing) return;
    if (in.code == status_code::device_lost) // the node's trouble, not the requests'
      return self->send(routes->supervisor, device_failed{epoch, in.why});
    log::error(text("step ", in.step, " failed: ", in.why));
    std::set<request_handle> handles;
    for (const auto& entry : plan.entries) handles.insert(live.at(entry.sequence).handle);
    for (const auto handle : handles) fail_request(handle, status(in.code, in.why));
    ++last_step; // late messages of this one are fenced
    set(options.board->step_started_ns, 0);
    plan.clear();
    now_doing = phase::idle;
    advance();
  }

  void report() {
    set(options.board->sequences_running, batcher->running());
    uint64_t waiting = batcher->waiting();
    for (const auto& [handle, waits] : held)
      waiting += waits.request.work->request->choices - waits.ended.size();
    set(options.board->sequences_waiting, waiting);
  }

  self_pointer self;
  sequencer_options options;
  std::optional<dataflow::batcher> batcher;
  std::map<sequence_id, live_sequence> live;
  std::map<std::pair<request_handle, uint32_t>, sequence_id> ids;
  std::map<request_handle, held_request> held;
  dataflow::step_plan plan; // of the step under way, or being made
  dataflow::orphaned_streams orphans;
  model::matcher_shelf constraints;
  page_round round; // book-keeping that goes out with the next round
  phase now_doing = phase::halted;
  local_ref<route_table> routes;
  uint64_t epoch = 0;
  uint64_t last_step = 0;
  uint64_t last_round = 0;
  uint64_t last_timer = 0;
  uint64_t last_ticket = 0;
  sequence_id last_id = 0;
  time_point step_since{}; // when the step under way was sent off
  bool watching = false;   // a step_watch is on its way
  uint32_t pages_available = UINT32_MAX;
};

self_type::behavior_type sequencer_behavior(sequencer_state::self_pointer self,
                                            sequencer_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const submit_request& in) { state->accept(in); },
      [state](const end_choice& in) { state->end_one(in); },
      [state](const pipeline_ready& in) { state->resume(in); },
      [state](const forward_done& in) { state->draw_rows(in); },
      [state](const step_failed& in) { state->fail_step(in); },
      [state](const pages_updated& in) { state->apply(in); },
      [state](const rows_sampled& in) { state->finish_step(in); },
      [state](const sequencer_wake&) { state->advance(); },
      [state](const step_watch& in) { state->look_at_step(in); },
      [state](const pages_restored& in) { (void)state->release(in.ticket); },
      [state](const restore_overdue& in) { state->restore_late(in); },
  };
}

} // namespace

sequencer spawn_sequencer(caf::actor_system& system, const sequencer_options& options) {
  return system.spawn(sequencer_behavior, options);
}

} // namespace troupe::actors
