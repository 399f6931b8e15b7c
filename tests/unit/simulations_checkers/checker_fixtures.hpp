// Clients without a cluster: time moved by hand, and doors that serve known answers and can be told
// to lose, repeat, refuse, fall silent and crash.
#pragma once

#include "base/random.hpp"
#include "simulations/checkers/oracle.hpp"
#include "simulations/workload/client.hpp"
#include "tests/support/built_in_model.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::simulations::tests {

inline oracle& shared_oracle() {
  // Never destroyed: at the end of a process CAF is gone before this would be.
  static oracle* const made = oracle::make(troupe::tests::built_in_model(),
                                           troupe::tests::shared_executor(), {.positions_max = 128})
                                  .value()
                                  .release();
  return *made;
}

inline std::shared_ptr<dataflow::generation_request> ask(uint64_t seed, uint32_t tokens = 6,
                                                         uint32_t choices = 1) {
  auto out = std::make_shared<dataflow::generation_request>();
  out->id = "test";
  out->prompt = {40, 41, 42, 43};
  out->sampling.seed = seed;
  out->tokens_max = tokens;
  out->choices = choices;
  out->ignore_eos = true;
  return out;
}

class hand_moved_timers final : public client_timers {
public:
  time_point now() const override { return now_; }
  uint64_t schedule(time_point when, std::string_view, std::function<void()> what) override {
    waiting_[{std::max(when, now_), ++last_}] = std::move(what);
    return last_;
  }
  void cancel(uint64_t timer) override {
    std::erase_if(waiting_, [timer](const auto& entry) { return entry.first.second == timer; });
  }
  bool step() {
    if (waiting_.empty()) return false;
    auto next = waiting_.extract(waiting_.begin());
    now_ = next.key().first;
    next.mapped()();
    return true;
  }
  void run_until(time_point end) {
    while (!waiting_.empty() && waiting_.begin()->first.first <= end) step();
    now_ = std::max(now_, end);
  }
  void run() {
    for (int i = 0; i < 100'000 && step(); ++i) {
    }
  }
  size_t pending() const { return waiting_.size(); }

private:
  time_point now_{std::chrono::seconds(1)};
  uint64_t last_ = 0;
  std::map<std::pair<time_point, uint64_t>, std::function<void()>> waiting_;
};

// Serves the oracle's answers, one event a millisecond.
class scripted_doors final : public door_surface {
public:
  struct door_state {
    bool up = true;
    bool silent = false; // takes requests and says nothing
    uint64_t incarnation = 1;
    status refuses; // when not ok: every request
  };

  scripted_doors(hand_moved_timers& timers, uint32_t doors) : doors_list(doors), timers_(timers) {}

  uint32_t doors() const override { return static_cast<uint32_t>(doors_list.size()); }
  bool up(uint32_t door) const override { return doors_list.at(door).up; }
  uint64_t incarnation(uint32_t door) const override { return doors_list.at(door).incarnation; }

  status submit(const door_call& call, std::shared_ptr<const dataflow::generation_request> request,
                const std::vector<choice_received>& received) override {
    calls.push_back(call);
    received_by_call.push_back(received);
    auto& door = doors_list.at(call.door);
    if (!door.refuses.ok()) return door.refuses;
    open_[call.client] = call;
    if (!door.silent) serve(call, events_of(shared_oracle().of(*request), *request, received));
    return {};
  }

  void cancel(const door_call& call) override {
    cancelled.insert(call.client);
    auto& doer = *clients.at(call.client);
    std::vector<dataflow::stream_event> rest;
    const auto& request = *doer.record().asked.request;
    for (uint32_t i = 0; i < request.choices; ++i) {
      const auto& have = doer.record().choices[i];
      if (have.finished) continue;
      const auto whole = text_when_cut(shared_oracle().tokenizer(), request, have.tokens);
      if (whole.size() > have.text.size()) {
        dataflow::stream_event flush;
        flush.choice = i;
        flush.text = whole.substr(have.text.size());
        rest.push_back(flush);
      }
      dataflow::stream_event end;
      end.what = dataflow::stream_event::kind::finished;
      end.choice = i;
      end.reason = dataflow::finish_reason::cancelled;
      rest.push_back(end);
    }
    dataflow::stream_event last;
    last.what = dataflow::stream_event::kind::completed;
    last.prompt_tokens = static_cast<uint32_t>(request.prompt.size());
    last.completion_tokens = doer.record().tokens();
    rest.push_back(last);
    ++generation_[call.client];
    const uint64_t heard = sent_[{call.client, call.attempt}];
    for (size_t i = 0; i < rest.size(); ++i) rest[i].sequence_number = heard + 1 + i;
    serve(call, std::move(rest));
  }

  void hang_up(const door_call& call) override {
    hung_up.push_back(call);
    ++generation_[call.client];
    open_.erase(call.client);
  }

  void crash(uint32_t door) {
    doors_list.at(door).up = false;
    for (const auto& [client, call] : std::map(open_))
      if (call.door == door) {
        ++generation_[client];
        open_.erase(client);
        clients.at(client)->on_disconnected(call.attempt);
      }
  }
  void restart(uint32_t door) {
    doors_list.at(door).up = true;
    ++doors_list.at(door).incarnation;
  }

  // Everything that is still to be said to somebody who has `received`.
  static std::vector<dataflow::stream_event> events_of(
      const answer& right, const dataflow::generation_request& request,
      const std::vector<choice_received>& received) {
    using dataflow::stream_event;
    std::vector<stream_event> out;
    const auto add = [&out](stream_event event) {
      event.sequence_number = out.size() + 1;
      out.push_back(std::move(event));
    };
    for (uint32_t c = 0; c < right.choices.size(); ++c) {
      const auto& choice = right.choices[c];
      if (received[c].finished) continue;
      stream_event event;
      event.choice = c;
      if (request.prompt_logprobs && !received[c].prompt_scored) {
        event.what = stream_event::kind::prompt_scored;
        event.tokens = choice.prompt;
        add(event);
      }
      event.what = stream_event::kind::text;
      size_t told = received[c].text.size();
      for (size_t i = received[c].tokens; i < choice.tokens.size(); ++i) {
        event.tokens = {choice.tokens[i]};
        event.text = choice.text.substr(told, choice.text_after[i] - told);
        told = choice.text_after[i];
        add(event);
      }
      event.tokens.clear();
      event.text = choice.text.substr(told);
      if (!event.text.empty()) add(event);
      event.text.clear();
      event.what = stream_event::kind::finished;
      event.reason = choice.reason;
      event.stopped_by = choice.stopped_by;
      add(event);
    }
    stream_event event;
    event.what = stream_event::kind::completed;
    event.prompt_tokens = static_cast<uint32_t>(request.prompt.size());
    event.completion_tokens = right.completion_tokens;
    add(event);
    return out;
  }

  std::vector<door_state> doors_list;
  std::map<uint32_t, client*> clients;
  std::vector<door_call> calls;
  std::vector<std::vector<choice_received>> received_by_call;
  std::vector<door_call> hung_up;
  std::set<uint32_t> cancelled;
  duration pace = std::chrono::milliseconds(1);
  uint64_t lose_number = 0;   // the event of this number never comes
  uint64_t repeat_number = 0; // … comes twice

private:
  void serve(const door_call& call, std::vector<dataflow::stream_event> events) {
    const uint64_t generation = generation_[call.client];
    const uint64_t incarnation = doors_list.at(call.door).incarnation;
    time_point when = timers_.now();
    for (auto& event : events) {
      when += pace;
      const uint64_t number = event.sequence_number;
      if (number == lose_number) continue;
      const int times = number == repeat_number ? 2 : 1;
      for (int i = 0; i < times; ++i)
        timers_.schedule(when, "event", [this, call, event, generation, incarnation] {
          if (generation_[call.client] != generation) return; // broken off meanwhile
          sent_[{call.client, call.attempt}] = event.sequence_number;
          clients.at(call.client)->on_event({call.attempt, call.door, incarnation, 0}, event);
        });
    }
  }

  hand_moved_timers& timers_;
  std::map<uint32_t, door_call> open_;                     // by client
  std::map<uint32_t, uint64_t> generation_;                // by client: of what may still come
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> sent_; // by client and attempt
};

} // namespace troupe::simulations::tests
