// How far the documents of a log of ingest have been learnt from for good. The learner writes it
// when a checkpoint with its state is on the disk; the log keeps what lies behind.
#pragma once

#include "base/status.hpp"
#include "storage/disk.hpp"

#include <cstdint>
#include <string_view>

namespace troupe::storage {

inline constexpr std::string_view ingest_commit_name = "committed";

// Old or new, whatever happens in between.
status write_ingest_commit(disk& folder, uint64_t offset);
// 0 when nobody has written any.
result<uint64_t> read_ingest_commit(disk& folder);

} // namespace troupe::storage
