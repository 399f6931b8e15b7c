// Tensors that PyTorch recorded under the names of a checkpoint, against ours.
#pragma once

#include "model/safetensors.hpp"
#include "model/training/parameters.hpp"

#include <map>
#include <string>
#include <vector>

namespace troupe::model_test {

// The bytes must outlive the result.
model::safetensors_file parse_golden(const std::string& bytes);
std::vector<float> golden_values(const model::safetensors_file& golden, const std::string& name);

// Our values in the shape of the recorded tensors whose names begin with `kind`, by the rest of the
// name.
std::map<std::string, std::vector<float>> as_stored(const model::parameter_map& map,
                                                    std::span<const float> values,
                                                    const model::safetensors_file& golden,
                                                    const std::string& kind);
// The other way round: fills values from the recorded tensors.
void read_stored(const model::parameter_map& map, const model::safetensors_file& golden,
                 const std::string& kind, std::span<float> values);

// Relative 1e-4 and cosine 0.999999, tensor by tensor.
void expect_close(const std::map<std::string, std::vector<float>>& ours,
                  const model::safetensors_file& golden, const std::string& kind);

} // namespace troupe::model_test
