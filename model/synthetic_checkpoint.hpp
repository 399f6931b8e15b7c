// A checkpoint with random weights in the form of Hugging Face, planned as files whose bytes are
// made when they are asked for: what speed is measured with where no real weights are at hand.
#pragma once

#include "model/synthetic_shapes.hpp"
#include "model/synthetic_tensors.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace troupe::model {

class synthetic_checkpoint {
public:
  // A safetensors file.
  struct shard {
    std::string file;
    std::string header; // with its length in front
    uint32_t tensors_begin = 0;
    uint32_t tensors_end = 0;
    uint64_t bytes = 0; // header and data
  };

  // Tensors are put into shards of at most shard_bytes_max bytes of data; one that is larger has a
  // shard of its own. Fails only where the shape's configuration cannot be read.
  static result<synthetic_checkpoint> plan(const synthetic_shape& shape, uint64_t seed,
                                           uint64_t shard_bytes_max);

  const description& model() const { return model_; }
  const std::vector<synthetic_tensor>& tensors() const { return tensors_; }
  const std::vector<shard>& shards() const { return shards_; }
  uint64_t parameters() const;
  uint64_t bytes() const; // of all shards

  // The shard's bytes in order, a few MiB at a time; the first failure of the sink ends it.
  using sink = std::function<status(std::span<const std::byte>)>;
  status write(const shard& which, const sink& to) const;

  // The other files, by name: index (of several shards), tokenizer.json, tokenizer_config.json, and
  // config.json as the last, without which a folder is no model.
  std::vector<std::pair<std::string, std::string>> texts() const;

private:
  void cut_shards(uint64_t shard_bytes_max);
  std::string header_of(uint32_t begin, uint32_t end) const;
  std::string index_json() const;

  uint64_t seed_ = 0;
  std::string_view config_;
  description model_;
  std::vector<synthetic_tensor> tensors_;
  std::vector<shard> shards_;
};

// A byte-level tokenizer: 256 tokens for the bytes, fillers that no text makes but that can be
// generated, and <|endoftext|> as the last. At least 257 tokens.
std::string synthetic_tokenizer_json(uint32_t vocabulary);

} // namespace troupe::model
