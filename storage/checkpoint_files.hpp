// The files of a folder of checkpoints: what they are called and how a manifest lies in its file.
//
// chunk-<32 hexadecimal digits>      a chunk, under the XXH3 of its bytes
// manifest-<20 digits>-<16 digits>   a manifest: its step, and the checksum of the file, so that
//                                    one that has gone to another's place is found
// *.new                              being written; means nothing
#pragma once

#include "schemas/checkpoint_codec.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

schemas::chunk_hash hash_of_chunk(std::span<const std::byte> bytes);

std::string to_file_name(const schemas::chunk_hash& hash);
bool is_chunk_name(std::string_view name);

struct manifest_name {
  uint64_t step = 0;
  uint64_t checksum = 0;
};
std::string to_file_name(const manifest_name& name);
std::optional<manifest_name> parse_manifest_name(std::string_view name);

inline constexpr std::string_view unfinished_suffix = ".new";

struct manifest_file {
  std::string name;
  std::vector<std::byte> bytes;
};
result<manifest_file> make_manifest_file(const schemas::checkpoint_manifest& manifest);
// `corrupt` unless it is the very file that once got this name; `unsupported` for another version.
result<schemas::checkpoint_manifest> read_manifest_file(const std::string& name,
                                                        std::span<const std::byte> bytes);

} // namespace troupe::storage
