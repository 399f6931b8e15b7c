// How many bytes the parts of a loaded model take, as packed for the device.
#pragma once

#include "model/weights.hpp"

#include <cstdint>

namespace troupe::model {

uint64_t bytes_of(const attention_weights& weights);
uint64_t bytes_of(const dense_mlp_weights& weights);
uint64_t bytes_of(const router_weights& weights);
uint64_t bytes_of(const expert_weights& weights);
uint64_t bytes_of(const head_weights& weights);

} // namespace troupe::model
