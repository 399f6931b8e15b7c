// How the learning rate moves over the steps of a training run: warm-up, then cosine, or stable and
// then decay. Pure: the same step gives the same bits on every machine.
#pragma once

#include <cstdint>
#include <string>

namespace troupe::dataflow {

enum class decay_shape : uint8_t { constant, cosine, linear, one_minus_sqrt };

struct learning_rate_schedule {
  double peak = 1e-3;
  double floor = 0; // what decay ends at
  uint64_t warmup_steps = 0;
  uint64_t total_steps = 0; // 0: no end, and so no decay
  // Cosine decays from the end of warm-up on unless decay_steps says otherwise; with the others,
  // the last decay_steps of the run (warm-up, stable, decay).
  decay_shape shape = decay_shape::cosine;
  uint64_t decay_steps = 0; // 0: everything after warm-up
};

// Of the step with this number, the first being 0. Warm-up reaches the peak with its last step;
// beyond the end the floor stays.
double learning_rate_at(const learning_rate_schedule& schedule, uint64_t step);

// What gradients with this norm are multiplied by so that none is longer than max_norm; 0: no
// limit.
double clipping_factor(double norm, double max_norm);

} // namespace troupe::dataflow
