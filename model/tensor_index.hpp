// All tensors of a checkpoint, whether it is one safetensors file, several shards with an index, or
// a GGUF file.
#pragma once

#include "model/safetensors.hpp"

#include <map>
#include <utility>

namespace troupe::model {

// What model.safetensors.index.json says: the shard of every tensor.
struct shard_map {
  std::map<std::string, std::string, std::less<>> shard_of; // by tensor
  std::vector<std::string> shards;                          // file names to map, each once, sorted
};

// Shard names are plain file names; a path in one of them is `corrupt`.
result<shard_map> parse_shard_map(std::string_view index_json,
                                  std::string_view file = "model.safetensors.index.json");

class tensor_index {
public:
  tensor_index() = default; // of nothing
  explicit tensor_index(safetensors_file single);
  // `files`: exactly the shards of the map, in any order. Fails when a shard is missing, when a
  // tensor is not in the shard that the map says, or when two shards hold the same tensor.
  static result<tensor_index> sharded(const shard_map& map, std::vector<safetensors_file> files);

  // Tensors by the names that weights are looked for under, where files spell them otherwise: what
  // a tensor's own name says is for messages. `spelling` turns a name into the file's.
  using spelling = std::string (*)(std::string_view name);
  tensor_index(std::map<std::string, stored_tensor, std::less<>> tensors, spelling spelled)
      : tensors_(std::move(tensors)), spelled_(spelled) {}

  const stored_tensor* find(std::string_view name) const;
  const std::map<std::string, stored_tensor, std::less<>>& tensors() const { return tensors_; }
  // How the files spell the name of a tensor that may not be there.
  std::string spelled(std::string_view name) const {
    return spelled_ == nullptr ? std::string(name) : spelled_(name);
  }

private:
  std::map<std::string, stored_tensor, std::less<>> tensors_;
  spelling spelled_ = nullptr;
};

} // namespace troupe::model
