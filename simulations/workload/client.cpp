// Receives strictly: what comes twice, too early, too late or from the wrong process is noted as a
// violation at once.
#include "simulations/workload/client.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace troupe::simulations {
namespace {

using dataflow::stream_event;

constexpr uint32_t client_entity = 1u << 31; // apart from the draws of the requests

// Whether asking again, later or elsewhere, may help.
bool worth_retrying(status_code code) {
  return code == status_code::unavailable || code == status_code::exhausted ||
         code == status_code::timed_out;
}

} // namespace

client::client(client_request what, const client_options& options, door_surface& doors,
               client_timers& timers)
    : options_(options), doors_(doors), timers_(timers) {
  TROUPE_CHECK(what.request && what.request->choices > 0 && doors.doors() > 0);
  call_.client = what.client;
  record_.choices.resize(what.request->choices);
  record_.asked = std::move(what);
}

client::~client() {
  for (const auto& timer : {patience_timer_, retry_timer_, stall_timer_})
    if (timer) timers_.cancel(*timer);
}

void client::arrive() {
  TROUPE_CHECK(!arrived_);
  arrived_ = true;
  record_.arrived = timers_.now();
  moved_on();
  knock();
}

// -- finding a door

void client::knock() {
  retry_timer_.reset();
  if (done() || connected_ || stalled()) return; // wake() knocks again
  if (record_.attempts >= options_.attempts_max) {
    record_.failure = last_refusal_.ok()
                          ? status(status_code::timed_out,
                                   text("no door answered in ", record_.attempts, " attempts"))
                          : last_refusal_;
    return end(client_end::failed);
  }
  if (auto s = call_door(); !s.ok()) return refused(std::move(s));
  watch();
  cancel_if_planned();
}

// The first call goes to the preferred door, every other one to any but the one before.
status client::call_door() {
  const uint32_t doors = doors_.doors();
  if (record_.attempts == 0)
    call_.door = record_.asked.door % doors;
  else if (doors > 1)
    call_.door = (call_.door + 1 + static_cast<uint32_t>(draw(doors - 1))) % doors;
  call_.attempt = ++record_.attempts;
  last_said_ = false;
  if (!doors_.up(call_.door))
    return status(status_code::unavailable, text("door ", call_.door, " is down"));
  events_ = 0;
  epoch_ = 0;
  incarnation_ = doors_.incarnation(call_.door);
  last_heard_ = timers_.now();
  const auto have = received();
  const bool resumes = std::any_of(have.begin(), have.end(), [](const choice_received& choice) {
    return choice.tokens > 0 || choice.finished || choice.prompt_scored;
  });
  TROUPE_RETURN_IF_ERROR(doors_.submit(call_, record_.asked.request, have));
  connected_ = true;
  if (resumes) ++record_.resumed;
  return {};
}

void client::refused(status why) {
  ++record_.refusals;
  close();
  if (record_.cancel_sent) return end(client_end::cancelled);
  if (!worth_retrying(why.code())) {
    record_.failure = std::move(why);
    return end(client_end::failed);
  }
  last_refusal_ = std::move(why);
  go_elsewhere();
}

// With everything received there is nothing to ask for but the counts. One who wanted to leave
// anyway does not come back.
void client::go_elsewhere() {
  if (all_finished()) return end(was_cut() ? client_end::cancelled : client_end::completed);
  if (record_.cancel_sent) return end(client_end::cancelled);
  duration pause = options_.back_off_first;
  for (uint32_t i = 0; i < failures_ && pause < options_.back_off_max; ++i) pause *= 2;
  ++failures_;
  pause = std::min(pause, options_.back_off_max);
  pause += duration(static_cast<int64_t>(draw(static_cast<uint64_t>(pause.count()) / 2 + 1)));
  retry_timer_ = timers_.schedule(timers_.now() + pause, "client.retry", [this] { knock(); });
}

void client::close() {
  connected_ = false;
  unread_.clear();
  if (patience_timer_) timers_.cancel(*patience_timer_);
  patience_timer_.reset();
}

// One timer follows the silence; hearing something does not touch it.
void client::watch() {
  if (patience_timer_) return;
  patience_timer_ = timers_.schedule(last_heard_ + options_.patience, "client.patience", [this] {
    patience_timer_.reset();
    patience_over();
  });
}

void client::patience_over() {
  if (!connected_ || stalled()) return; // wake() watches again
  if (timers_.now() < last_heard_ + options_.patience) return watch();
  record_.silences.push_back({call_.door, last_heard_, timers_.now()});
  doors_.hang_up(call_);
  close();
  go_elsewhere();
}

void client::disconnect() {
  if (!connected_) return;
  doors_.hang_up(call_);
  close();
  go_elsewhere();
}

void client::on_disconnected(uint32_t attempt) {
  if (!connected_ || attempt != call_.attempt) return;
  if (stalled()) return unread_.push_back({{}, {}, true}); // what came before can still be read
  close();
  go_elsewhere();
}

// -- reading nothing for a while

bool client::stalled() const {
  return stall_timer_.has_value();
}

void client::stall(duration how_long) {
  if (done()) return;
  if (stall_timer_) timers_.cancel(*stall_timer_);
  stall_timer_ = timers_.schedule(timers_.now() + how_long, "client.wake", [this] {
    stall_timer_.reset();
    wake();
  });
}

void client::wake() {
  if (!arrived_ || done()) return;
  moved_on(); // the wait until here was its own
  last_heard_ = timers_.now();
  auto unread = std::exchange(unread_, {});
  for (const auto& in : unread) {
    if (!connected_) break;
    if (in.disconnected)
      on_disconnected(call_.attempt);
    else
      take(in);
  }
  if (connected_)
    watch();
  else if (!done() && !retry_timer_)
    knock();
}

// -- receiving

void client::on_event(const event_origin& origin, stream_event event) {
  if (origin.attempt == call_.attempt && last_said_)
    return note("S1", text("an event (number ", event.sequence_number, ") comes from door ",
                           origin.door, " after the last one"));
  if (!connected_ || origin.attempt != call_.attempt) {
    ++record_.events_ignored;
    return;
  }
  if (stalled()) return unread_.push_back({origin, std::move(event), false});
  take({origin, std::move(event), false});
}

void client::take(const inbound& in) {
  last_heard_ = timers_.now();
  if (!acceptable(in.origin, in.event)) return;
  switch (in.event.what) {
    case stream_event::kind::prompt_scored:
      return take_prompt(in.event);
    case stream_event::kind::text:
      return take_text(in.event);
    case stream_event::kind::finished:
      return take_finished(in.event);
    case stream_event::kind::completed:
      return take_completed(in.event);
    case stream_event::kind::failed:
      return take_failed(in.event);
  }
}

bool client::acceptable(const event_origin& origin, const stream_event& event) {
  if (origin.door != call_.door || origin.incarnation != incarnation_) {
    note("S8", text("an event comes from door ", origin.door, " incarnation ", origin.incarnation,
                    ", expected door ", call_.door, " incarnation ", incarnation_));
    return false;
  }
  if (origin.epoch != 0 && origin.epoch < epoch_) {
    note("S8", text("an event of epoch ", origin.epoch, " comes after one of epoch ", epoch_));
    return false;
  }
  epoch_ = std::max(epoch_, origin.epoch);
  record_.last_epoch = epoch_;
  if (event.sequence_number <= events_) {
    note("S1", text("event ", event.sequence_number, " comes again, expected ", events_ + 1));
    return false;
  }
  if (event.sequence_number != events_ + 1)
    note("S1", text("event ", event.sequence_number, " comes, expected ", events_ + 1));
  events_ = event.sequence_number;
  if (event.choice < record_.choices.size()) return true;
  note("S1", text("an event is for choice ", event.choice, " of ", record_.choices.size()));
  return false;
}

void client::take_prompt(const stream_event& event) {
  auto& choice = record_.choices[event.choice];
  if (choice.prompt_scored || !choice.tokens.empty() || choice.finished)
    return note("S1", text("choice ", event.choice, ": the prompt's scores come ",
                           choice.prompt_scored ? "again" : "after the answer began"));
  choice.prompt_scored = true;
  choice.prompt = event.tokens;
  moved_on();
}

void client::take_text(const stream_event& event) {
  auto& choice = record_.choices[event.choice];
  if (choice.finished)
    return note("S1", text("choice ", event.choice, ": text comes after the end, at token ",
                           choice.tokens.size()));
  choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
  choice.text += event.text;
  if (choice.tokens.size() > record_.asked.request->tokens_max)
    note("S1", text("choice ", event.choice, ": ", choice.tokens.size(), " tokens, asked for ",
                    record_.asked.request->tokens_max));
  moved_on();
  cancel_if_planned();
}

void client::take_finished(const stream_event& event) {
  auto& choice = record_.choices[event.choice];
  if (choice.finished) return note("S1", text("choice ", event.choice, " ends twice"));
  choice.finished = true;
  choice.reason = event.reason;
  choice.stopped_by = event.stopped_by;
  choice.ended = timers_.now();
  moved_on();
}

void client::take_completed(const stream_event& event) {
  last_said_ = true;
  for (size_t i = 0; i < record_.choices.size(); ++i)
    if (!record_.choices[i].finished)
      note("S1", text("completed without an end of choice ", i, ", which has ",
                      record_.choices[i].tokens.size(), " tokens"));
  record_.has_usage = true;
  record_.prompt_tokens = event.prompt_tokens;
  record_.cached_tokens = event.cached_tokens;
  record_.completion_tokens = event.completion_tokens;
  moved_on();
  end(was_cut() ? client_end::cancelled : client_end::completed);
}

void client::take_failed(const stream_event& event) {
  last_said_ = true;
  if (event.why.ok()) note("S6", "the stream fails without a reason");
  refused(event.why.ok() ? status(status_code::unavailable, "failed without a reason") : event.why);
}

void client::cancel_if_planned() {
  if (!connected_ || record_.cancel_sent || !record_.asked.cancel_after) return;
  if (record_.tokens() < *record_.asked.cancel_after) return;
  record_.cancel_sent = true;
  doors_.cancel(call_);
}

void client::end(client_end how) {
  TROUPE_CHECK(!done());
  close();
  record_.end = how;
  record_.ended = timers_.now();
  for (auto* timer : {&retry_timer_, &stall_timer_}) {
    if (*timer) timers_.cancel(**timer);
    timer->reset();
  }
  if (on_end_) on_end_(*this);
}

void client::moved_on() {
  failures_ = 0;
  record_.last_news = timers_.now();
  if (record_.news.empty() || record_.news.back() != record_.last_news)
    record_.news.push_back(record_.last_news);
}

// -- looking at it

bool client::all_finished() const {
  return std::all_of(record_.choices.begin(), record_.choices.end(),
                     [](const choice_record& choice) { return choice.finished; });
}

// Whether leaving has cost some of the answer.
bool client::was_cut() const {
  return record_.cancel_sent &&
         std::any_of(
             record_.choices.begin(), record_.choices.end(), [](const choice_record& choice) {
               return !choice.finished || choice.reason == dataflow::finish_reason::cancelled;
             });
}

std::vector<choice_received> client::received() const {
  std::vector<choice_received> out;
  out.reserve(record_.choices.size());
  for (const auto& choice : record_.choices)
    out.push_back({static_cast<uint32_t>(choice.tokens.size()), choice.text, choice.prompt_scored,
                   choice.finished});
  return out;
}

std::optional<door_call> client::connection() const {
  if (!connected_) return std::nullopt;
  return call_;
}

std::string client::describe() const {
  const auto& request = *record_.asked.request;
  std::string out = text("client ", record_.asked.client, " (", request.id, "): ");
  if (!arrived_) return out + "has not arrived";
  if (done())
    out += to_string(record_.end);
  else if (connected_)
    out += text("waits at door ", call_.door, " incarnation ", incarnation_);
  else
    out += "is between doors";
  out += text(", attempt ", record_.attempts, ", tokens");
  for (const auto& choice : record_.choices)
    out += text(' ', choice.tokens.size(), choice.finished ? " (ended)" : "", " of ",
                request.tokens_max);
  if (!last_refusal_.ok()) out += text(", last refusal: ", last_refusal_.why());
  return out;
}

void client::note(const char* invariant, std::string what) {
  record_.violations.push_back(
      {invariant, text("client ", record_.asked.client, " attempt ", call_.attempt, ": ", what),
       timers_.now()});
}

uint64_t client::draw(uint64_t bound) {
  const random_key key{options_.seed, random_subsystem::workload,
                       client_entity | record_.asked.client};
  return random_below(key, draws_++, bound);
}

} // namespace troupe::simulations
