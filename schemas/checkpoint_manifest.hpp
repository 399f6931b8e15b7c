// What a checkpoint consists of: named parts, laid end to end, and the chunks that this row of
// bytes is cut into. Plain structs; their bytes are made in checkpoint_codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::schemas {

// A setting that the state depends on, as a person would write it.
struct checkpoint_setting {
  std::string name;
  std::string value;
  friend bool operator==(const checkpoint_setting&, const checkpoint_setting&) = default;
};

struct checkpoint_part_size {
  std::string name; // unique
  uint64_t bytes = 0;
  friend bool operator==(const checkpoint_part_size&, const checkpoint_part_size&) = default;
};

// XXH3 of the chunk's bytes, 128 bits: what the chunk is, and what it is called.
struct chunk_hash {
  uint64_t high = 0, low = 0;
  friend bool operator==(const chunk_hash&, const chunk_hash&) = default;
  friend auto operator<=>(const chunk_hash&, const chunk_hash&) = default;
};

struct checkpoint_chunk {
  chunk_hash hash;
  uint64_t bytes = 0;
  friend bool operator==(const checkpoint_chunk&, const checkpoint_chunk&) = default;
};

struct checkpoint_manifest {
  uint64_t step = 0;           // steps done
  uint64_t state_hash = 0;     // of the run, as its owner computes it
  std::optional<double> score; // less is better; finite
  std::vector<checkpoint_setting> settings;
  std::vector<checkpoint_part_size> parts;
  std::vector<checkpoint_chunk> chunks; // as many bytes as the parts together, in their order

  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& part : parts) sum += part.bytes;
    return sum;
  }
  friend bool operator==(const checkpoint_manifest&, const checkpoint_manifest&) = default;
};

struct checkpoint_limits {
  size_t manifest_bytes_max = size_t{256} << 20;
  size_t settings_max = 4096;
  size_t parts_max = size_t{1} << 22;
  size_t chunks_max = size_t{1} << 22;
  size_t name_bytes_max = 4096;
  size_t value_bytes_max = 1 << 16;
  uint64_t chunk_bytes_max = uint64_t{64} << 20;
  uint64_t bytes_max = uint64_t{1} << 50; // of all parts
};

} // namespace troupe::schemas
