// The event loop and the accounts. A balancer in front of the replicas stands in for what a real
// deployment has: conversations stay where their pages are unless that replica is much busier than
// the least busy one.
#include "simulations/capacity/simulation.hpp"

#include "base/check.hpp"
#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace troupe::simulations::capacity {
namespace {

constexpr uint32_t detection_stream = 1u << 30; // of random_subsystem::faults
constexpr uint64_t progress_events = 1u << 11;
constexpr nanoseconds never = INT64_MAX;

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

class run {
public:
  explicit run(const simulation_args& args)
      : args_(args),
        costs_(args.plan, args.routing, args.seed),
        detection_(args.seed, random_subsystem::faults, detection_stream) {
    out_.records.resize(args.trace.size());
    const replica::surroundings world{.plan = args.plan,
                                      .costs = costs_,
                                      .recovery = args.recovery,
                                      .trace = args.trace,
                                      .sessions = args.profile.sessions,
                                      .requests = out_.records,
                                      .recoveries = out_.recoveries,
                                      .events = events_,
                                      .done = finished_,
                                      .prefix_cache = args.prefix_cache};
    for (uint32_t n = 0; n < args.plan.replicas; ++n)
      replicas_.push_back(std::make_unique<replica>(n, world));
  }

  run_result go() {
    next_drift_ = args_.routing.drift_s > 0 ? drift_ns() : never;
    const nanoseconds end = args_.span + args_.drain_max;
    uint64_t handled = 0;
    for (;;) {
      const nanoseconds now = next_time();
      if (now == never || now > end) break;
      if (arrived_ == args_.trace.size() && in_system_ == 0 && now > args_.span) break;
      advance(now);
      happen(now);
      if (++handled % progress_events == 0 && args_.progress && !args_.progress(now)) {
        out_.cancelled = true;
        break;
      }
    }
    finish(std::min(end, std::max(now_, args_.span)));
    return std::move(out_);
  }

private:
  enum class source : uint8_t { arrival, failure, other };

  nanoseconds drift_ns() const { return static_cast<nanoseconds>(args_.routing.drift_s * 1e9); }
  nanoseconds next_arrival() const {
    return arrived_ < args_.trace.size() ? args_.trace[arrived_].arrives : never;
  }
  nanoseconds next_failure() const {
    return failed_ < args_.failures.size() ? args_.failures[failed_].at : never;
  }
  nanoseconds next_time() const {
    return std::min({next_arrival(), next_failure(), events_.empty() ? never : events_.next().at});
  }

  // Everything that depends on time alone.
  void advance(nanoseconds now) {
    if (!observing_ && now >= args_.warm_up) {
      observing_ = true;
      for (auto& each : replicas_) each->start_observing(args_.warm_up);
      warm_hits_ = hits();
      warm_queried_ = queried();
    }
    if (observing_ && !observed_ && now >= args_.span) observe_end();
    while (now >= next_drift_) {
      costs_.drift();
      next_drift_ += drift_ns();
    }
    out_.presence_ns += static_cast<nanoseconds>(in_system_) * (now - now_);
    now_ = now;
  }

  void observe_end() {
    observed_ = true;
    for (auto& each : replicas_) each->stop_observing(args_.span);
    out_.imbalance = costs_.imbalance();
  }

  // At equal times failures go first, then arrivals, then the rest.
  void happen(nanoseconds now) {
    if (next_failure() == now) return fail(args_.failures[failed_++]);
    if (next_arrival() == now) return arrive(static_cast<uint32_t>(arrived_++));
    const event what = events_.take();
    const uint64_t before = finished_;
    replicas_[what.replica]->handle(what);
    in_system_ -= finished_ - before;
  }

  void fail(const failure_event& failure) {
    const uint32_t per_replica = args_.plan.nodes_per_replica;
    const double part_of_gap = detection_.unit();
    if (failure.kind == failure_kind::slow_compute || failure.kind == failure_kind::slow_network) {
      if (failure.node / per_replica < args_.plan.replicas)
        replicas_[failure.node / per_replica]->slow_down(now_, failure, failure.node % per_replica);
      return;
    }
    const uint32_t nodes = failure.kind == failure_kind::network_switch ? args_.switch_nodes : 1;
    std::map<uint32_t, std::vector<uint32_t>> hit; // nodes by replica
    for (uint32_t node = failure.node; node < failure.node + nodes; ++node)
      if (node / per_replica < args_.plan.replicas &&
          replicas_[node / per_replica]->node_serves(node % per_replica))
        hit[node / per_replica].push_back(node % per_replica); // what is broken breaks no more
    for (const auto& [replica, members] : hit)
      replicas_[replica]->fail_nodes(now_, failure, members, part_of_gap);
  }

  void arrive(uint32_t request) {
    if (replicas_[choose(args_.trace[request])]->submit(now_, request)) ++in_system_;
  }

  uint32_t choose(const trace_request& request) {
    uint32_t best = 0;
    bool found = false;
    for (uint32_t n = 0; n < replicas_.size(); ++n) {
      if (replicas_[n]->known_down(now_)) continue;
      if (!found || replicas_[n]->backlog_tokens() < replicas_[best]->backlog_tokens()) best = n;
      found = true;
    }
    if (!found) best = request.session % static_cast<uint32_t>(replicas_.size());
    if (args_.profile.sessions.follow_up_share <= 0 || !args_.prefix_cache) return best;
    const auto [at, added] = home_.try_emplace(request.session, best);
    const auto& home = *replicas_[at->second];
    const uint64_t allowed = replicas_[best]->backlog_tokens() * 2 + 4 * uint64_t{request.input};
    if (home.known_down(now_) || home.backlog_tokens() > allowed) at->second = best;
    return at->second;
  }

  uint64_t hits() const {
    uint64_t sum = 0;
    for (const auto& each : replicas_) sum += each->hit_tokens();
    return sum;
  }
  uint64_t queried() const {
    uint64_t sum = 0;
    for (const auto& each : replicas_) sum += each->queried_tokens();
    return sum;
  }

  void finish(nanoseconds end);
  void count_requests();
  void count_time();
  void count_load(const batch_load& asked, uint64_t tokens, uint64_t logit_rows);
  double served_share() const;

  const simulation_args& args_;
  cost_model costs_;
  event_queue events_;
  draws detection_;
  std::vector<std::unique_ptr<replica>> replicas_;
  std::map<uint32_t, uint32_t> home_; // replica by session
  run_result out_;
  size_t arrived_ = 0, failed_ = 0;
  uint64_t in_system_ = 0, finished_ = 0;
  nanoseconds now_ = 0, next_drift_ = never;
  bool observing_ = false, observed_ = false;
  uint64_t warm_hits_ = 0, warm_queried_ = 0;
};

void run::finish(nanoseconds end) {
  if (observing_ && !observed_) observe_end();
  out_.ended = end;
  out_.events = events_.scheduled() + arrived_ + failed_;
  count_requests();
  count_time();
}

void run::count_requests() {
  std::vector<double> ttft, tpot;
  uint64_t output = 0, input = 0, good = 0;
  for (size_t n = 0; n < args_.trace.size(); ++n) {
    const auto& asked = args_.trace[n];
    const auto& record = out_.records[n];
    if (record.state == request_state::done) out_.sojourn_ns += record.last - asked.arrives;
    if (asked.arrives < args_.warm_up || asked.arrives >= args_.span) continue;
    ++out_.requests;
    if (record.interruptions > 0) ++out_.touched;
    if (record.state == request_state::refused) ++out_.refused;
    if (record.state == request_state::accepted || record.state == request_state::expected)
      ++out_.unfinished;
    if (record.state != request_state::done) continue;
    ++out_.done;
    output += asked.output;
    input += asked.input;
    ttft.push_back(static_cast<double>(record.first - asked.arrives) / 1e6);
    const double each = asked.output > 1 ? static_cast<double>(record.last - record.first) / 1e6 /
                                               (asked.output - 1)
                                         : 0;
    if (asked.output > 1) tpot.push_back(each);
    if (ttft.back() > args_.objective.ttft_ms || each > args_.objective.tpot_ms) continue;
    ++out_.within_objective;
    good += asked.output;
  }
  out_.seconds = static_cast<double>(args_.span - args_.warm_up) / 1e9;
  out_.offered_per_s = double(out_.requests) / out_.seconds;
  out_.output_tokens_per_s = double(output) / out_.seconds;
  out_.input_tokens_per_s = double(input) / out_.seconds;
  out_.goodput_per_s = double(good) / out_.seconds;
  out_.ttft = {quantile(ttft, 0.5), quantile(ttft, 0.99)};
  out_.tpot = {quantile(tpot, 0.5), quantile(tpot, 0.99)};
}

void run::count_time() {
  double kv = 0, busy = 0, step_ns = 0;
  uint64_t step_tokens = 0, logit_rows = 0;
  batch_load contexts;
  const double observed_ns = out_.seconds * 1e9;
  for (const auto& each : replicas_) {
    const auto& totals = each->totals();
    kv += totals.kv_ns;
    out_.kv_peak = std::max(out_.kv_peak, totals.kv_peak);
    out_.steps += totals.steps;
    out_.preemptions += totals.preemptions;
    step_tokens += totals.step_tokens;
    logit_rows += totals.logit_rows;
    add_contexts(contexts, totals.asked);
    step_ns += totals.step_ns;
    for (const double node : totals.busy_ns) {
      busy += node;
      out_.busy_most = std::max(out_.busy_most, node / observed_ns);
    }
  }
  out_.served_share = served_share();
  count_load(contexts, step_tokens, logit_rows);
  const double replicas = args_.plan.replicas;
  out_.kv_mean = kv / observed_ns / replicas;
  out_.busy_mean = busy / observed_ns / replicas / args_.plan.nodes_per_replica;
  if (out_.steps > 0) {
    out_.step_tokens = double(step_tokens) / double(out_.steps);
    out_.step_ms = step_ns / double(out_.steps) / 1e6;
  }
  const uint64_t asked = queried() - warm_queried_;
  out_.prefix_hit_rate = asked > 0 ? double(hits() - warm_hits_) / double(asked) : 0;
}

// Steps grow with the load until rows or tokens run out; what they would cost then says how much of
// the capacity is taken.
void run::count_load(const batch_load& asked, uint64_t tokens, uint64_t logit_rows) {
  if (tokens == 0) return;
  const auto& limits = args_.plan.limits;
  const uint32_t rows = limits.max_batch_size > 0 ? limits.max_batch_size : limits.sequences_max;
  const double row_share = std::max(1e-9, double(logit_rows) / double(tokens));
  const double most = std::max(1.0, std::min<double>(limits.tokens_max, rows / row_share));
  batch_load full;
  full.tokens = static_cast<uint32_t>(most);
  full.logit_rows = static_cast<uint32_t>(most * row_share);
  add_contexts(full, asked, most / double(tokens));
  const double steps = double(tokens) / most / args_.plan.replicas;
  out_.full_step = full;
  out_.load = steps * costs_.busiest_ns(args_.plan.initial, full) / (out_.seconds * 1e9);
}

// Recoveries of a replica are in order of time; one that another interrupts overlaps with it.
double run::served_share() const {
  std::vector<nanoseconds> until(replicas_.size(), args_.warm_up);
  nanoseconds stopped = 0;
  for (const auto& each : out_.recoveries) {
    const nanoseconds begin = std::max(each.failure.at, until[each.replica]);
    const nanoseconds resumed = each.resumed > 0 ? each.resumed : args_.span;
    const nanoseconds end = std::min(resumed, args_.span);
    if (end <= begin) continue;
    stopped += end - begin;
    until[each.replica] = end;
  }
  const double all = out_.seconds * 1e9 * args_.plan.replicas;
  return 1 - static_cast<double>(stopped) / all;
}

} // namespace

run_result simulate(const simulation_args& args) {
  TROUPE_CHECK(args.span > args.warm_up && args.warm_up >= 0);
  return run(args).go();
}

} // namespace troupe::simulations::capacity
