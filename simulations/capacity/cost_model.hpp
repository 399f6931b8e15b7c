// How long the parts of a step take: the larger of operations over speed and bytes over bandwidth,
// plus starting the kernels; and the network between them. Times are nanoseconds as doubles, made
// of exactly rounded operations only, and become integers where the event loop takes them.
#pragma once

#include "simulations/capacity/routing.hpp"
#include "simulations/capacity/system_plan.hpp"

#include <cstdint>
#include <vector>

namespace troupe::simulations::capacity {

// What a step asks of every layer.
struct batch_load {
  uint32_t tokens = 0;
  uint32_t logit_rows = 0;
  double pairs = 0;                         // of a query token and a context token
  double read = 0;                          // context tokens whose keys and values are read
  double window_pairs = 0, window_read = 0; // the same for layers with a window
  double long_pairs = 0, long_read = 0;     // of these, by chunks of many tokens
};
// A chunk of `count` tokens behind `begin` others; `window` 0: none.
void add_chunk(batch_load& load, uint32_t begin, uint32_t count, uint32_t window);
// Everything but tokens and rows, `times` over.
void add_contexts(batch_load& to, const batch_load& from, double times = 1);

class cost_model {
public:
  // `plan` must outlive it.
  cost_model(const system_plan& plan, const routing_options& options, uint64_t seed);

  // On the node of the stage: attention and dense weights of its layers, shared by its devices.
  double attention_ns(uint32_t stage, const batch_load& load) const;
  // On the node of the shard: its experts for all layers of the stage.
  double expert_ns(uint32_t stage, uint32_t shard, uint32_t tokens) const;
  // With every shard on a node of its own, layer by layer the slowest shard: what the stage waits
  // for.
  double slowest_experts_ns(uint32_t stage, uint32_t tokens) const;
  // Tokens to the experts' devices and back, all layers of the stage.
  double exchange_ns(uint32_t stage, uint32_t tokens) const;
  // From a stage to one on another node.
  double hop_ns(uint32_t tokens) const;
  double step_ns() const { return plan_.device.step_us * 1e3; }

  // Of the node with the most of it: its work for one step through all stages.
  double busiest_ns(const dataflow::placement& where, const batch_load& load) const;

  // The next hot set of experts.
  void drift();
  // Tokens of the busiest device over the mean, layers averaged; 1 without experts.
  double imbalance() const { return imbalance_; }

private:
  static constexpr uint32_t grid = 18; // tokens 1, 2, 4, …, 2^17
  void build();
  void build_layer(uint32_t stage, uint32_t layer);
  double interpolate(const double* at, uint32_t tokens) const;

  const system_plan& plan_;
  routing routing_;
  std::vector<double> expert_;       // [stage][shard][grid]
  std::vector<double> slowest_;      // [stage][grid]
  std::vector<uint32_t> moe_layers_; // [stage]
  double imbalance_ = 1;
};

} // namespace troupe::simulations::capacity
