// A model directory in the form of Hugging Face or a GGUF file, read and packed: all that a node
// needs to serve it.
#pragma once

#include "base/status.hpp"
#include "compute/dtype.hpp"
#include "compute/executor.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::storage {
class disk;
class file_system;
} // namespace troupe::storage

namespace troupe::model {
class tokenizer;
class chat_template;
struct description;
struct generation_defaults;
struct model_weights;
} // namespace troupe::model

namespace troupe::actors {

// Immutable once loaded; shared by the engine's parts, which outlive no bundle they use.
struct model_bundle {
  std::string name;      // last part of the directory's path, unless told otherwise
  std::string directory; // or the path of the file
  std::shared_ptr<const model::description> description;
  std::shared_ptr<const model::generation_defaults> generation_defaults;
  std::shared_ptr<const model::tokenizer> tokenizer;
  std::shared_ptr<const model::chat_template> chat_template; // nullptr: the model has none
  std::shared_ptr<const model::model_weights> weights;
  uint64_t weight_version = 1;
  uint64_t fingerprint =
      0; // of configuration and weight files (names, sizes, headers) and the format
  // When the weight files last changed. The fingerprint looks at samples of a large tensor, so what
  // is kept on disk for later runs goes by both; it differs between machines.
  uint64_t weights_changed_at = 0;
  std::vector<std::string> warnings; // e.g. tensors nobody asked for
};

struct model_bundle_options {
  std::string directory;
  std::optional<compute::weight_format> format; // absent: as stored
  // Called now and then while loading, on the loading thread.
  std::function<void(uint64_t bytes_done, uint64_t bytes_total)> progress;
  // Folder of packed weights (actors/weight_cache.hpp); empty: none.
  std::string weight_cache;
  // Opens it for writing; unset: what is there is used, and nothing is added.
  std::function<result<std::unique_ptr<storage::disk>>(const std::string& folder)> open_disk;
};

// Reads config.json, generation_config.json, tokenizer.json, tokenizer_config.json,
// chat_template.jinja and model.safetensors (or the shards of model.safetensors.index.json); of a
// GGUF file what it has of them.
// Failures name the file and the field or tensor.
result<std::shared_ptr<const model_bundle>> load_model_bundle(storage::file_system& files,
                                                              compute::executor& executor,
                                                              const model_bundle_options& options);

} // namespace troupe::actors
