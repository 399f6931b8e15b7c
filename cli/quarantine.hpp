// What was not learnt from, with the reason, for a person to look through: an object of JSON a
// line.
#pragma once

#include "dataflow/ingest/learning_stream.hpp"
#include "storage/disk.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace troupe::cli {

// Files "quarantine-RUN-PART.jsonl". One thread at a time; calls block.
class quarantine {
public:
  static constexpr uint64_t part_bytes = uint64_t{64} << 20;

  // The folder outlives it. `bytes_max`: of all files together; beyond it put() is `exhausted`,
  // as nothing may be thrown away unseen.
  explicit quarantine(storage::disk& folder, uint64_t bytes_max = uint64_t{1} << 30)
      : folder_(folder), bytes_max_(bytes_max) {}

  // The run goes on with the files of the last one, and does not write again what it finds there.
  // Otherwise it begins its own. Before the first put().
  status resume();
  status put(const dataflow::rejected_document& rejected);
  // Until then a power cut may take what was put; a run restored from before puts it again.
  status sync();

private:
  status find_files();
  status read_part(const std::string& name);
  std::string name_of(uint64_t run, uint64_t part) const;

  storage::disk& folder_;
  const uint64_t bytes_max_;
  bool looked_ = false;
  uint64_t run_ = 0; // 0: none yet
  uint64_t part_ = 0;
  uint64_t bytes_ = 0; // of the open part
  uint64_t bytes_all_ = 0;
  bool unsynced_ = false;
  std::optional<uint64_t> last_; // offset of the last document there
};

} // namespace troupe::cli
