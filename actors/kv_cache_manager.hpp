// Protocol of the KV-cache manager: the page table and prefix index of a node.
#pragma once

#include "actors/wiring.hpp"
#include "dataflow/ids.hpp"
#include "dataflow/kv_pages.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::actors {

class kv_archive;
class metrics_board;

// One round of book-keeping, done in the order of the fields. Sequences that are not open (any
// more) are skipped: a restart in between has forgotten them.
struct page_round {
  struct commit {
    dataflow::sequence_id id = 0;
    std::vector<int32_t> computed; // the next tokens whose keys and values are in the pages
  };
  struct opening {
    dataflow::sequence_id id = 0;
    std::vector<int32_t> tokens;
    std::string salt;
    uint64_t weight_version = 0;
    bool reuse = true;
  };
  struct extension {
    dataflow::sequence_id id = 0;
    uint32_t tokens_total = 0;
  };
  std::vector<commit> commits;
  std::vector<dataflow::sequence_id> closes;
  std::vector<opening> openings;
  std::vector<extension> extensions;

  bool empty() const {
    return closes.empty() && commits.empty() && openings.empty() && extensions.empty();
  }
};

struct page_round_result {
  struct table {
    dataflow::sequence_id id = 0;
    std::vector<uint32_t> pages;
  };
  struct opened {
    dataflow::sequence_id id = 0;
    status why; // ok, or why it cannot be opened
    uint32_t cached_tokens = 0;
  };
  std::vector<table> tables;                       // page tables that changed
  std::vector<opened> openings;                    // one per opening asked for, in order
  std::vector<dataflow::sequence_id> not_extended; // for want of pages
  uint32_t pages_available = 0;
};

// Answered to the sequencer with `pages_updated`.
struct update_pages {
  uint64_t epoch = 0;
  uint64_t round = 0;
  local_ref<page_round> work;
};

// Pages of these tokens that are on the disk and not in memory should be cached. `done` is called
// once, whatever was found, on the manager's thread, unless the epoch ends before; must not block.
struct restore_wish {
  std::vector<int32_t> tokens;
  std::string salt;
  uint64_t weight_version = 0;
  std::function<void()> done;
  // Set by whoever wished when it waits no longer: what has not been read stays on the disk.
  std::shared_ptr<std::atomic<bool>> over;

  bool is_over() const { return over != nullptr && over->load(std::memory_order_relaxed); }
};
// From the sequencer, before it opens a sequence.
struct restore_pages {
  uint64_t epoch = 0;
  local_ref<restore_wish> wish;
};

using kv_cache_manager =
    wired_part::extend<caf::reacts_to<update_pages>, caf::reacts_to<restore_pages>>;

struct kv_cache_manager_options {
  dataflow::kv_pages_options pages;
  kv_archive* archive = nullptr;  // null: no pages are kept on a disk
  metrics_board* board = nullptr; // outlives the actor, like the archive
  uint32_t part = 0;
};

kv_cache_manager spawn_kv_cache_manager(caf::actor_system& system,
                                        const kv_cache_manager_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, update_pages& x) {
  return f(caf::meta::type_name("update_pages"), x.epoch, x.round, x.work);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, restore_pages& x) {
  return f(caf::meta::type_name("restore_pages"), x.epoch, x.wish);
}

} // namespace troupe::actors
