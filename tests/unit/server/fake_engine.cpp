// An engine whose answers a test writes by hand, event by event.
#include "tests/unit/server/fake_engine.hpp"

#include "base/check.hpp"

#include <chrono>

namespace troupe::server {
namespace {

constexpr std::chrono::seconds patience{20};
using kind = dataflow::stream_event::kind;

} // namespace

result<fake_engine::handle> fake_engine::submit(dataflow::generation_request request,
                                                event_sink sink, received_so_far received) {
  handle id = 0;
  bool at_once = false;
  received_so_far had;
  const size_t prompt = request.prompt.size();
  const uint32_t choices = request.choices;
  {
    const std::lock_guard lock(mutex_);
    if (!refusal_.ok()) return fail(refusal_);
    requests_.push_back(request);
    received_.push_back(std::move(received));
    id = requests_.size();
    states_[id] = {std::move(request), std::move(sink)};
    at_once = at_once_;
    had = received_.back();
    had.resize(choices);
    for (const auto& choice : had) states_[id].tokens += choice.tokens;
  }
  changed_.notify_all();
  if (at_once) {
    for (uint32_t choice = 0; choice < choices; ++choice) {
      const std::string digits = std::to_string(prompt);
      for (size_t i = had[choice].tokens; i < digits.size(); ++i)
        text(id, digits.substr(i, 1), choice);
      if (!had[choice].finished) finish(id, dataflow::finish_reason::stop, choice);
    }
    complete(id);
  }
  return id;
}

void fake_engine::cancel(handle id) {
  {
    const std::lock_guard lock(mutex_);
    cancelled_.insert(id);
  }
  changed_.notify_all();
  finish(id,
         dataflow::finish_reason::cancelled); // as the real one: too late for the client to hear
  complete(id);
}

actors::engine_metrics fake_engine::metrics() {
  actors::engine_metrics out;
  const std::lock_guard lock(mutex_);
  out.requests_accepted = requests_.size();
  return out;
}

void fake_engine::begin_drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
  refusal_ = status(status_code::unavailable, "the server is draining");
}

bool fake_engine::draining() const {
  return draining_;
}

bool fake_engine::healthy() {
  const std::lock_guard lock(mutex_);
  return healthy_;
}

const model::tokenizer& fake_engine::tokenizer() const {
  check_failed(__FILE__, __LINE__, "unused");
}
const model::description& fake_engine::description() const {
  check_failed(__FILE__, __LINE__, "unused");
}
const model::generation_defaults& fake_engine::generation_defaults() const {
  check_failed(__FILE__, __LINE__, "unused");
}

void fake_engine::refuse_with(status why) {
  const std::lock_guard lock(mutex_);
  refusal_ = std::move(why);
}

void fake_engine::set_healthy(bool value) {
  const std::lock_guard lock(mutex_);
  healthy_ = value;
}

void fake_engine::answer_at_once() {
  const std::lock_guard lock(mutex_);
  at_once_ = true;
}

std::vector<dataflow::generation_request> fake_engine::wait_for_requests(size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return requests_.size() >= count; });
  return requests_;
}

std::vector<fake_engine::received_so_far> fake_engine::received() {
  const std::lock_guard lock(mutex_);
  return received_;
}

bool fake_engine::wait_for_cancel(handle id) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return cancelled_.contains(id); });
}

size_t fake_engine::cancelled_count() {
  const std::lock_guard lock(mutex_);
  return cancelled_.size();
}

void fake_engine::event(handle id, dataflow::stream_event what) {
  event_sink sink;
  {
    const std::lock_guard lock(mutex_);
    const auto at = states_.find(id);
    if (at == states_.end()) return;
    what.sequence_number = ++at->second.sequence_number;
    if (what.what == kind::text) at->second.tokens += static_cast<uint32_t>(what.tokens.size());
    if (what.what == kind::completed) {
      what.prompt_tokens = static_cast<uint32_t>(at->second.request.prompt.size());
      what.completion_tokens = at->second.tokens;
      what.cached_tokens = 1;
    }
    sink = at->second.sink;
    if (what.what == kind::completed || what.what == kind::failed) states_.erase(at);
  }
  sink(std::move(what));
}

void fake_engine::text(handle id, std::string content, uint32_t choice) {
  dataflow::stream_event out;
  out.what = kind::text;
  out.choice = choice;
  for (char c : content) out.tokens.emplace_back().token = static_cast<unsigned char>(c);
  out.text = std::move(content);
  event(id, std::move(out));
}

void fake_engine::finish(handle id, dataflow::finish_reason reason, uint32_t choice) {
  dataflow::stream_event out;
  out.what = kind::finished;
  out.choice = choice;
  out.reason = reason;
  event(id, std::move(out));
}

void fake_engine::complete(handle id) {
  dataflow::stream_event out;
  out.what = kind::completed;
  event(id, std::move(out));
}

void fake_engine::fail_request(handle id, status why) {
  dataflow::stream_event out;
  out.what = kind::failed;
  out.why = std::move(why);
  event(id, std::move(out));
}

} // namespace troupe::server
