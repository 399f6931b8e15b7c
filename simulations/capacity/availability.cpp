// Paired runs, stratified by kind of failure.
#include "simulations/capacity/availability.hpp"

#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

constexpr uint32_t sample_stream = 1u << 29; // of random_subsystem::faults

// Student's t, 97.5 %, by degrees of freedom from 1.
double student(uint32_t samples) {
  constexpr std::array<double, 15> quantiles = {12.706, 4.303, 3.182, 2.776, 2.571,
                                                2.447,  2.365, 2.306, 2.262, 2.228,
                                                2.201,  2.179, 2.160, 2.145, 2.131};
  return samples - 2 < quantiles.size() ? quantiles[samples - 2] : 2.1;
}

double seconds(nanoseconds of) {
  return static_cast<double>(of) / second_ns;
}

std::vector<failure_class> classes_of(const failure_model& model) {
  std::vector<failure_class> out;
  const auto add_one = [&](failure_kind kind, bool hang, double share) {
    if (share <= 0) return;
    failure_class one;
    one.kind = kind;
    one.hang = hang;
    one.share = share;
    out.push_back(one);
  };
  const auto add = [&](failure_kind kind, double share) {
    add_one(kind, false, share * (1 - model.hang_share));
    add_one(kind, true, share * model.hang_share);
  };
  add(failure_kind::device, model.device_share);
  add(failure_kind::node, model.node_share());
  add(failure_kind::software, model.software_share);
  add_one(failure_kind::network_switch, false, model.switch_share);
  return out;
}

class estimator {
public:
  estimator(const study& of, const system_plan& whole, const system_plan& part,
            const availability_options& options)
      : study_(of), whole_(whole), part_(part), options_(options) {}

  result<availability_result> run() {
    availability_result out;
    out.failures_per_day =
        study_.failures.per_1000_node_days / 1000 * whole_.replicas * whole_.nodes_per_replica;
    out.classes = classes_of(study_.failures);
    for (uint32_t sample = 0; sample < options_.samples; ++sample) {
      make_trace(sample);
      const auto undisturbed = simulate_with({});
      if (undisturbed.cancelled) return fail(status_code::cancelled, "ended early");
      for (uint32_t n = 0; n < out.classes.size(); ++n)
        if (const auto s = disturb(out.classes[n], n, sample, undisturbed); !s.ok()) return fail(s);
    }
    sum_up(out);
    return out;
  }

private:
  void make_trace(uint32_t sample) {
    const double load =
        study_.rate_per_s / study_.profile.published.rate_per_s * part_.replicas / whole_.replicas;
    trace_ = generate_trace(
        study_.profile,
        {.load = load, .span = options_.before + options_.after, .seed = study_.seed + sample});
  }

  run_result simulate_with(const std::vector<failure_event>& failures) {
    return simulate({.plan = part_,
                     .profile = study_.profile,
                     .trace = trace_,
                     .failures = failures,
                     .span = options_.before + options_.after,
                     .warm_up = options_.before / 2,
                     .drain_max = study_.drain_max,
                     .objective = study_.objective,
                     .routing = study_.routing,
                     .recovery = study_.recovery,
                     .switch_nodes = part_.nodes_per_replica,
                     .prefix_cache = study_.prefix_cache,
                     .seed = study_.seed,
                     .progress = study_.progress});
  }

  status disturb(failure_class& of, uint32_t index, uint32_t sample,
                 const run_result& undisturbed) {
    draws draw(study_.seed, random_subsystem::faults, sample_stream + index * 4096 + sample);
    auto failure = draw_failure(study_.failures, of.kind, draw);
    failure.hang = of.hang;
    failure.at = options_.before + static_cast<nanoseconds>(draw.unit() * 10 * second_ns);
    failure.node = static_cast<uint32_t>(draw.below(part_.nodes_per_replica));
    if (of.kind == failure_kind::network_switch) {
      failure.node = 0;
      of.replicas_hit = std::clamp(study_.failures.switch_nodes / part_.nodes_per_replica, 1.0,
                                   double(whole_.replicas));
    }
    const auto disturbed = simulate_with({failure});
    if (disturbed.cancelled) return {status_code::cancelled, "ended early"};
    account(of, failure, undisturbed, disturbed);
    return {};
  }

  void account(failure_class& of, const failure_event& failure, const run_result& undisturbed,
               const run_result& disturbed) {
    const auto& first = disturbed.recoveries.front();
    const bool waited = first.resumed == 0 || first.down > 0;
    // Without the node the model does not fit: the wait is until it is back, and everything that
    // the placement then misses is loaded.
    const nanoseconds restore =
        first.resumed > 0 ? first.times.restore : lost_parts_restore(failure);
    const nanoseconds known = first.times.detect + first.times.decide;
    const nanoseconds down = waited ? std::max<nanoseconds>(0, failure.lasts - known) : 0;
    const nanoseconds rejoin = waited ? 0 : rejoin_time(failure);
    of.detect.add(seconds(first.times.detect));
    of.decide.add(seconds(first.times.decide));
    of.restore.add(seconds(restore));
    of.down.add(seconds(down));
    of.rejoin.add(seconds(rejoin));
    of.refill.add(seconds(first.refill));
    of.stopped.add(seconds(known + restore + down + rejoin));
    if (!first.finished) ++of.unrecovered;
    of.recomputed_tokens += double(first.recomputed_tokens) / options_.samples;
    const double per_s = undisturbed.goodput_per_s;
    const double lost = (per_s - disturbed.goodput_per_s) * disturbed.seconds;
    // Of the part of the cluster that was simulated, as seconds of the whole.
    of.lost.add(per_s > 0 ? lost / per_s * part_.replicas / whole_.replicas * of.replicas_hit : 0);
    // The node's return is a stop that most runs do not see.
    const double unseen = failure.lasts > options_.after ? seconds(rejoin) / whole_.replicas : 0;
    of.degraded.add(unseen + degraded_seconds(of, failure, undisturbed, waited));
  }

  std::vector<bool> without(const failure_event& failure) const {
    std::vector<bool> serving(part_.nodes_per_replica, true);
    if (failure.kind == failure_kind::network_switch)
      serving.assign(serving.size(), false);
    else
      serving[failure.node] = false;
    return serving;
  }

  nanoseconds lost_parts_restore(const failure_event& failure) const {
    auto held = part_.initial;
    const auto serving = without(failure);
    for (auto& stage : held.stages)
      if (!serving[stage]) stage = dataflow::no_node;
    for (auto& copies : held.shards)
      std::erase_if(copies, [&](auto node) { return !serving[node]; });
    return restore_time(part_, study_.recovery, held, part_.initial);
  }

  // The planned stop when the node is back and takes work again.
  nanoseconds rejoin_time(const failure_event& failure) const {
    const auto away = settled_placement(part_, part_.initial, without(failure));
    const auto back =
        settled_placement(part_, away, std::vector<bool>(part_.nodes_per_replica, true));
    return decision_time(part_, study_.recovery) + restore_time(part_, study_.recovery, away, back);
  }

  // What the rest of the cluster cannot take over while the node is away, after the run.
  double degraded_seconds(const failure_class& of, const failure_event& failure,
                          const run_result& undisturbed, bool waited) const {
    const double load = std::min(1.0, undisturbed.load);
    if (load <= 0) return 0;
    const double rest = waited ? 0 : capacity_without(failure, undisturbed.full_step);
    const double left = (whole_.replicas - of.replicas_hit * (1 - rest)) / whole_.replicas;
    const double lost_share = std::max(0.0, 1 - left / load);
    return lost_share * seconds(std::max<nanoseconds>(0, failure.lasts - options_.after));
  }

  // Of one replica, relative to all its nodes.
  double capacity_without(const failure_event& failure, const batch_load& step) const {
    const cost_model costs(part_, study_.routing, study_.seed);
    const auto away = settled_placement(part_, part_.initial, without(failure));
    return std::min(1.0, costs.busiest_ns(part_.initial, step) / costs.busiest_ns(away, step));
  }

  void sum_up(availability_result& out) const {
    const double per_second = out.failures_per_day / 86400;
    double stopped = 0, stopped_variance = 0, lost = 0, lost_variance = 0;
    double recovery = 0, recovery_variance = 0;
    for (const auto& each : out.classes) {
      const double weight = each.share * each.replicas_hit / whole_.replicas;
      stopped += weight * each.stopped.mean();
      stopped_variance += weight * weight * each.stopped.variance_of_mean();
      lost += each.share * (each.lost.mean() + each.degraded.mean());
      lost_variance += each.share * each.share *
                       (each.lost.variance_of_mean() + each.degraded.variance_of_mean());
      recovery += each.share * (each.stopped.mean() - each.rejoin.mean());
      recovery_variance += each.share * each.share * each.stopped.variance_of_mean();
    }
    const double t = options_.samples > 1 ? student(options_.samples) : 0;
    const auto around = [t](double value, double deviation) {
      return estimate{value, value - t * deviation, value + t * deviation};
    };
    const auto remaining = [&](double cost, double variance) {
      auto kept = around(1 - per_second * cost, per_second * std::sqrt(variance));
      for (double* each : {&kept.value, &kept.low, &kept.high}) *each = std::clamp(*each, 0.0, 1.0);
      return kept;
    };
    out.served = remaining(stopped, stopped_variance);
    out.goodput = remaining(lost, lost_variance);
    out.recovery_s = around(recovery, std::sqrt(recovery_variance));
    out.recovery_s.low = std::max(0.0, out.recovery_s.low);
  }

  const study& study_;
  const system_plan& whole_;
  const system_plan& part_;
  const availability_options& options_;
  std::vector<trace_request> trace_;
};

} // namespace

void sample_statistics::add(double value) {
  sum += value;
  squares += value * value;
  ++count;
}

double sample_statistics::mean() const {
  return count > 0 ? sum / count : 0;
}

double sample_statistics::variance_of_mean() const {
  if (count < 2) return 0;
  const double variance = (squares - sum * sum / count) / (count - 1);
  return std::max(0.0, variance) / count;
}

result<availability_result> estimate_availability(const study& of, uint32_t nodes, uint32_t copies,
                                                  const availability_options& options) {
  plan_request request = of.system;
  request.nodes = nodes;
  request.copies = copies;
  const auto whole = plan_system(request);
  if (!whole) return fail(whole.error());
  if (of.failures.per_1000_node_days <= 0) {
    availability_result out;
    out.recovery_s = {0, 0, 0};
    return out;
  }
  request.nodes_per_replica = whole->nodes_per_replica;
  request.nodes = std::min(whole->replicas, options.replicas_max) * whole->nodes_per_replica;
  const auto part = plan_system(request);
  if (!part) return fail(part.error());
  return estimator(of, *whole, *part, options).run();
}

} // namespace troupe::simulations::capacity
