// The log of documents to learn from: what is appended has an offset for ever, and is on the disk
// when the append returns. Whoever trains follows it (ingest_reader); clients that repeat a batch
// because they did not hear the answer are told so. Form of the files: ingest_segment.hpp.
#pragma once

#include "base/status.hpp"
#include "schemas/ingest_records.hpp"
#include "storage/disk.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

struct ingest_log_options {
  uint64_t bytes_max = uint64_t{1} << 30; // of all segments
  uint64_t segment_bytes = 4 << 20;       // then the next one begins
  schemas::ingest_limits limits;
};

struct ingest_receipt {
  uint64_t first = 0; // offset of the first document
  uint32_t count = 0;
  bool repeated = false; // it, or a later one of the client, had been kept before
};

struct ingest_log_counters {
  uint64_t documents = 0; // appended by this process
  uint64_t batches = 0;
  uint64_t repeated = 0; // batches
  uint64_t failed = 0;   // appends
  uint64_t full = 0;     // appends refused for lack of room
  uint64_t torn_bytes = 0;
  uint64_t clients_forgotten = 0;
  uint64_t begin = 0; // the first document that is there
  uint64_t end = 0;   // the one after the last
  uint64_t bytes = 0; // of the segments
  friend bool operator==(const ingest_log_counters&, const ingest_log_counters&) = default;
};

// One thread at a time; calls block.
class ingest_log {
public:
  // `committed` answers with the offset before which documents need not be kept; asked when room
  // is needed. The disk outlives the log and belongs to it alone. Cuts off what was never finished.
  // `corrupt` when something is damaged that had been finished.
  static result<std::unique_ptr<ingest_log>> open(disk& folder, const ingest_log_options& options,
                                                  std::function<uint64_t()> committed);

  // All of them with one wait for the disk. After a failure none of them is promised; the next call
  // looks at what has reached the disk first. `exhausted`: no room until somebody learns from what
  // is there; `invalid_argument`: a batch is beyond the limits.
  result<std::vector<ingest_receipt>> append(std::span<const schemas::ingest_batch> batches);

  // The last batch of a client; none: it has not been heard of, or long ago.
  std::optional<schemas::ingest_client> find_client(std::string_view name) const;
  ingest_log_counters counters() const;

private:
  struct segment {
    uint64_t first = 0;
    uint64_t bytes = 0;
  };
  using clients = std::map<std::string, schemas::ingest_client, std::less<>>;

  ingest_log(disk& folder, const ingest_log_options& options, std::function<uint64_t()> committed)
      : folder_(folder), options_(options), committed_(std::move(committed)) {}
  status load();
  status load_segment(uint64_t first, bool last);
  status rewrite(const std::string& name, std::span<const std::byte> bytes);
  status write(std::span<const std::byte> frame);
  status begin_segment(std::span<const std::byte> frame);
  status make_room(uint64_t bytes);
  void note(const schemas::ingest_batch& batch, uint64_t first);

  disk& folder_;
  const ingest_log_options options_;
  std::function<uint64_t()> committed_;
  std::vector<segment> segments_; // by offset; the last is the open one
  clients clients_;
  uint64_t end_ = 0;
  bool unsure_ = false; // an append failed: the disk may have it or not
  ingest_log_counters counters_;
};

} // namespace troupe::storage
