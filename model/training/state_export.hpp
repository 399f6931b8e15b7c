// The weights of a stored state as model.safetensors, without a run to put them into.
#pragma once

#include "model/training/checkpoint_export.hpp"
#include "model/training/training_state.hpp"

namespace troupe::model {

// `corrupt` with the name of the first part that is missing or of another size than the model's.
// Moments, counters and data are left alone.
status export_state(const description& model, std::span<const state_part> state,
                    compute::dtype type, const byte_sink& to);

} // namespace troupe::model
