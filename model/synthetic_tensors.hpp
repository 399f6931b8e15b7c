// The tensors that a checkpoint of a described model consists of, and random values for them.
#pragma once

#include "model/description.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::model {

struct synthetic_tensor {
  std::string name;
  std::vector<uint64_t> shape;
  float centre = 0; // mean of its values: 1 for the gains of norms
  float spread = 0; // their standard deviation

  uint64_t elements() const;
};

// Spelled as checkpoints of the family spell them. Spreads keep what goes through the model near
// one: a product has about the variance of its input, and logits have a standard deviation of about
// one before any scaling of the family.
std::vector<synthetic_tensor> synthetic_tensors(const description& model);

// Elements [begin, begin + out.size()) as bf16. A value depends on the seed, on `number` (the
// tensor's place among those of the model) and on its own place alone, and is the same on every
// machine.
void synthesise(const synthetic_tensor& tensor, uint64_t seed, uint32_t number, uint64_t begin,
                std::span<uint16_t> out);

} // namespace troupe::model
