// The order in which waiting sequences start and running ones share a step.
#include "dataflow/batcher.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <chrono>

namespace troupe::dataflow {
namespace {

// A running prompt that got nothing for this many steps goes first, whatever its priority.
constexpr uint64_t unserved_steps_max = 64;

// The part of a step that decodes leave to prompts when both want all of it.
uint32_t prefill_tokens_min(uint32_t tokens_max) {
  return std::max(1u, tokens_max / 8);
}

template <class T>
status check_range(std::string_view name, T value, T least, T most) {
  if (value >= least && value <= most) return {};
  return {status_code::invalid_argument,
          text(name, " is ", value, "; it must be between ", least, " and ", most)};
}

} // namespace

status validate(const batcher_limits& limits) {
  constexpr uint32_t most = 1u << 30;
  constexpr auto wait_max = std::chrono::nanoseconds(std::chrono::hours(1)).count();
  TROUPE_RETURN_IF_ERROR(check_range("tokens_max", limits.tokens_max, 1u, most));
  TROUPE_RETURN_IF_ERROR(check_range("sequences_max", limits.sequences_max, 1u, most));
  TROUPE_RETURN_IF_ERROR(check_range("queue_max", limits.queue_max, 1u, most));
  TROUPE_RETURN_IF_ERROR(check_range("prefill_chunk_max", limits.prefill_chunk_max, 1u, most));
  TROUPE_RETURN_IF_ERROR(check_range("mixed_prefill_max", limits.mixed_prefill_max, 1u, most));
  TROUPE_RETURN_IF_ERROR(check_range("max_batch_size", limits.max_batch_size, 0u, most));
  return check_range<int64_t>("max_wait (ns)", limits.max_wait.count(), 0, wait_max);
}

void step_plan::clear() {
  starts.clear();
  dropped.clear();
  entries.clear();
  tokens = 0;
  wait_until.reset();
}

void step_plan::remove(sequence_id id) {
  std::erase_if(entries, [this, id](const step_entry& entry) {
    if (entry.sequence != id) return false;
    tokens -= entry.count;
    return true;
  });
}

batcher::batcher(const batcher_limits& limits) : limits_(limits) {
  TROUPE_CHECK(validate(limits).ok());
}

status batcher::admit(const sequence_arrival& arrival) {
  TROUPE_CHECK(!contains(arrival.id));
  if (arrival.prompt_tokens == 0)
    return {status_code::invalid_argument, "a sequence without tokens"};
  if (queue_room() == 0 && !arrival.never_refused)
    return {status_code::exhausted, text(waiting(), " sequences are waiting already")};
  sequence& s = sequences_[arrival.id];
  s.arrival = arrival;
  s.number = ++admissions_;
  s.known = arrival.prompt_tokens;
  enter_waiting(s);
  return {};
}

void batcher::remove(sequence_id id) {
  const auto entry = sequences_.find(id);
  if (entry == sequences_.end()) return;
  if (entry->second.state == sequence_state::waiting)
    leave_waiting(entry->second);
  else
    leave_running(entry->second);
  sequences_.erase(entry);
}

void batcher::plan_starts(const step_room& room, step_plan& plan) {
  plan.clear();
  drop_late(room, plan);
  plan.wait_until = company_until(room);
  if (plan.wait_until) return;
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    if (running() >= limits_.sequences_max) return;
    sequence& s = *next->second;
    ++next; // s leaves the queue
    if (gang_is_computing(s)) continue;
    if (!step_has_room(s) || !kv_has_room(s, room)) return;
    leave_waiting(s);
    s.state = sequence_state::starting;
    enter_running(s);
    plan.starts.push_back(s.arrival.id);
  }
}

void batcher::plan_rows(step_plan& plan) {
  plan.entries.clear();
  plan.tokens = 0;
  ++step_;
  collect(false);
  const share for_decodes = decode_share(!candidates_.empty());
  collect(true);
  plan_decodes(for_decodes, plan);
  const auto decode_rows = static_cast<uint32_t>(plan.entries.size());
  collect(false);
  plan_prefills(
      {rows_max() - decode_rows, left_to_prompts(decode_rows, limits_.tokens_max - plan.tokens)},
      plan);
  if (!plan.entries.empty()) decoded_last_ = decode_rows > 0;
}

void batcher::on_started(sequence_id id, uint32_t cached_tokens) {
  sequence& s = find(id);
  TROUPE_CHECK(s.state == sequence_state::starting);
  TROUPE_CHECK(cached_tokens < s.known);
  s.state = sequence_state::running;
  s.preempted = false;
  s.scheduled = cached_tokens;
  s.computed = cached_tokens;
  s.served_at = step_;
}

void batcher::on_computed(sequence_id id, uint32_t count) {
  sequence& s = find(id);
  TROUPE_CHECK(s.state == sequence_state::running);
  TROUPE_CHECK(count <= s.scheduled - s.computed);
  s.computed += count;
}

void batcher::on_accepted(sequence_id id, uint32_t count) {
  sequence& s = find(id);
  TROUPE_CHECK(s.state == sequence_state::running);
  TROUPE_CHECK(s.computed == s.known);
  s.known += count;
  s.scheduled += count;
  s.computed += count;
}

void batcher::on_sampled(sequence_id id) {
  sequence& s = find(id);
  TROUPE_CHECK(s.state == sequence_state::running);
  TROUPE_CHECK(s.computed == s.known);
  ++s.known;
}

std::optional<sequence_id> batcher::choose_victim(std::optional<sequence_id> excluding) const {
  for (size_t n = running_.size(); n-- > 0;) {
    const sequence& s = *running_[n];
    if (s.state == sequence_state::running && s.arrival.id != excluding) return s.arrival.id;
  }
  return std::nullopt;
}

void batcher::on_preempted(sequence_id id) {
  sequence& s = find(id);
  TROUPE_CHECK(s.state != sequence_state::waiting);
  leave_running(s);
  s.state = sequence_state::waiting;
  s.preempted = true;
  s.scheduled = 0;
  s.computed = 0;
  enter_waiting(s);
}

uint32_t batcher::queue_room() const {
  return limits_.queue_max - std::min(waiting(), limits_.queue_max);
}

bool batcher::has_work() const {
  if (!waiting_.empty()) return true;
  return std::any_of(running_.begin(), running_.end(),
                     [](const sequence* s) { return s->remaining() > 0; });
}

uint32_t batcher::known_tokens(sequence_id id) const {
  return find(id).known;
}

batcher::queue_key batcher::key_of(const sequence& s) {
  return {s.arrival.priority, !s.preempted, s.arrival.arrived, s.number};
}

bool batcher::goes_before(const sequence& a, const sequence& b) {
  return std::tie(a.arrival.priority, a.arrival.arrived, a.number) <
         std::tie(b.arrival.priority, b.arrival.arrived, b.number);
}

batcher::sequence& batcher::find(sequence_id id) {
  const auto entry = sequences_.find(id);
  TROUPE_CHECK(entry != sequences_.end());
  return entry->second;
}

const batcher::sequence& batcher::find(sequence_id id) const {
  const auto entry = sequences_.find(id);
  TROUPE_CHECK(entry != sequences_.end());
  return entry->second;
}

uint32_t batcher::rows_max() const {
  if (limits_.max_batch_size == 0) return limits_.sequences_max;
  return std::min(limits_.max_batch_size, limits_.sequences_max);
}

// A waiting sequence may find almost all of its tokens cached, so one step is all that is sure; a
// running one must compute what remains before its next token can come.
bool batcher::is_late(const sequence& s, const step_room& room) const {
  if (!s.arrival.deadline) return false;
  const time_point deadline = *s.arrival.deadline;
  if (deadline <= room.now) return true;
  const uint32_t step_tokens = std::min(limits_.prefill_chunk_max, limits_.tokens_max);
  uint32_t steps = 1;
  if (s.state == sequence_state::running) steps = (s.remaining() + step_tokens - 1) / step_tokens;
  const auto left = std::chrono::duration_cast<duration>(deadline - room.now);
  return steps > 0 && room.step_time_min > left / steps;
}

void batcher::drop_late(const step_room& room, step_plan& plan) {
  while (!waiting_deadlines_.empty()) {
    const sequence_id id = waiting_deadlines_.begin()->second;
    if (!is_late(find(id), room)) break;
    plan.dropped.push_back(id);
    remove(id);
  }
  for (size_t n = running_.size(); n-- > 0;) {
    if (!is_late(*running_[n], room)) continue;
    plan.dropped.push_back(running_[n]->arrival.id);
    remove(running_[n]->arrival.id);
  }
}

// Only an idle engine waits: as long as something runs, whoever comes joins the next step anyway.
std::optional<time_point> batcher::company_until(const step_room& room) const {
  if (limits_.max_wait.count() == 0 || !running_.empty()) return std::nullopt;
  if (waiting_.empty() || waiting() >= rows_max()) return std::nullopt;
  auto until = time_point::max();
  for (const auto& [key, s] : waiting_) {
    if (s->preempted) return std::nullopt;
    until = std::min(until, s->arrival.arrived + limits_.max_wait);
    if (s->arrival.deadline) until = std::min(until, *s->arrival.deadline - room.step_time_min);
  }
  if (until <= room.now) return std::nullopt;
  return until;
}

bool batcher::gang_is_computing(const sequence& s) const {
  if (s.arrival.gang == 0) return false;
  return std::any_of(running_.begin(), running_.end(), [&s](const sequence* other) {
    return other->arrival.gang == s.arrival.gang && other->computed < other->arrival.prompt_tokens;
  });
}

// Whether the step would have rows and tokens left for it after all that goes before it.
bool batcher::step_has_room(const sequence& s) const {
  uint32_t decodes = 0;
  uint64_t prefill_rows = 0;
  uint64_t prefill_tokens = 0;
  for (const sequence* other : running_) {
    if (other->decodes()) {
      ++decodes;
    } else if (other->remaining() > 0 && goes_before(*other, s)) {
      ++prefill_rows;
      prefill_tokens += std::min(other->remaining(), limits_.prefill_chunk_max);
    }
  }
  const uint32_t rows_left = rows_max() > decodes ? rows_max() - decodes : 1;
  const uint32_t tokens_left =
      left_to_prompts(decodes, std::max(limits_.tokens_max - std::min(decodes, limits_.tokens_max),
                                        prefill_tokens_min(limits_.tokens_max)));
  return prefill_rows < rows_left && prefill_tokens < tokens_left;
}

// Whether all its tokens and one more fit, after what the running ones still need and one page for
// the growth of each: a sequence that starts should not be preempted at once.
bool batcher::kv_has_room(const sequence& s, const step_room& room) const {
  if (running_.empty()) return true;
  const auto pages_for = [&room](uint64_t tokens) {
    return (tokens + room.page_tokens - 1) / room.page_tokens;
  };
  uint64_t needed = pages_for(uint64_t{s.known} + 1);
  for (const sequence* other : running_) needed += pages_for(other->remaining()) + 1;
  return needed <= room.kv_pages;
}

void batcher::enter_waiting(sequence& s) {
  waiting_.emplace(key_of(s), &s);
  if (s.arrival.deadline) waiting_deadlines_.emplace(*s.arrival.deadline, s.arrival.id);
}

void batcher::leave_waiting(sequence& s) {
  waiting_.erase(key_of(s));
  if (s.arrival.deadline) waiting_deadlines_.erase({*s.arrival.deadline, s.arrival.id});
}

void batcher::enter_running(sequence& s) {
  const auto place =
      std::upper_bound(running_.begin(), running_.end(), &s,
                       [](const sequence* a, const sequence* b) { return goes_before(*a, *b); });
  running_.insert(place, &s);
}

void batcher::leave_running(sequence& s) {
  running_.erase(std::find(running_.begin(), running_.end(), &s));
}

// Running sequences that have something to decode, or to prefill, best first.
void batcher::collect(bool decodes) {
  candidates_.clear();
  for (sequence* s : running_) {
    if (s->state != sequence_state::running || s->remaining() == 0) continue;
    if (s->decodes() == decodes) candidates_.push_back(s);
  }
}

// Prompts always keep a row and some tokens; a step for one sequence goes to each kind in turn.
batcher::share batcher::decode_share(bool prefills_pending) const {
  const share all{rows_max(), limits_.tokens_max};
  if (!prefills_pending) return all;
  if (all.rows == 1 || all.tokens == 1) return decoded_last_ ? share{} : all;
  return {all.rows - 1, all.tokens - prefill_tokens_min(all.tokens)};
}

uint32_t batcher::left_to_prompts(uint32_t decodes, uint32_t tokens_left) const {
  return decodes == 0 ? tokens_left : std::min(tokens_left, limits_.mixed_prefill_max);
}

void batcher::add_entry(sequence& s, uint32_t count, step_plan& plan) {
  const uint32_t begin = s.scheduled;
  s.scheduled += count;
  s.served_at = step_;
  s.turn = ++entries_;
  plan.entries.push_back({s.arrival.id, begin, count, s.remaining() == 0});
  plan.tokens += count;
}

void batcher::plan_decodes(share limit, step_plan& plan) {
  const uint32_t count_max = std::min(limit.rows, limit.tokens);
  if (candidates_.size() > count_max) { // in turn: who has waited longest
    std::sort(candidates_.begin(), candidates_.end(),
              [](const sequence* a, const sequence* b) { return a->turn < b->turn; });
    candidates_.resize(count_max);
  }
  for (sequence* s : candidates_) add_entry(*s, 1, plan);
}

void batcher::plan_prefills(share limit, step_plan& plan) {
  const auto overdue = [this](const sequence* s) {
    return step_ - s->served_at > unserved_steps_max;
  };
  const auto serve = [&](sequence* s) {
    if (limit.rows == 0 || limit.tokens == 0) return;
    const uint32_t count = std::min({s->remaining(), limits_.prefill_chunk_max, limit.tokens});
    add_entry(*s, count, plan);
    --limit.rows;
    limit.tokens -= count;
  };
  for (sequence*& s : candidates_) {
    if (!overdue(s)) continue;
    serve(s);
    s = nullptr;
  }
  for (sequence* s : candidates_)
    if (s != nullptr) serve(s);
}

void batcher::check_invariants() const {
  TROUPE_CHECK(waiting_.size() + running_.size() == sequences_.size());
  TROUPE_CHECK(running_.size() <= limits_.sequences_max);
  size_t deadlines = 0;
  for (const auto& [key, s] : waiting_) {
    TROUPE_CHECK(key == key_of(*s) && s == &sequences_.at(s->arrival.id));
    TROUPE_CHECK(s->state == sequence_state::waiting);
    TROUPE_CHECK(s->scheduled == 0 && s->computed == 0);
    if (s->arrival.deadline) ++deadlines;
  }
  TROUPE_CHECK(deadlines == waiting_deadlines_.size());
  for (size_t n = 0; n < running_.size(); ++n) {
    const sequence& s = *running_[n];
    TROUPE_CHECK(&s == &sequences_.at(s.arrival.id) && s.state != sequence_state::waiting);
    TROUPE_CHECK(s.computed <= s.scheduled && s.scheduled <= s.known);
    TROUPE_CHECK(s.known >= s.arrival.prompt_tokens);
    if (n > 0) TROUPE_CHECK(goes_before(*running_[n - 1], s));
  }
}

} // namespace troupe::dataflow
