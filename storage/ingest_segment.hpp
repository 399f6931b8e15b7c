// A segment of the log of ingest: documents with consecutive numbers, their offsets.
//
// A file "ingest-" and the offset of its first document in 20 digits. Bytes: 8 magic; 4 version;
// 4 length of the clients; 8 checksum of what follows up to the first frame; 8 offset; the clients
// as they were when it began. Then frames: 4 magic; 4 length of the content; 8 checksum of what
// follows; 8 offset of the first document; the content: batches, each of 4 bytes length and an
// encoded schemas::ingest_batch. Numbers lowest byte first. A frame is on the disk before the next
// is written, so only the last may be torn.
#pragma once

#include "base/status.hpp"
#include "schemas/ingest_records.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

inline constexpr size_t ingest_frame_head_bytes = 24;

std::string ingest_segment_name(uint64_t first);
// None: the name of something else.
std::optional<uint64_t> ingest_segment_first(std::string_view name);

struct ingest_segment_head {
  uint64_t first = 0;
  std::vector<schemas::ingest_client> clients;
  size_t bytes = 0; // of the head
};
result<std::vector<std::byte>> encode_segment_head(
    uint64_t first, const std::vector<schemas::ingest_client>& clients);
// `unavailable` when it is cut off, as one is that is being written; `corrupt`, `unsupported`.
result<ingest_segment_head> read_segment_head(std::span<const std::byte> segment);

// Of batches that were encoded before.
std::vector<std::byte> encode_frame(uint64_t first,
                                    std::span<const std::vector<std::byte>> batches);

struct ingest_frame {
  uint64_t first = 0;
  std::vector<schemas::ingest_batch> batches;
  size_t bytes = 0;

  uint64_t documents() const;
};
// The frame at the beginning of `rest`, whose first document must be `first`. None: what is there
// is no whole frame, and no frame comes after it: the end, or one that was never finished.
// `corrupt`: a frame is damaged, and whole ones follow.
result<std::optional<ingest_frame>> read_frame(std::span<const std::byte> rest, uint64_t first,
                                               const schemas::ingest_limits& limits);

} // namespace troupe::storage
