// Follows a log of ingest that another process may be writing. A document is handed out only when
// it is on the disk: what was learnt must not be lost from the log by a power cut.
#pragma once

#include "base/status.hpp"
#include "schemas/ingest_records.hpp"
#include "storage/disk.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::storage {

// One thread at a time; calls block.
class ingest_reader {
public:
  // The folder, opened for reading alone, outlives the reader.
  explicit ingest_reader(disk& folder, const schemas::ingest_limits& limits = {})
      : folder_(folder), limits_(limits) {}

  // The document at the offset; none: it has not come yet. `not_found`: it has gone from the log;
  // `corrupt`: names the segment. Reading in order is quick.
  result<std::optional<schemas::ingest_document>> read(uint64_t offset);

  // The offset behind the last document that is there now.
  result<uint64_t> end();

private:
  result<bool> load_segment_of(uint64_t offset); // false: there is no segment at all
  result<bool> next_frame();
  status load(uint64_t first);

  disk& folder_;
  const schemas::ingest_limits limits_;
  std::string name_; // of the segment at hand; empty: none
  uint64_t first_ = 0;
  std::vector<std::byte> bytes_; // of it, all on the disk
  size_t at_ = 0;                // where the next frame begins
  uint64_t next_ = 0;            // its first document
  uint64_t documents_first_ = 0;
  std::vector<schemas::ingest_document> documents_; // of the last frame
};

} // namespace troupe::storage
