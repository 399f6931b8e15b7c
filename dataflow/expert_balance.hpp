// Keeping the experts of a layer equally busy without a loss of its own: the bias that routing adds
// to an expert's score for the choice (never to its weight) moves against its load once a step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::dataflow {

// How many rows chose each expert of one layer, over a whole step and all replicas.
struct expert_load {
  std::vector<uint64_t> rows;

  uint64_t total() const;
  void add(std::span<const uint64_t> more);
  // The busiest expert's rows over the mean, less one: 0 when all are equal ("MaxVio"). 0 without
  // rows.
  double imbalance() const;
  // Experts that nobody chose.
  uint32_t idle() const;
};

// bias += speed * sign(mean - rows): up for experts below the mean, down for those above. Compared
// as integers, so that neither order nor place of counting changes a bit.
void move_selection_bias(std::span<float> bias, const expert_load& load, float speed);

} // namespace troupe::dataflow
