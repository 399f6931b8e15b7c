// Small clusters and short traces that several tests share.
#pragma once

#include "base/check.hpp"
#include "simulations/capacity/study.hpp"

namespace troupe::simulations::capacity {

// A machine with round numbers and no latencies.
inline device_profile plain_device(uint32_t devices = 1) {
  device_profile out;
  out.name = "plain";
  out.devices_per_node = devices;
  out.tflops_16_bit = 1000;
  out.tflops_8_bit = 2000;
  out.memory_gb = 200;
  out.memory_gb_per_s = 1000;
  out.compute_efficiency = 1;
  out.memory_efficiency = 1;
  out.memory_usable = 1;
  out.link_gb_per_s = 100;
  out.network_gb_per_s = 50;
  out.disk_gb_per_s = 10;
  return out;
}

inline study small_study() {
  study out;
  out.system.model = *model_named("mixtral-8x7b");
  out.system.device = *device_named("h100");
  out.system.limits = {
      .tokens_max = 2048, .sequences_max = 512, .queue_max = 65536, .prefill_chunk_max = 2048};
  out.profile = *trace_profile_named("azure_conversation");
  out.rate_per_s = 6;
  out.span = 30 * second_ns;
  out.warm_up = 5 * second_ns;
  out.failures = *failures_named("llama3");
  return out;
}

// Two nodes share the pipeline.
inline study two_node_study() {
  study out = small_study();
  out.system.nodes_per_replica = 2;
  return out;
}

inline system_plan plan_of(const study& of, uint32_t nodes, uint32_t copies) {
  plan_request request = of.system;
  request.nodes = nodes;
  request.copies = copies;
  auto plan = plan_system(request);
  TROUPE_CHECK(plan.has_value());
  return std::move(*plan);
}

} // namespace troupe::simulations::capacity
