// Rooflines. Expert times depend on the number of tokens alone, so they are tabled for powers of
// two and interpolated: exact at one token, where a decode of a single stream is, and never
// falling.
#include "simulations/capacity/cost_model.hpp"

#include "base/check.hpp"
#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

constexpr double activation_bytes = 2; // bf16
constexpr uint32_t long_chunk = 128;   // tokens

double ns(double seconds) {
  return seconds * 1e9;
}

} // namespace

void add_chunk(batch_load& load, uint32_t begin, uint32_t count, uint32_t window) {
  load.tokens += count;
  const double n = count, b = begin;
  const double pairs = n * b + n * (n + 1) / 2; // causal
  load.pairs += pairs;
  load.read += b + n;
  if (count >= long_chunk) {
    load.long_pairs += pairs;
    load.long_read += b + n;
  }
  if (window == 0) return;
  const double w = window;
  const double sees = std::min(b + (n + 1) / 2, w); // on average
  load.window_pairs += n * sees;
  load.window_read += std::min(b + n, w + n);
}

void add_contexts(batch_load& to, const batch_load& from, double times) {
  to.pairs += from.pairs * times;
  to.read += from.read * times;
  to.window_pairs += from.window_pairs * times;
  to.window_read += from.window_read * times;
  to.long_pairs += from.long_pairs * times;
  to.long_read += from.long_read * times;
}

cost_model::cost_model(const system_plan& plan, const routing_options& options, uint64_t seed)
    : plan_(plan),
      routing_(static_cast<uint32_t>(plan.model.layers.size()), plan.model.experts,
               plan.model.top_k, options, seed) {
  build();
}

void cost_model::drift() {
  if (plan_.model.experts == 0) return;
  routing_.drift();
  build();
}

void cost_model::build() {
  const size_t stages = plan_.graph.stages.size();
  expert_.assign(stages * plan_.graph.shards.size() * grid, 0.0);
  slowest_.assign(stages * grid, 0.0);
  moe_layers_.assign(stages, 0);
  imbalance_ = 0;
  uint32_t moe = 0;
  for (uint32_t stage = 0; stage < stages; ++stage) {
    const auto& range = plan_.graph.stages[stage];
    for (uint32_t layer = range.begin; layer < range.end; ++layer) {
      if (!plan_.model.layers[layer].is_moe()) continue;
      build_layer(stage, layer);
      ++moe_layers_[stage];
      ++moe;
    }
  }
  imbalance_ = moe > 0 ? imbalance_ / moe : 1;
}

// Experts of a shard are dealt out to the devices of its node; with fewer experts than devices each
// is cut over several.
void cost_model::build_layer(uint32_t stage, uint32_t layer) {
  const auto& shape = plan_.model.layers[layer];
  const auto& device = plan_.device;
  const double flops = device.flops_per_s(plan_.model.weight_bytes);
  const double bytes_per_s = device.bytes_per_s();
  const double expert_bytes = shape.expert_params * plan_.model.weight_bytes;
  const size_t shards = plan_.graph.shards.size();
  std::vector<double> missed(routing_.experts()); // probability that no token comes
  for (uint32_t n = 0; n < missed.size(); ++n) missed[n] = 1 - routing_.probability(layer, n);
  double hottest = 0, all = 0, slots_total = 0;
  for (uint32_t j = 0; j < grid; ++j) {
    const double tokens = double(1u << j);
    double slowest = 0;
    for (uint32_t shard = 0; shard < shards; ++shard) {
      const auto& set = plan_.graph.shards[shard];
      const uint32_t slots = std::min(device.devices(), set.count);
      const double width = double(device.devices() / slots);
      const double spread =
          std::sqrt(2 * natural_log(std::max(2.0, double(slots) * double(shards))));
      double time = 0;
      for (uint32_t slot = 0; slot < slots; ++slot) {
        double load = 0, touched = 0;
        for (uint32_t local = slot; local < set.count; local += slots) {
          load += routing_.probability(layer, set.expert(local));
          touched += 1 - missed[set.expert(local)];
        }
        if (j == 0) {
          hottest = std::max(hottest, load);
          all += load;
          ++slots_total;
        }
        // The busiest of many devices has more than its mean; one token is never more than one.
        const double mean = load * tokens;
        const double most = slots * shards > 1
                                ? std::min(mean + spread * std::sqrt(mean), tokens * set.count)
                                : mean;
        const double compute = 2 * shape.expert_params * most / width / flops;
        const double move = (touched * expert_bytes / width +
                             2 * activation_bytes * most * plan_.model.hidden / width) /
                            bytes_per_s;
        time = std::max(time, std::max(compute, move));
      }
      time = ns(time) + device.launch_us * 1e3;
      expert_[(size_t{stage} * shards + shard) * grid + j] += time;
      slowest = std::max(slowest, time);
    }
    slowest_[size_t{stage} * grid + j] += slowest;
    for (double& each : missed) each *= each; // twice the tokens
  }
  if (all > 0) imbalance_ += hottest * slots_total / all;
}

double cost_model::interpolate(const double* at, uint32_t tokens) const {
  if (tokens == 0) return 0;
  const uint32_t j = std::min<uint32_t>(std::bit_width(tokens) - 1, grid - 2);
  const double low = double(1u << j);
  return at[j] + (at[j + 1] - at[j]) * (tokens - low) / low;
}

double cost_model::expert_ns(uint32_t stage, uint32_t shard, uint32_t tokens) const {
  return interpolate(&expert_[(size_t{stage} * plan_.graph.shards.size() + shard) * grid], tokens);
}

double cost_model::slowest_experts_ns(uint32_t stage, uint32_t tokens) const {
  return interpolate(&slowest_[size_t{stage} * grid], tokens);
}

double cost_model::attention_ns(uint32_t stage, const batch_load& load) const {
  const auto& device = plan_.device;
  const double devices = device.devices();
  const double flops = device.flops_per_s(plan_.model.weight_bytes) * devices;
  const double flops_16_bit = device.flops_per_s(2) * devices;
  const double bytes_per_s = device.bytes_per_s() * devices;
  const double tokens = load.tokens;
  const auto product = [&](double params, double rows) {
    return rows <= 0 ? 0
                     : std::max(2 * params * rows / flops,
                                params * plan_.model.weight_bytes / bytes_per_s);
  };
  double seconds = 0;
  const auto& range = plan_.graph.stages[stage];
  for (uint32_t n = range.begin; n < range.end; ++n) {
    const auto& layer = plan_.model.layers[n];
    seconds += product(layer.attention_params + layer.dense_params, tokens);
    const double pairs = layer.window > 0 ? load.window_pairs : load.pairs;
    const double read = layer.window > 0 ? load.window_read : load.read;
    double scores = layer.score_flops * pairs;
    if (layer.expand_flops > 0)
      scores = std::min(scores, layer.score_flops * (pairs - load.long_pairs) +
                                    layer.expanded_score_flops * load.long_pairs +
                                    layer.expand_flops * load.long_read);
    seconds += std::max(scores / flops_16_bit, layer.kv_bytes * read / bytes_per_s);
    seconds += device.launch_us * 1e-6;
    if (devices > 1) { // the devices add up their partial products
      const double sums = layer.is_moe() ? 1 : 2;
      const double bytes =
          2 * (devices - 1) / devices * tokens * plan_.model.hidden * activation_bytes;
      seconds += sums * (device.link_us * 1e-6 + bytes / (device.link_gb_per_s * 1e9));
    }
  }
  if (stage + 1 == plan_.graph.stages.size())
    seconds += product(plan_.model.head_params, load.logit_rows);
  return ns(seconds);
}

// A token's row goes once to every device (or node) that has some of its experts, as 8 or 16 bit,
// and comes back as 16 bit.
double cost_model::exchange_ns(uint32_t stage, uint32_t tokens) const {
  if (moe_layers_[stage] == 0 || tokens == 0) return 0;
  const auto& device = plan_.device;
  const double row_bytes =
      plan_.model.hidden *
      (std::min(plan_.model.weight_bytes, activation_bytes) + activation_bytes);
  const double devices = device.devices();
  const double nodes = static_cast<double>(plan_.graph.shards.size());
  double seconds = 0;
  if (devices > 1) {
    const double copies = std::min<double>(plan_.model.top_k, devices);
    seconds += 2 * device.link_us * 1e-6 +
               tokens * copies * row_bytes / (devices * device.link_gb_per_s * 1e9);
  }
  if (nodes > 1) {
    // Chosen nodes of k draws among `nodes` alike, of which one is our own.
    const double touched = nodes * (1 - power(1 - 1 / nodes, plan_.model.top_k));
    seconds += 2 * device.network_us * 1e-6 +
               tokens * touched * (nodes - 1) / nodes * row_bytes / (device.network_gb_per_s * 1e9);
  }
  return ns(seconds) * moe_layers_[stage];
}

double cost_model::busiest_ns(const dataflow::placement& where, const batch_load& load) const {
  std::vector<double> work(plan_.nodes_per_replica, 0.0);
  for (uint32_t stage = 0; stage < where.stages.size(); ++stage) {
    work[where.stages[stage]] += attention_ns(stage, load);
    for (uint32_t n = 0; n < where.shards.size(); ++n)
      work[where.shards[n].front()] += expert_ns(stage, n, load.tokens);
  }
  return *std::max_element(work.begin(), work.end());
}

double cost_model::hop_ns(uint32_t tokens) const {
  const double bytes = tokens * plan_.model.hidden * activation_bytes;
  return ns(plan_.device.network_us * 1e-6 + bytes / (plan_.device.network_gb_per_s * 1e9));
}

} // namespace troupe::simulations::capacity
