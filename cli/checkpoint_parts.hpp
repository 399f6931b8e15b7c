// What learn puts into a checkpoint beside the state of the run: the texts of its model, so that a
// checkpoint alone can become a model directory again.
#pragma once

#include "actors/model_directory.hpp"
#include "model/training/step_source.hpp"
#include "model/training/training_run.hpp"
#include "storage/checkpoint_store.hpp"

#include <span>
#include <string>
#include <vector>

namespace troupe::cli {

// Parts "file/config.json" and so on; they refer to the texts.
std::vector<storage::checkpoint_part> text_parts(const actors::model_texts& texts);

// The texts of a checkpoint. `not_found` when it has no config.json.
result<actors::model_texts> texts_of(const storage::loaded_checkpoint& from);

// Whether a checkpoint is of this model: the first of its texts that differs is named.
status check_same_texts(const storage::loaded_checkpoint& from, const actors::model_texts& texts);

inline constexpr const char* source_part = "data/source"; // the place in the data

// Of all that a run needs to go on, as it is printed and kept with a checkpoint.
uint64_t hash_of_run(model::training_run& run, const model::step_source& source);

// The parts of the run itself, and those of its data: everything but texts.
std::vector<model::state_part> state_parts(const storage::loaded_checkpoint& from);

} // namespace troupe::cli
