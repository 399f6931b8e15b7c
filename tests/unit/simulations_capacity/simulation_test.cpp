// Whole runs: nothing is lost, the same seed gives the same run, and what must hold of any queue.
#include "simulations/capacity/simulation.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::simulations::capacity {
namespace {

run_result run_with(const study& of, const system_plan& plan,
                    const std::vector<trace_request>& trace,
                    const std::vector<failure_event>& failures) {
  return simulate({.plan = plan,
                   .profile = of.profile,
                   .trace = trace,
                   .failures = failures,
                   .span = of.span,
                   .warm_up = of.warm_up,
                   .drain_max = of.drain_max,
                   .objective = of.objective,
                   .routing = of.routing,
                   .recovery = of.recovery,
                   .prefix_cache = of.prefix_cache,
                   .seed = of.seed,
                   .progress = {}});
}

std::vector<trace_request> trace_of(const study& of) {
  return generate_trace(
      of.profile,
      {.load = of.rate_per_s / of.profile.published.rate_per_s, .span = of.span, .seed = of.seed});
}

failure_event failure_at(double second, failure_kind kind, uint32_t node, double lasts) {
  failure_event out;
  out.at = nanoseconds(second * 1e9);
  out.kind = kind;
  out.node = node;
  out.lasts = nanoseconds(lasts * 1e9);
  return out;
}

void expect_conserved(const run_result& of) {
  EXPECT_EQ(of.requests, of.done + of.refused + of.unfinished);
  EXPECT_EQ(of.unfinished, 0u);
  EXPECT_EQ(of.refused, 0u);
}

TEST(simulation, a_single_stream_takes_the_sum_of_its_steps) {
  study of = small_study();
  of.system.device = plain_device();
  of.routing = {.skew = 0, .drift_s = 0};
  of.warm_up = 0;
  const auto plan = plan_of(of, 1, 1);
  std::vector<trace_request> trace(1);
  trace[0].input = 100;
  trace[0].output = 3;
  const auto result = run_with(of, plan, trace, {});
  const cost_model costs(plan, of.routing, of.seed);
  double expected = 0;
  for (const auto& [begin, count] : {std::pair(0u, 100u), {100u, 1u}, {101u, 1u}}) {
    batch_load load;
    load.logit_rows = 1;
    add_chunk(load, begin, count, 0);
    expected += costs.attention_ns(0, load) + costs.slowest_experts_ns(0, count);
  }
  EXPECT_NEAR(double(result.records[0].last), expected, 10);
  EXPECT_EQ(result.steps, 3u);
}

TEST(simulation, every_request_is_done_and_littles_law_holds) {
  const study of = small_study();
  const auto plan = plan_of(of, 2, 1);
  const auto trace = trace_of(of);
  const auto result = run_with(of, plan, trace, {});
  expect_conserved(result);
  EXPECT_GT(result.requests, 50u);
  for (size_t n = 0; n < trace.size(); ++n) {
    EXPECT_EQ(result.records[n].emitted, trace[n].output);
    EXPECT_GT(result.records[n].first, trace[n].arrives);
  }
  EXPECT_EQ(result.presence_ns, result.sojourn_ns); // L = lambda W, to the nanosecond
  EXPECT_EQ(result.served_share, 1);
}

TEST(simulation, failures_delay_streams_and_lose_none) {
  study of = two_node_study();
  const auto plan = plan_of(of, 4, 2);
  const auto trace = trace_of(of);
  const auto calm = run_with(of, plan, trace, {});
  const auto result = run_with(
      of, plan, trace,
      {failure_at(10, failure_kind::node, 1, 8), failure_at(10.1, failure_kind::device, 0, 4),
       failure_at(14, failure_kind::network_switch, 2, 3),
       failure_at(20, failure_kind::slow_compute, 3, 5)});
  expect_conserved(result);
  EXPECT_EQ(result.presence_ns, result.sojourn_ns);
  for (size_t n = 0; n < trace.size(); ++n) EXPECT_EQ(result.records[n].emitted, trace[n].output);
  EXPECT_GE(result.recoveries.size(), 4u); // two losses, a switch, and returns
  EXPECT_LT(result.served_share, 1);
  EXPECT_GT(result.touched, 0u);
  EXPECT_GT(result.ttft.p99_ms, calm.ttft.p99_ms);
}

TEST(simulation, a_recovery_recomputes_what_was_running) {
  study of = two_node_study();
  of.system.nodes_per_replica = 4;
  const auto plan = plan_of(of, 4, 1);
  const auto trace = trace_of(of);
  const auto result = run_with(of, plan, trace, {failure_at(15, failure_kind::node, 1, 1000)});
  ASSERT_EQ(result.recoveries.size(), 1u);
  const auto& recovery = result.recoveries[0];
  EXPECT_GT(recovery.streams, 0u);
  EXPECT_GT(recovery.recomputed_tokens, recovery.streams);
  EXPECT_GT(recovery.refill, 0);
  EXPECT_TRUE(recovery.finished);
  EXPECT_EQ(recovery.resumed, 15 * second_ns + recovery.times.sum());
  expect_conserved(result);
}

TEST(simulation, a_replica_of_one_node_waits_for_it) {
  study of = small_study();
  of.drain_max = 600 * second_ns;
  const auto plan = plan_of(of, 1, 1);
  const auto trace = trace_of(of);
  const auto result = run_with(of, plan, trace, {failure_at(10, failure_kind::node, 0, 20)});
  ASSERT_EQ(result.recoveries.size(), 1u);
  EXPECT_NEAR(double(result.recoveries[0].down) / 1e9, 20 - 0.5, 0.3);
  EXPECT_GT(result.recoveries[0].times.restore, 0);
  expect_conserved(result);
}

TEST(simulation, a_slow_node_slows_everybody_on_its_replica) {
  study of = two_node_study();
  const auto plan = plan_of(of, 2, 1);
  const auto trace = trace_of(of);
  auto slow = failure_at(0, failure_kind::slow_compute, 1, 1000);
  slow.factor = 3;
  EXPECT_GT(run_with(of, plan, trace, {slow}).tpot.p50_ms,
            1.3 * run_with(of, plan, trace, {}).tpot.p50_ms);
}

TEST(simulation, a_full_queue_refuses) {
  study of = small_study();
  of.system.limits.sequences_max = 1;
  of.system.limits.queue_max = 2;
  const auto plan = plan_of(of, 1, 1);
  const auto result = run_with(of, plan, trace_of(of), {});
  EXPECT_GT(result.refused, 0u);
  EXPECT_EQ(result.requests, result.done + result.refused + result.unfinished);
}

TEST(simulation, scarce_pages_preempt_and_lose_nothing) {
  study of = small_study();
  of.system.model = *model_named("mixtral-8x7b");
  of.system.device = plain_device();
  of.system.device.memory_gb = 93.4 + 131072.0 * 20000 / 1e9; // weights and 20,000 tokens
  of.system.nodes_per_replica = 1;
  of.drain_max = 3600 * second_ns;
  const auto plan = plan_of(of, 1, 1);
  ASSERT_LT(plan.kv_tokens, 25'000u);
  const auto result = run_with(of, plan, trace_of(of), {});
  EXPECT_GT(result.preemptions, 0u);
  EXPECT_GT(result.kv_peak, 0.8);
  expect_conserved(result);
}

TEST(simulation, more_nodes_serve_no_worse) {
  study of = small_study();
  of.rate_per_s = 60;
  const auto trace = trace_of(of);
  const auto two = plan_of(of, 2, 1), eight = plan_of(of, 8, 1);
  const auto few = run_with(of, two, trace, {}), many = run_with(of, eight, trace, {});
  EXPECT_GE(many.within_objective, few.within_objective);
  EXPECT_LT(many.load, few.load);
  EXPECT_LE(many.ttft.p99_ms, few.ttft.p99_ms);
}

TEST(simulation, a_cache_spares_prompts_that_were_seen) {
  study of = small_study();
  of.profile = *trace_profile_named("mooncake_conversation");
  of.rate_per_s = 2;
  of.span = 120 * second_ns;
  const auto plan = plan_of(of, 2, 1);
  const auto trace = trace_of(of);
  const auto with = run_with(of, plan, trace, {});
  of.prefix_cache = false;
  const auto without = run_with(of, plan, trace, {});
  EXPECT_GT(with.prefix_hit_rate, 0.05);
  EXPECT_EQ(without.prefix_hit_rate, 0);
  EXPECT_LT(with.load, without.load);
}

TEST(simulation, ends_when_it_is_told_to) {
  study of = small_study();
  of.rate_per_s = 300;
  of.progress = [](nanoseconds) { return false; };
  const auto ended = run_study(of, 4, 1);
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code(), status_code::cancelled);
}

} // namespace
} // namespace troupe::simulations::capacity
