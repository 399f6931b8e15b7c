// KV pages by count: a stand-in for dataflow::kv_pages, which compares token ids that a trace does
// not have. Same rules for admission, growth and eviction (least recently used first, children
// before parents); what differs is that prompts are shared in whole blocks of the trace and not in
// pages.
#pragma once

#include "simulations/capacity/trace.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace troupe::simulations::capacity {

struct kv_budget_options {
  uint64_t pages = 0;
  uint32_t page_tokens = 16;
  session_shape blocks;
  bool remember = true; // blocks of closed sequences are kept while there is room
};

class kv_budget {
public:
  explicit kv_budget(const kv_budget_options& options);

  // Cached tokens, fewer than all. `id` must not be open; `request` must outlive it.
  uint32_t open(uint32_t id, const trace_request& request, uint32_t tokens);
  // False changes nothing.
  bool extend(uint32_t id, uint32_t tokens);
  // So many tokens of the sequence are in its pages now.
  void commit(uint32_t id, uint32_t tokens);
  void close(uint32_t id);
  // Everything is lost. Nothing may be open.
  void clear();

  uint64_t pages() const { return options_.pages; }
  uint64_t available() const { return options_.pages - held_; }
  uint64_t used() const { return held_; } // by open sequences
  uint64_t queried_tokens() const { return queried_; }
  uint64_t hit_tokens() const { return hits_; }
  // Ends the process when the books do not balance. Slow: for tests.
  void check_invariants() const;

private:
  struct sequence {
    const trace_request* request = nullptr;
    uint32_t blocks = 0; // leading ones, held in the index
    uint64_t pages = 0;  // of its own
  };
  struct block {
    uint32_t holders = 0;
    uint64_t released_at = 0;
  };

  uint64_t free_pages() const { return options_.pages - held_ - unheld_.size() * block_pages_; }
  void hold(uint64_t id);
  void make_room(uint64_t pages);

  kv_budget_options options_;
  uint64_t block_pages_;
  std::map<uint32_t, sequence> sequences_;
  std::map<uint64_t, block> index_;
  std::set<std::pair<uint64_t, uint64_t>> unheld_; // released_at, block: first goes first
  uint64_t held_ = 0;                              // pages, private or in held blocks
  uint64_t tick_ = 0;
  uint64_t queried_ = 0, hits_ = 0;
};

} // namespace troupe::simulations::capacity
