// Steps: planned, passed from stage to stage, finished.
#include "simulations/capacity/replica.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::simulations::capacity {
namespace {

dataflow::sequence_id sequence_of(uint32_t request) {
  return uint64_t{request} + 1;
}
uint32_t request_of(dataflow::sequence_id id) {
  return static_cast<uint32_t>(id - 1);
}

uint32_t smallest_window(const model_shape& model) {
  uint32_t out = 0;
  for (const auto& layer : model.layers)
    if (layer.window > 0) out = out == 0 ? layer.window : std::min(out, layer.window);
  return out;
}

} // namespace

replica::replica(uint32_t index, const surroundings& world)
    : index_(index),
      world_(world),
      batcher_(world.plan.limits),
      kv_(make_kv(world.plan.kv_tokens)),
      where_(world.plan.initial),
      held_(world.plan.initial),
      node_serves_(world.plan.nodes_per_replica, true),
      node_failures_(world.plan.nodes_per_replica, 0),
      stage_free_(world.plan.graph.stages.size(), 0),
      node_free_(world.plan.nodes_per_replica, 0),
      compute_factor_(world.plan.nodes_per_replica, 1.0),
      network_factor_(world.plan.nodes_per_replica, 1.0),
      work_(world.plan.nodes_per_replica, 0.0) {
  totals_.busy_ns.assign(world.plan.nodes_per_replica, 0.0);
}

std::unique_ptr<kv_budget> replica::make_kv(uint64_t tokens) const {
  return std::make_unique<kv_budget>(kv_budget_options{.pages = tokens / world_.plan.page_tokens,
                                                       .page_tokens = world_.plan.page_tokens,
                                                       .blocks = world_.sessions,
                                                       .remember = world_.prefix_cache});
}

bool replica::submit(nanoseconds now, uint32_t request) {
  const auto& asked = world_.trace[request];
  auto& record = world_.requests[request];
  // Its last token needs no place.
  const uint64_t tokens_most = uint64_t{asked.input} + asked.output - 1;
  const uint64_t pages_most = (tokens_most + world_.plan.page_tokens - 1) / world_.plan.page_tokens;
  const auto admitted =
      batcher_.queue_room() == 0 || pages_most > world_.plan.kv_tokens / world_.plan.page_tokens
          ? status(status_code::exhausted, "no room")
          : batcher_.admit({.id = sequence_of(request),
                            .prompt_tokens = asked.input,
                            .arrived = time_point(duration(now))});
  if (!admitted.ok()) {
    record.state = request_state::refused;
    return false;
  }
  record.state = request_state::accepted;
  record.replica = index_;
  backlog_ += uint64_t{asked.input} + asked.output;
  plan_step(now);
  return true;
}

void replica::handle(const event& what) {
  switch (what.kind) {
    case event_kind::node_back:
      return node_back(what.at, what.value);
    case event_kind::fast_again:
      (what.value % 2 == 0 ? compute_factor_ : network_factor_)[what.value / 2] = 1;
      return;
    default:
      break;
  }
  if (what.epoch != epoch_) return;
  if (what.kind == event_kind::plan) return plan_step(what.at);
  if (what.kind == event_kind::resume) return resume(what.at);
  step& at = steps_[what.value];
  if (++at.stage < stage_free_.size()) return visit(what.at, what.value);
  finish_step(what.at, what.value);
}

// One step a stage may be under way: more would only wait.
void replica::plan_step(nanoseconds now) {
  if (!serving_ || stage_free_[0] > now || steps_under_way_ >= stage_free_.size()) return;
  start_sequences(now);
  batcher_.plan_rows(plan_);
  if (!reserve_pages()) return;
  const uint32_t index = free_step();
  step& next = steps_[index];
  next.entries.clear();
  next.load = {};
  next.began = now;
  next.stage = 0;
  next.active = true;
  const uint32_t window = smallest_window(world_.plan.model);
  for (const auto& entry : plan_.entries) {
    const uint32_t request = request_of(entry.sequence);
    next.entries.push_back({request, entry.count, world_.requests[request].interruptions,
                            entry.begin + entry.count, entry.wants_logits});
    add_chunk(next.load, entry.begin, entry.count, window);
    if (entry.wants_logits) ++next.load.logit_rows;
  }
  ++steps_under_way_;
  note_kv(now);
  visit(now + static_cast<nanoseconds>(world_.costs.step_ns()), index);
}

void replica::start_sequences(nanoseconds now) {
  for (;;) {
    const dataflow::step_room room{.now = time_point(duration(now)),
                                   .kv_pages = kv_->available(),
                                   .page_tokens = world_.plan.page_tokens};
    batcher_.plan_starts(room, plan_);
    TROUPE_CHECK(plan_.dropped.empty()); // nobody has a deadline
    if (plan_.starts.empty()) return;
    for (const auto id : plan_.starts) {
      const uint32_t request = request_of(id);
      const uint32_t known = batcher_.known_tokens(id);
      const uint32_t cached = kv_->open(request, world_.trace[request], known);
      batcher_.on_started(id, cached);
      auto& record = world_.requests[request];
      record.place = static_cast<uint32_t>(running_.size());
      running_.push_back(request);
      if (record.refilling && recovery_)
        world_.recoveries[*recovery_].recomputed_tokens += known - cached;
    }
  }
}

// Pages for every entry, at the expense of the sequences that came last; false when nothing is left
// to compute.
bool replica::reserve_pages() {
  for (size_t n = 0; n < plan_.entries.size();) {
    const auto entry = plan_.entries[n];
    if (kv_->extend(request_of(entry.sequence), entry.begin + entry.count)) {
      ++n;
      continue;
    }
    const auto victim = batcher_.choose_victim();
    TROUPE_CHECK(victim.has_value());
    preempt(request_of(*victim));
    ++totals_.preemptions;
    plan_.remove(*victim);
    n = 0; // places have moved; extending again is free
  }
  return !plan_.entries.empty();
}

void replica::visit(nanoseconds now, uint32_t index) {
  step& at = steps_[index];
  const uint32_t stage = at.stage;
  const uint32_t tokens = at.load.tokens;
  const auto own = where_.stages[stage];
  std::fill(work_.begin(), work_.end(), 0.0);
  for (uint32_t n = 0; n < where_.shards.size(); ++n) {
    const auto node = where_.shards[n].front();
    work_[node] += world_.costs.expert_ns(stage, n, tokens) * compute_factor_[node];
  }
  double experts = where_.shards.empty() ? 0 : world_.costs.slowest_experts_ns(stage, tokens);
  for (const double each : work_) experts = std::max(experts, each);
  const double attention = world_.costs.attention_ns(stage, at.load) * compute_factor_[own];
  const double exchange = world_.costs.exchange_ns(stage, tokens) *
                          *std::max_element(network_factor_.begin(), network_factor_.end());
  work_[own] += attention;
  const nanoseconds start = std::max(now, stage_free_[stage]);
  nanoseconds end = start + static_cast<nanoseconds>(attention + exchange + experts);
  for (uint32_t n = 0; n < work_.size(); ++n) {
    if (work_[n] <= 0) continue;
    node_free_[n] = std::max(node_free_[n], start) + static_cast<nanoseconds>(work_[n]);
    end = std::max(end, node_free_[n]);
    if (observing_) totals_.busy_ns[n] += work_[n];
  }
  stage_free_[stage] = end;
  if (observing_) ++totals_.visits;
  const bool leaves = stage + 1 < stage_free_.size() && where_.stages[stage + 1] != own;
  const auto hop = static_cast<nanoseconds>(leaves ? world_.costs.hop_ns(tokens) : 0);
  world_.events.add({.at = end + hop,
                     .number = 0,
                     .kind = event_kind::stage,
                     .replica = index_,
                     .value = index,
                     .epoch = epoch_});
  if (stage == 0 && stage_free_.size() > 1)
    world_.events.add({.at = end,
                       .number = 0,
                       .kind = event_kind::plan,
                       .replica = index_,
                       .value = 0,
                       .epoch = epoch_});
}

void replica::finish_step(nanoseconds now, uint32_t index) {
  note_kv(now);
  step& done = steps_[index];
  done.active = false;
  --steps_under_way_;
  if (observing_) {
    ++totals_.steps;
    totals_.step_tokens += done.load.tokens;
    totals_.logit_rows += done.load.logit_rows;
    add_contexts(totals_.asked, done.load);
    totals_.step_ns += static_cast<double>(now - done.began);
  }
  for (const auto& entry : done.entries) {
    if (world_.requests[entry.request].interruptions != entry.interruptions) continue;
    batcher_.on_computed(sequence_of(entry.request), entry.count);
    kv_->commit(entry.request, entry.end);
    if (entry.wants_logits) emit(now, entry.request);
  }
  plan_step(now);
}

void replica::emit(nanoseconds now, uint32_t request) {
  auto& record = world_.requests[request];
  if (record.emitted == 0) record.first = now;
  record.last = now;
  ++record.emitted;
  if (record.refilling) go_on(now, request);
  if (record.emitted < world_.trace[request].output) {
    batcher_.on_sampled(sequence_of(request));
    return;
  }
  record.state = request_state::done;
  ++world_.done;
  backlog_ -= uint64_t{world_.trace[request].input} + world_.trace[request].output;
  batcher_.remove(sequence_of(request));
  kv_->close(request);
  leave(request);
}

void replica::leave(uint32_t request) {
  const uint32_t place = world_.requests[request].place;
  TROUPE_CHECK(running_[place] == request);
  running_[place] = running_.back();
  world_.requests[running_[place]].place = place;
  running_.pop_back();
}

void replica::preempt(uint32_t request) {
  batcher_.on_preempted(sequence_of(request));
  kv_->close(request);
  ++world_.requests[request].interruptions;
  leave(request);
}

uint32_t replica::free_step() {
  for (uint32_t n = 0; n < steps_.size(); ++n)
    if (!steps_[n].active) return n;
  steps_.emplace_back();
  return static_cast<uint32_t>(steps_.size() - 1);
}

void replica::note_kv(nanoseconds now) {
  if (!observing_) return;
  const double share = double(kv_->used()) / double(kv_->pages());
  totals_.kv_ns += share * static_cast<double>(now - noted_at_);
  totals_.kv_peak = std::max(totals_.kv_peak, share);
  noted_at_ = now;
}

void replica::start_observing(nanoseconds now) {
  totals_ = {};
  totals_.busy_ns.assign(world_.plan.nodes_per_replica, 0.0);
  observing_ = true;
  noted_at_ = now;
}

void replica::stop_observing(nanoseconds now) {
  if (!observing_) return;
  note_kv(now);
  totals_.observed = now;
  observing_ = false;
}

void replica::check_invariants() const {
  batcher_.check_invariants();
  kv_->check_invariants();
  TROUPE_CHECK(batcher_.running() == running_.size());
}

} // namespace troupe::simulations::capacity
