// Does what dataflow::version_plan says, between the registry, the loader and the engines.
#include "cli/weight_versions.hpp"

#include "base/text.hpp"
#include "model/description.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <utility>

namespace troupe::cli {
namespace {

constexpr duration read_every = std::chrono::milliseconds(500);

void add(actors::histogram& to, const actors::histogram& from) {
  if (to.buckets.empty()) {
    to = from;
    return;
  }
  for (size_t i = 0; i < std::min(to.buckets.size(), from.buckets.size()); ++i)
    to.buckets[i] += from.buckets[i];
  to.sum += from.sum;
  to.count += from.count;
}

void add_expert_tokens(actors::engine_metrics& to, const actors::engine_metrics& from) {
  to.expert_tokens.resize(std::max(to.expert_tokens.size(), from.expert_tokens.size()));
  for (size_t layer = 0; layer < from.expert_tokens.size(); ++layer) {
    auto& mine = to.expert_tokens[layer];
    const auto& theirs = from.expert_tokens[layer];
    mine.resize(std::max(mine.size(), theirs.size()));
    for (size_t e = 0; e < theirs.size(); ++e) mine[e] += theirs[e];
  }
}

// What only grows.
void add_counters(actors::engine_metrics& to, const actors::engine_metrics& from) {
  to.requests_accepted += from.requests_accepted;
  to.requests_rejected += from.requests_rejected;
  for (size_t i = 0; i < to.requests_finished.size(); ++i)
    to.requests_finished[i] += from.requests_finished[i];
  to.prompt_tokens += from.prompt_tokens;
  to.generated_tokens += from.generated_tokens;
  to.cached_tokens += from.cached_tokens;
  to.prefix_queries += from.prefix_queries;
  to.preemptions += from.preemptions;
  to.draft_tokens += from.draft_tokens;
  to.draft_accepted += from.draft_accepted;
  to.steps += from.steps;
  to.pages_evicted += from.pages_evicted;
  to.pages_evicted_unused += from.pages_evicted_unused;
  to.pages_dropped += from.pages_dropped;
  to.restarts += from.restarts;
  add_expert_tokens(to, from);
  add(to.time_to_first_token_s, from.time_to_first_token_s);
  add(to.inter_token_latency_s, from.inter_token_latency_s);
  add(to.request_latency_s, from.request_latency_s);
  add(to.queue_time_s, from.queue_time_s);
  add(to.step_tokens, from.step_tokens);
}

// What is so now.
void add_gauges(actors::engine_metrics& to, const actors::engine_metrics& from) {
  to.requests_running += from.requests_running;
  to.requests_waiting += from.requests_waiting;
  to.pages_total += from.pages_total;
  to.pages_used += from.pages_used;
  to.pages_cached += from.pages_cached;
  to.eviction = from.eviction;
}

uint64_t finished(const actors::engine_metrics& of, dataflow::finish_reason reason) {
  return of.requests_finished[static_cast<size_t>(reason)];
}
uint64_t answered(const actors::engine_metrics& of) {
  return finished(of, dataflow::finish_reason::stop) +
         finished(of, dataflow::finish_reason::length);
}
uint64_t failed(const actors::engine_metrics& of) {
  return finished(of, dataflow::finish_reason::failed);
}

bool same_file(const storage::weights_manifest& a, const storage::weights_manifest& b,
               std::string_view name) {
  const auto find = [name](const storage::weights_manifest& in) {
    const auto found = std::find_if(in.files.begin(), in.files.end(),
                                    [name](const auto& file) { return file.name == name; });
    return found == in.files.end() ? nullptr : &*found;
  };
  const auto *mine = find(a), *theirs = find(b);
  if (mine == nullptr || theirs == nullptr) return mine == theirs;
  return *mine == *theirs;
}

// Everything but the weights has to be the same: clients' tokens mean what they meant.
status check_alike(const storage::weights_manifest& first, const storage::weights_manifest& next) {
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
    if (same_file(first, next, name)) continue;
    return {status_code::invalid_argument,
            text("version ", next.version, ": its ", name, " is not that of version ",
                 first.version, ", with which this server began; only weights may change")};
  }
  return {};
}

} // namespace

weight_versions::weight_versions(weight_versions_parts parts,
                                 const storage::weights_manifest& first,
                                 std::shared_ptr<actors::engine> engine)
    : parts_(std::move(parts)),
      first_manifest_(first),
      positions_max_(engine->positions_max()),
      plan_(parts_.limits, first.version) {
  versions_[first.version].engine = std::move(engine);
}

// ---- what changes ----

void weight_versions::tend() {
  end_idle();
  read_registry();
  take_outcome();
  count();
  for (bool more = true; more;) {
    dataflow::version_plan::step step;
    {
      const std::lock_guard lock(mutex_);
      if (draining_) return;
      step = plan_.next(parts_.time->now());
    }
    more = follow(step);
  }
}

void weight_versions::say_once(const std::string& trouble) {
  if (std::exchange(said_, trouble) != trouble) parts_.say(trouble);
}

void weight_versions::read_registry() {
  const auto now = parts_.time->now();
  if (now < next_read_) return;
  next_read_ = now + read_every;
  const auto record = parts_.registry->promotions();
  if (!record) return say_once(record.error().why()); // damaged: what serves goes on
  const std::lock_guard lock(mutex_);
  plan_.promoted(record->promoted());
}

void weight_versions::take_outcome() {
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    if (loaded_ == nullptr) return;
    const auto taken = std::move(loaded_);
    if (taken->engine) {
      versions_[taken->version].engine = std::move(*taken->engine);
      plan_.loaded(taken->version);
    } else {
      const std::string& why = taken->engine.error().why();
      line = text("weights version ", taken->version, " is not taken: ", why);
      plan_.refused(taken->version, why);
    }
  }
  if (!line.empty()) parts_.say(line);
}

void weight_versions::count() {
  const std::lock_guard lock(mutex_);
  for (auto& [number, version] : versions_) {
    // Held by nobody but us, and idle: nothing asked of it is under way.
    const auto held = static_cast<uint64_t>(version.engine.use_count() - 1);
    plan_.in_use(number, held + version.engine->streams_open());
    if (number != plan_.canary()) continue;
    const auto now = version.engine->metrics();
    plan_.counted(number,
                  {answered(now) - version.answered_before, failed(now) - version.failed_before});
  }
}

bool weight_versions::follow(const dataflow::version_plan::step& step) {
  using kind = dataflow::version_plan::step::kind;
  switch (step.what) {
    case kind::none:
      if (!step.why.empty()) say_once(step.why);
      return false;
    case kind::load:
      begin_loading(step.version);
      return true;
    case kind::free:
      let_go(step.version);
      return true;
    case kind::activate:
      parts_.say(text("weights version ", step.version, " answers what is asked from now on"));
      return true;
    case kind::canary:
      begin_canary(step.version);
      return true;
    case kind::roll_back:
      roll_back(step.version, step.why);
      return true;
  }
  return false;
}

void weight_versions::begin_loading(uint64_t number) {
  parts_.say(text("weights version ", number, " is being loaded"));
  auto work = [this, number] {
    auto made = std::make_unique<outcome>(outcome{number, load(number)});
    const std::lock_guard lock(mutex_);
    loaded_ = std::move(made);
    return status();
  };
  const auto sent = parts_.worker->submit(std::move(work), [](const status&) {});
  if (sent.ok()) return;
  const std::lock_guard lock(mutex_);
  plan_.refused(number, sent.why());
}

result<std::shared_ptr<actors::engine>> weight_versions::load(uint64_t number) const {
  const auto whole = parts_.registry->verify(number);
  if (!whole) return fail(whole.error());
  if (auto alike = check_alike(first_manifest_, *whole); !alike.ok()) return fail(std::move(alike));
  return parts_.load(parts_.registry->path_of(number));
}

void weight_versions::begin_canary(uint64_t number) {
  {
    const std::lock_guard lock(mutex_);
    auto& version = versions_.at(number);
    const auto now = version.engine->metrics();
    version.answered_before = answered(now);
    version.failed_before = failed(now);
  }
  parts_.say(text("weights version ", number, " answers ", parts_.limits.canary.percent,
                  " of 100 requests"));
}

void weight_versions::let_go(uint64_t number) {
  parts_.say(text("weights version ", number, " is let go"));
  const std::lock_guard lock(mutex_);
  const auto entry = versions_.find(number);
  leaving_.push_back(std::move(entry->second.engine));
  versions_.erase(entry);
}

// An engine must not end on a thread of its own, which an answer that has just ended may be on.
void weight_versions::end_idle() {
  std::vector<std::shared_ptr<actors::engine>> gone; // end without the lock
  const std::lock_guard lock(mutex_);
  const auto idle = std::partition(leaving_.begin(), leaving_.end(), [](const auto& engine) {
    return engine.use_count() > 1 || engine->streams_open() > 0;
  });
  for (auto each = idle; each != leaving_.end(); ++each) {
    add_counters(gone_, (*each)->metrics());
    gone.push_back(std::move(*each));
  }
  leaving_.erase(idle, leaving_.end());
}

void weight_versions::roll_back(uint64_t number, const std::string& why) {
  parts_.say(text(why, "; going back"));
  const auto done = parts_.registry->roll_back(why, parts_.time->wall_seconds(), number);
  if (!done) return parts_.say(text("the record could not be changed: ", done.error().why()));
  const std::lock_guard lock(mutex_);
  plan_.promoted(done->promoted());
}

// ---- what is asked ----

std::shared_ptr<actors::engine> weight_versions::in_force() const {
  return versions_.at(plan_.serving()).engine;
}

std::shared_ptr<actors::engine> weight_versions::choose(const server::engine_wish& wish) const {
  const std::lock_guard lock(mutex_);
  if (wish.model_hash)
    for (const auto& [number, version] : versions_)
      if (server::model_hash_of(version.engine->fingerprint()) == *wish.model_hash)
        return version.engine;
  if (plan_.canary() != 0 && dataflow::in_canary(wish.request_id, parts_.limits.canary.percent))
    return versions_.at(plan_.canary()).engine;
  return in_force();
}

std::vector<server::weights_in_memory> weight_versions::in_memory() const {
  const std::lock_guard lock(mutex_);
  std::vector<server::weights_in_memory> out;
  for (const auto& [number, version] : versions_) {
    const auto now = version.engine->metrics();
    const char* state = number == plan_.serving()  ? "serving"
                        : number == plan_.canary() ? "canary"
                                                   : "aside";
    out.push_back({number, state, version.engine->streams_open(), answered(now), failed(now)});
  }
  return out;
}

result<actors::request_handle> weight_versions::submit(dataflow::generation_request, event_sink,
                                                       received_so_far) {
  return fail(status_code::unsupported, "a request is asked of one version of the weights");
}

actors::engine_metrics weight_versions::metrics() {
  const std::lock_guard lock(mutex_);
  actors::engine_metrics out = gone_;
  for (const auto& [number, version] : versions_) {
    const auto now = version.engine->metrics();
    add_counters(out, now);
    add_gauges(out, now);
  }
  for (const auto& engine : leaving_) {
    const auto now = engine->metrics();
    add_counters(out, now);
    add_gauges(out, now);
  }
  return out;
}

void weight_versions::begin_drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
  for (const auto& [number, version] : versions_) version.engine->begin_drain();
  for (const auto& engine : leaving_) engine->begin_drain();
}

bool weight_versions::draining() const {
  const std::lock_guard lock(mutex_);
  return draining_;
}

bool weight_versions::healthy() {
  const std::lock_guard lock(mutex_);
  return in_force()->healthy();
}

bool weight_versions::serving() {
  const std::lock_guard lock(mutex_);
  return in_force()->serving();
}

uint64_t weight_versions::streams_open() {
  const std::lock_guard lock(mutex_);
  uint64_t out = 0;
  for (const auto& [number, version] : versions_) out += version.engine->streams_open();
  for (const auto& engine : leaving_) out += engine->streams_open();
  return out;
}

std::string weight_versions::fingerprint() const {
  const std::lock_guard lock(mutex_);
  return in_force()->fingerprint();
}

} // namespace troupe::cli
