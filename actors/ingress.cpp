// Relays what the sequencer draws to the clients: decodes tokens, watches for stop texts, numbers
// the events, and hands every unfinished stream to a new sequencer when the old one is lost.
#include "actors/ingress.hpp"

#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "base/mutant.hpp"
#include "dataflow/stop_matcher.hpp"
#include "model/stream_decoder.hpp"
#include "model/tokenizer.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace troupe::actors {
namespace {

using dataflow::finish_reason;
using dataflow::stream_event;

// One of a request's answers as the client has it so far.
struct choice_state {
  choice_state(const model::tokenizer& tokenizer, const dataflow::generation_request& request)
      : decoder(tokenizer, request.skip_special_tokens),
        stops(request.stop_texts, request.include_stop_text) {}

  model::stream_decoder decoder;
  dataflow::stop_matcher stops;
  std::vector<int32_t> drawn;
  uint32_t silent_tokens = 0; // of them the client has the first so many already …
  uint64_t silent_bytes = 0;  // … and so much of their text
  uint64_t text_bytes = 0;    // made so far
  bool prompt_scored = false;
  bool finished = false;
  uint64_t finished_in = 0; // epoch; 0: before it came here
  time_point last_token{};

  uint32_t tokens() const { return std::max(silent_tokens, static_cast<uint32_t>(drawn.size())); }
};

struct stream_state {
  std::shared_ptr<const dataflow::generation_request> request; // shared with the sequencer
  engine::event_sink sink;
  time_point arrived{};
  std::vector<choice_state> choices;
  uint64_t events = 0;
  uint32_t cached_tokens = 0;
  uint32_t unfinished = 0;
  bool told = false; // something of it has been heard from a sequencer
};

double seconds(duration d) {
  return std::chrono::duration<double>(d).count();
}

struct ingress_state {
  using self_pointer = ingress::stateful_pointer<ingress_state>;
  static inline const char* name = "ingress";

  explicit ingress_state(self_pointer owner) : self(owner) {}

  // -- wiring

  // Every epoch begins from what we know; a token the last one drew and did not tell is drawn
  // again.
  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    if (serving() && !TROUPE_MUTANT(streams_not_resubmitted))
      for (const auto& [handle, stream] : streams) submit(handle, stream);
    self->send(routes->supervisor, wired{in.epoch, options.part});
  }

  bool serving() const { return routes.value && routes->sequencer.handle; }

  void submit(request_handle handle, const stream_state& stream) {
    request_submission work;
    work.handle = handle;
    work.request = stream.request;
    work.arrived = stream.arrived;
    for (const auto& choice : stream.choices) {
      work.drawn.push_back(choice.drawn);
      work.finished.push_back(choice.finished);
      work.prompt_scored.push_back(choice.prompt_scored);
    }
    if (stream.told) options.trace->hit("stream.resubmitted", handle);
    self->send(routes->sequencer.handle,
               submit_request{epoch, handle, make_local(std::move(work))});
  }

  // -- from the engine

  void open(const open_stream& in) {
    const auto& opening = *in.opening;
    stream_state stream;
    stream.request = opening.request;
    stream.sink = opening.sink;
    stream.arrived = opening.arrived;
    stream.unfinished = opening.request->choices;
    stream.choices.reserve(stream.unfinished);
    for (uint32_t i = 0; i < opening.request->choices; ++i)
      stream.choices.emplace_back(*options.tokenizer, *opening.request);
    if (!opening.received.empty()) take_up(stream, opening.received);
    const auto [entry, inserted] = streams.emplace(in.handle, std::move(stream));
    TROUPE_CHECK(inserted);
    if (failed) return fail_stream(in.handle, status(status_code::unavailable, failed_why));
    if (entry->second.unfinished == 0) return complete_if_done(in.handle);
    if (serving()) submit(in.handle, entry->second);
  }

  // The client has part of the answer from another door, or from this one before it was cut off.
  void take_up(stream_state& stream, const engine::received_so_far& received) {
    options.trace->hit("stream.resumed", stream.choices.size());
    TROUPE_CHECK(received.size() == stream.choices.size());
    for (size_t i = 0; i < received.size(); ++i) {
      auto& choice = stream.choices[i];
      choice.silent_tokens = TROUPE_MUTANT(received_ignored) ? 0 : received[i].tokens;
      choice.silent_bytes = received[i].text_bytes;
      choice.prompt_scored = received[i].prompt_scored;
      choice.finished = received[i].finished;
      if (choice.finished) --stream.unfinished;
    }
  }

  void cancel(request_handle handle) {
    const auto entry = streams.find(handle);
    if (entry == streams.end()) return;
    for (uint32_t choice = 0; choice < entry->second.choices.size(); ++choice) {
      if (entry->second.choices[choice].finished) continue;
      finish(entry->second, choice, finish_reason::cancelled, {});
      if (!TROUPE_MUTANT(leaving_not_told)) tell_end(handle, choice);
    }
    complete_if_done(handle);
  }

  // -- from the sequencer

  void relay(const tokens_emitted& in) {
    if (in.epoch != epoch && !TROUPE_MUTANT(old_tokens_relayed)) return; // fenced
    options.trace->hit("tokens.relayed", traced(in.epoch, epoch));
    for (const auto& entry : in.work->entries) relay(entry);
  }

  void relay(const emission::entry& in) {
    const auto found = streams.find(in.handle);
    if (found == streams.end()) // cancelled meanwhile
      return options.trace->hit("tokens.late", in.handle);
    auto& stream = found->second;
    if (in.choice >= stream.choices.size()) return; // nonsense of another node
    auto& choice = stream.choices[in.choice];
    stream.told = true;
    if (choice.finished) // no wonder in the epoch of its end
      return options.trace->hit("tokens.unwanted", traced(choice.finished_in, epoch));
    if (in.first) observe_start(stream, in);
    if (!in.prompt.empty() && !choice.prompt_scored) {
      choice.prompt_scored = true;
      stream_event event;
      event.what = stream_event::kind::prompt_scored;
      event.tokens = in.prompt;
      emit(stream, in.choice, std::move(event));
    }
    if (!relay_tokens(stream, in)) return;
    if (in.finished && !choice.finished) finish(stream, in.choice, in.reason, {});
    complete_if_done(in.handle);
  }

  // A restarted sequencer may draw tokens again that we have; they are the same ones. False when
  // some are missing in between, which is nonsense of another node: a new epoch begins from what we
  // have.
  bool relay_tokens(stream_state& stream, const emission::entry& in) {
    auto& choice = stream.choices[in.choice];
    if (in.begin > choice.drawn.size()) {
      self->send(routes->supervisor, pipeline_stuck{epoch, 0});
      return false;
    }
    for (size_t i = 0; i < in.tokens.size() && !choice.finished; ++i) {
      if (in.begin + i < choice.drawn.size()) continue;
      const bool ends_here = in.finished && i + 1 == in.tokens.size();
      const bool silent = ends_here && in.ends_with_stop_id && !stream.request->include_stop_text;
      relay_token(in.handle, stream, in.choice, in.tokens[i], silent);
    }
    return true;
  }

  void relay_token(request_handle handle, stream_state& stream, uint32_t index,
                   const dataflow::token_record& token, bool silent) {
    auto& choice = stream.choices[index];
    observe_token(stream, choice);
    choice.drawn.push_back(token.token);
    const bool heard = choice.drawn.size() <= choice.silent_tokens;
    const std::string piece = silent ? std::string() : choice.decoder.push(token.token);
    stream_event event;
    event.tokens.push_back(token);
    if (choice.drawn.size() <= stream.request->tokens_min) {
      event.text = fresh(choice, choice.stops.pass(piece));
      if (!heard) emit(stream, index, std::move(event));
      return;
    }
    auto match = choice.stops.feed(piece);
    event.text = fresh(choice, std::move(match.emit));
    if (!heard) emit(stream, index, std::move(event));
    if (!match.stopped) return;
    end(stream, index, finish_reason::stop, std::move(match.stopped_by));
    if (!TROUPE_MUTANT(stop_not_told)) tell_end(handle, index);
  }

  // The part of the text that the client does not have yet.
  static std::string fresh(choice_state& choice, std::string text) {
    const uint64_t from = std::exchange(choice.text_bytes, choice.text_bytes + text.size());
    if (from >= choice.silent_bytes) return text;
    return text.substr(std::min<uint64_t>(text.size(), choice.silent_bytes - from));
  }

  void tell_end(request_handle handle, uint32_t choice) {
    if (serving()) self->send(routes->sequencer.handle, end_choice{epoch, handle, choice});
  }

  void hear_failure(const request_failed& in) {
    if (in.epoch == epoch) fail_stream(in.handle, status(in.code, in.why));
  }

  void fail_stream(request_handle handle, status why) {
    const auto entry = streams.find(handle);
    if (entry == streams.end()) return;
    for (uint32_t i = 0; i < entry->second.choices.size(); ++i)
      if (!entry->second.choices[i].finished) tell_end(handle, i);
    count(options.board->finished[static_cast<size_t>(finish_reason::failed)],
          entry->second.unfinished);
    stream_event event;
    event.what = stream_event::kind::failed;
    event.why = std::move(why);
    emit(entry->second, 0, std::move(event));
    erase(entry);
  }

  void fail_everything(const std::string& why) {
    failed = true;
    failed_why = why;
    while (!streams.empty())
      fail_stream(streams.begin()->first, status(status_code::unavailable, why));
  }

  // -- ends

  // The stream ends by itself: what is still held back goes out first.
  void finish(stream_state& stream, uint32_t index, finish_reason reason, std::string stopped_by) {
    auto& choice = stream.choices[index];
    // Cut off before it has caught up with what the client has: that is all there is to say.
    if (choice.drawn.size() < choice.silent_tokens)
      return end(stream, index, reason, std::move(stopped_by));
    auto match = choice.stops.feed(choice.decoder.finish());
    if (match.stopped) {
      reason = finish_reason::stop;
      stopped_by = std::move(match.stopped_by);
    }
    match.emit += choice.stops.flush();
    match.emit = fresh(choice, std::move(match.emit));
    if (!match.emit.empty()) {
      stream_event event;
      event.text = std::move(match.emit);
      emit(stream, index, std::move(event));
    }
    end(stream, index, reason, std::move(stopped_by));
  }

  void end(stream_state& stream, uint32_t index, finish_reason reason, std::string stopped_by) {
    stream.choices[index].finished = true;
    stream.choices[index].finished_in = epoch;
    --stream.unfinished;
    count(options.board->finished[static_cast<size_t>(reason)]);
    stream_event event;
    event.what = stream_event::kind::finished;
    event.reason = reason;
    event.stopped_by = std::move(stopped_by);
    emit(stream, index, std::move(event));
  }

  void complete_if_done(request_handle handle) {
    const auto entry = streams.find(handle);
    if (entry == streams.end() || entry->second.unfinished > 0) return;
    auto& stream = entry->second;
    stream_event event;
    event.what = stream_event::kind::completed;
    event.prompt_tokens = static_cast<uint32_t>(stream.request->prompt.size());
    event.cached_tokens = stream.cached_tokens;
    for (const auto& choice : stream.choices) event.completion_tokens += choice.tokens();
    options.board->request_latency.add(seconds(options.time->now() - stream.arrived));
    emit(stream, 0, std::move(event));
    erase(entry);
  }

  void erase(std::map<request_handle, stream_state>::iterator entry) {
    options.board->streams_open.fetch_sub(entry->second.choices.size(), std::memory_order_relaxed);
    streams.erase(entry);
  }

  void emit(stream_state& stream, uint32_t choice, stream_event event) {
    event.choice = choice;
    event.sequence_number = ++stream.events;
    stream.sink(std::move(event));
  }

  // -- figures

  void observe_start(stream_state& stream, const emission::entry& in) {
    stream.cached_tokens = std::max(stream.cached_tokens, in.cached_tokens);
    options.board->queue_time.add(seconds(in.started - stream.arrived));
  }

  void observe_token(const stream_state& stream, choice_state& choice) {
    const auto now = options.time->now();
    if (choice.drawn.empty())
      options.board->time_to_first_token.add(seconds(now - stream.arrived));
    else
      options.board->inter_token_latency.add(seconds(now - choice.last_token));
    choice.last_token = now;
  }

  self_pointer self;
  ingress_options options;
  uint64_t epoch = 0;
  local_ref<route_table> routes;
  std::map<request_handle, stream_state> streams;
  bool failed = false;
  std::string failed_why;
};

ingress::behavior_type ingress_behavior(ingress_state::self_pointer self, ingress_options options) {
  auto* state = &self->state;
  state->options = options;
  return {
      [state](const wire& in) { state->rewire(in); },
      [self](const stop_part&) { self->quit(); },
      [state](const open_stream& in) { state->open(in); },
      [state](const cancel_stream& in) { state->cancel(in.handle); },
      [state](const tokens_emitted& in) { state->relay(in); },
      [state](const request_failed& in) { state->hear_failure(in); },
      [state](const pipeline_failed& in) { state->fail_everything(in.why); },
  };
}

} // namespace

ingress spawn_ingress(caf::actor_system& system, const ingress_options& options) {
  return system.spawn(ingress_behavior, options);
}

} // namespace troupe::actors
