// Writes a model directory in the form of Hugging Face: weights that somebody computed, and the
// texts of the model they come from.
#pragma once

#include "actors/model_directory.hpp"
#include "model/training/checkpoint_export.hpp"
#include "storage/disk.hpp"

#include <functional>
#include <string>

namespace troupe::cli {

// Gives the bytes of model.safetensors to the sink, in order.
using weight_writer = std::function<status(const model::byte_sink&)>;

// Synced, and config.json last: without it a folder is no model. What a failure leaves is removed.
status write_model_folder(storage::disk& folder, const actors::model_texts& texts,
                          const weight_writer& weights);

// Whether somebody began to write one there and did not come to its end.
bool is_unfinished_model_folder(const std::string& folder);

} // namespace troupe::cli
