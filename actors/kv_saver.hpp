// What of the open sequences is still to be saved to the disk.
#pragma once

#include "actors/kv_archive.hpp"
#include "dataflow/ids.hpp"
#include "dataflow/kv_pages.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::actors {

class kv_saver {
public:
  kv_saver(kv_archive& archive, uint32_t page_tokens)
      : archive_(archive), page_tokens_(page_tokens) {}

  // `cached`: what of its tokens need no computing; these pages are saved too unless they are.
  void opened(dataflow::sequence_id id, std::string_view salt, uint64_t weight_version,
              std::span<const int32_t> cached);
  void computed(dataflow::sequence_id id, std::span<const int32_t> tokens);
  // Full pages that were not saved.
  uint64_t closed(dataflow::sequence_id id);
  void clear() { sequences_.clear(); }

  // Begins to save whatever is full, in the order of the sequences, as far as the disk keeps up.
  // `done` is called for each save that has ended.
  void go_on(const dataflow::kv_pages& pages, const kv_archive::saved_handler& done);

private:
  struct sequence {
    std::vector<int32_t> tokens;
    storage::kv_chain saved; // as far as pages are on the disk, or on their way
    bool refused = false;    // no more of this one
  };

  kv_archive& archive_;
  uint32_t page_tokens_;
  std::map<dataflow::sequence_id, sequence> sequences_;
};

} // namespace troupe::actors
