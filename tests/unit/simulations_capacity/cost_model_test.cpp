// Closed forms where there are any, and that more work never takes less time.
#include "simulations/capacity/cost_model.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

study one_device() {
  study out = small_study();
  out.system.device = plain_device();
  out.routing.skew = 0;
  return out;
}

TEST(cost_model, one_stream_on_one_device_decodes_at_bytes_over_bandwidth) {
  const auto of = one_device();
  const auto plan = plan_of(of, 1, 1);
  const cost_model costs(plan, of.routing, 1);
  batch_load load;
  load.logit_rows = 1;
  add_chunk(load, 999, 1, 0);
  const double time = costs.attention_ns(0, load) + costs.expert_ns(0, 0, 1);
  // Every active parameter once, the pages of 1000 tokens, and the experts' rows in and out.
  const double bytes = plan.model.active_params() * 2 + plan.model.kv_bytes_per_token() * 1000 +
                       32 * 2 * 2 * 2 * 4096.0;
  EXPECT_NEAR(time / (bytes / 1e12 * 1e9), 1, 1e-3);
}

TEST(cost_model, a_long_chunk_takes_its_operations_over_the_peak) {
  const auto of = one_device();
  const auto plan = plan_of(of, 1, 1);
  const cost_model costs(plan, of.routing, 1);
  batch_load load;
  add_chunk(load, 0, 4096, 0);
  double params = 0, scores = 0;
  for (const auto& layer : plan.model.layers) {
    params += layer.attention_params + layer.dense_params;
    scores += layer.score_flops;
  }
  const double flops = 2 * params * 4096 + scores * 4096 * 4097 / 2;
  EXPECT_NEAR(costs.attention_ns(0, load) / (flops / 1e15 * 1e9), 1, 1e-9);
}

TEST(cost_model, more_tokens_never_take_less_time) {
  for (const auto& name : model_names()) {
    study of = small_study();
    of.system.model = *model_named(name);
    const auto plan = plan_of(of, 16, 1);
    const cost_model costs(plan, of.routing, 1);
    double attention = 0, experts = 0, slowest = 0, exchange = 0;
    for (uint32_t tokens = 1; tokens < 5000; tokens += 7) {
      batch_load load;
      for (uint32_t n = 0; n < tokens; ++n) add_chunk(load, 500, 1, 0);
      EXPECT_GE(costs.attention_ns(0, load), attention) << name << tokens;
      EXPECT_GE(costs.expert_ns(0, 0, tokens), experts * (1 - 1e-12)) << name << tokens;
      EXPECT_GE(costs.slowest_experts_ns(0, tokens), slowest * (1 - 1e-12)) << name << tokens;
      EXPECT_GE(costs.exchange_ns(0, tokens), exchange) << name << tokens;
      attention = costs.attention_ns(0, load);
      experts = costs.expert_ns(0, 0, tokens);
      slowest = costs.slowest_experts_ns(0, tokens);
      exchange = costs.exchange_ns(0, tokens);
      EXPECT_GE(slowest, experts * (1 - 1e-12)); // the slowest of all
    }
  }
}

TEST(cost_model, faster_machines_are_faster) {
  auto of = one_device();
  const auto slow_plan = plan_of(of, 1, 1);
  const cost_model slow(slow_plan, of.routing, 1);
  of.system.device.memory_gb_per_s *= 2;
  of.system.device.tflops_16_bit *= 2;
  const auto fast_plan = plan_of(of, 1, 1);
  const cost_model fast(fast_plan, of.routing, 1);
  for (const uint32_t tokens : {1u, 64u, 4096u}) {
    batch_load load;
    add_chunk(load, 100, tokens, 0);
    EXPECT_NEAR(slow.attention_ns(0, load) / fast.attention_ns(0, load), 2, 1e-9);
    EXPECT_NEAR(slow.expert_ns(0, 0, tokens) / fast.expert_ns(0, 0, tokens), 2, 1e-9);
  }
}

TEST(cost_model, skew_makes_one_device_the_busiest) {
  study of = small_study();
  of.system.model = *model_named("qwen3-30b-a3b");
  const auto plan = plan_of(of, 1, 1);
  of.routing.skew = 0;
  const cost_model even(plan, of.routing, 1);
  of.routing.skew = 1;
  const cost_model skewed(plan, of.routing, 1);
  EXPECT_NEAR(even.imbalance(), 1, 1e-9);
  EXPECT_GT(skewed.imbalance(), 1.3);
  EXPECT_GT(skewed.slowest_experts_ns(0, 8192), even.slowest_experts_ns(0, 8192));
}

TEST(cost_model, a_window_bounds_what_is_read) {
  batch_load load;
  add_chunk(load, 10'000, 1, 4096);
  EXPECT_EQ(load.pairs, 10'001);
  EXPECT_EQ(load.window_pairs, 4096);
  EXPECT_LE(load.window_read, 4097);
}

} // namespace
} // namespace troupe::simulations::capacity
