// What a node has to give to its cluster: how fast it computes, and how many bytes it can hold.
#pragma once

#include "base/clock.hpp"
#include "compute/executor.hpp"
#include "model/weights.hpp"

#include <cstdint>
#include <string>

namespace troupe::cli {

// Eighths of octaves above one multiplication and addition a second, rounded to the nearest; at
// least 1.
uint32_t speed_of_rate(double per_second);
double rate_of_speed(uint32_t speed);

// Multiplies rows of ones with matrices of the model, of a layer with experts where there is one,
// for at most a tenth of a second, and takes the fastest round: others may be at work on the same
// machine meanwhile. 0: could not be measured. Blocks; for start-up.
uint32_t measure_speed(const clock& time, compute::executor& executor,
                       const model::model_weights& weights);

// Bytes that this process can still have, by the machine and by its control groups; 0: they do not
// say. `root`: "" but in tests.
uint64_t available_memory(const std::string& root = "");

} // namespace troupe::cli
