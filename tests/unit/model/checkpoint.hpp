// Checkpoints as bytes in memory for tests: read from a folder, changed, loaded.
#pragma once

#include "model/decoder.hpp"
#include "model/description.hpp"
#include "model/tensor_index.hpp"
#include "model/weights.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace troupe::model_test {

// File name to content.
struct checkpoint {
  std::map<std::string, std::string> files;

  static checkpoint read(const std::filesystem::path& folder);
  // The part of a safetensors file that is JSON, and a replacement of it that keeps the data.
  std::string header(const std::string& file) const;
  void set_header(const std::string& file, const std::string& header);
  // Replaces the first occurrence in a file; the test fails when there is none.
  void replace(const std::string& file, const std::string& from, const std::string& to);
  // Overwrites one element of a stored tensor with this bit pattern.
  void set_element(const std::string& tensor, size_t index, float value);
  std::string file_of(const std::string& tensor) const;
};

// All golden checkpoints of the repository, and the path of one. TROUPE_GOLDEN_MODELS names another
// folder of them, to hold freshly made ones against the engine.
std::vector<std::string> golden_names();
std::filesystem::path golden_folder(const std::string& name);

result<model::tensor_index> index_of(const checkpoint& files);

// A model with everything it needs kept alive.
struct loaded_model {
  checkpoint files;
  model::description description;
  model::weight_survey survey;
  model::model_weights weights;
};
result<std::unique_ptr<loaded_model>> load(checkpoint files, compute::executor& executor,
                                           model::load_options options = {});

} // namespace troupe::model_test
