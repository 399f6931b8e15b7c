// Adapters as PEFT keeps them: adapter_model.safetensors and the adapter_config.json beside it.
#pragma once

#include "model/training/checkpoint_export.hpp"
#include "model/training/low_rank_adapters.hpp"

#include <string>

namespace troupe::model {

// The text of adapter_config.json. Modules are named by as few of their last words as no module
// ends with that is no target. `base_name` is where PEFT finds the model, for people.
std::string adapter_config(const parameter_map& base, const parameter_set& targets,
                           const low_rank_options& options, const std::string& base_name);

// The bytes of adapter_model.safetensors in order, in f32.
status export_adapter(const description& model, const low_rank_adapters<float>& adapters,
                      const byte_sink& to);

} // namespace troupe::model
