// Bytes of what ingest keeps and of the state of a learning stream. Equal structs have equal bytes.
#pragma once

#include "base/status.hpp"
#include "schemas/ingest_records.hpp"
#include "schemas/learning_stream_state.hpp"

#include <span>
#include <vector>

namespace troupe::schemas {

// `exhausted` when it is beyond the limits.
result<std::vector<std::byte>> encode_ingest_batch(const ingest_batch& batch,
                                                   const ingest_limits& limits = {});
// `corrupt` unless the bytes are a batch within the limits.
result<ingest_batch> decode_ingest_batch(std::span<const std::byte> bytes,
                                         const ingest_limits& limits = {});

result<std::vector<std::byte>> encode_ingest_clients(const std::vector<ingest_client>& clients,
                                                     const ingest_limits& limits = {});
result<std::vector<ingest_client>> decode_ingest_clients(std::span<const std::byte> bytes,
                                                         const ingest_limits& limits = {});

result<std::vector<std::byte>> encode_learning_state(const learning_stream_state& state,
                                                     const learning_state_limits& limits = {});
result<learning_stream_state> decode_learning_state(std::span<const std::byte> bytes,
                                                    const learning_state_limits& limits = {});

} // namespace troupe::schemas
