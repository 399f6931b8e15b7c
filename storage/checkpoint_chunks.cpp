// Small parts are gathered, large ones are cut where they lie.
#include "storage/checkpoint_chunks.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::storage {

status cut_into_chunks(std::span<const checkpoint_part> parts, const chunk_sizes& sizes,
                       const chunk_sink& to) {
  TROUPE_CHECK(sizes.piece_bytes > 0 && sizes.alone_bytes <= sizes.pool_bytes);
  std::vector<std::byte> pool;
  const auto empty_pool = [&]() -> status {
    if (pool.empty()) return {};
    const status put = to(pool);
    pool.clear();
    return put;
  };
  for (const auto& part : parts) {
    if (part.bytes.size() < sizes.alone_bytes) {
      if (pool.size() + part.bytes.size() > sizes.pool_bytes) TROUPE_RETURN_IF_ERROR(empty_pool());
      pool.insert(pool.end(), part.bytes.begin(), part.bytes.end());
      continue;
    }
    TROUPE_RETURN_IF_ERROR(empty_pool());
    for (auto rest = part.bytes; !rest.empty();) {
      const auto piece = rest.first(std::min(rest.size(), sizes.piece_bytes));
      TROUPE_RETURN_IF_ERROR(to(piece));
      rest = rest.subspan(piece.size());
    }
  }
  return empty_pool();
}

} // namespace troupe::storage
