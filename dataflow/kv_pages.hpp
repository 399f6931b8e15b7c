// Page table and prefix index of one node: which sequence holds which KV pages, which full pages
// are kept for reuse, and which go first when room is needed. It moves numbers only; the bytes of
// page p lie in the attention stages.
//
// A page is free, private to one sequence, or indexed: full, and found by later sequences through
// the chain of everything before it (salt, weight version, all tokens). Hashes only narrow the
// search; the tokens are compared, so a collision never shares a wrong page. Indexed pages form
// trees. The pages of a sequence start with a path from a root, so a page in use never hangs below
// an unused one and every unused indexed page can be evicted, children first.
//
// Equal chains have equal bytes (the numerics contract), so when a sequence completes a page that
// is already indexed it moves over to that page and its own becomes free.
#pragma once

#include "base/status.hpp"
#include "dataflow/eviction.hpp"
#include "dataflow/ids.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::dataflow {

struct kv_pages_options {
  uint32_t page_count = 0;
  uint32_t page_tokens = 16;
  uint32_t hash_bits = 64; // tests narrow it to force collisions
  eviction_policy eviction = eviction_policy::cost;
  uint32_t attention_positions = 0; // see eviction_options
};

struct open_sequence_args {
  sequence_id id = 0;
  std::span<const int32_t>
      tokens{};            // everything known: prompt, after a preemption also the answer so far
  std::string_view salt{}; // sequences share pages only within one salt …
  uint64_t weight_version = 0; // … and one version of the weights
  bool reuse = true;    // look for cached pages (not when prompt log-probabilities are asked)
  bool remember = true; // enter full pages into the index for others
  bool counts = true;   // in the statistics, and as a use of the pages
};

struct opened_sequence {
  uint32_t cached_tokens = 0; // need no computing; a multiple of page_tokens, fewer than all tokens
  std::vector<uint32_t> pages; // that hold them
};

struct kv_pages_stats {
  uint32_t pages_total = 0;
  uint32_t pages_used = 0;   // held by open sequences
  uint32_t pages_cached = 0; // indexed, held by nobody
  uint32_t pages_free = 0;
  uint64_t queries_tokens = 0; // looked up so far
  uint64_t hit_tokens = 0;     // of these found
  uint64_t evictions = 0;      // pages given up for room
  uint64_t evicted_unused = 0; // of these never used but by the sequence that computed them
  uint64_t dropped = 0;        // pages forgotten by drop_cached()
};

class kv_pages {
public:
  explicit kv_pages(const kv_pages_options& options);

  // Takes references on the longest cached chain of full pages, never all of `tokens`: the last one
  // is always computed. Takes no new page. Fails with `exhausted` when `tokens` can never fit, and
  // with `invalid_argument` when there are none. The id must not be open.
  result<opened_sequence> open(const open_sequence_args& args);

  // How many leading pages of `tokens` are cached or in use. Takes nothing.
  uint32_t cached_pages(const open_sequence_args& args) const;

  // Makes sure the sequence has pages for its first tokens_total tokens. Takes free pages, then
  // evicts cached ones in the order of the policy, children before parents. `exhausted` changes
  // nothing.
  status extend(sequence_id id, uint32_t tokens_total);

  // The next tokens of the sequence that have been computed into its pages; the first call
  // continues at cached_tokens. True when pages(id) changed because an equal page was already
  // there: the sequence's later steps must use the new table (steps already under way may finish on
  // the old one, as long as every stage runs steps in order).
  [[nodiscard]] bool commit(sequence_id id, std::span<const int32_t> computed);

  // In position order; valid until the next call that changes this sequence.
  std::span<const uint32_t> pages(sequence_id id) const;
  // Tokens that are in the pages: cached or committed.
  uint32_t computed_tokens(sequence_id id) const;
  bool is_open(sequence_id id) const;

  // Drops the sequence's references: indexed pages stay cached, the others become free.
  void close(sequence_id id);

  // Evicts every page that nobody holds.
  void drop_cached();

  uint32_t page_tokens() const { return options_.page_tokens; }
  // Pages that extend() could hand out: free or evictable.
  uint32_t available() const { return static_cast<uint32_t>(free_.size()) + cached_; }
  kv_pages_stats stats() const;

  // Ends the process when the books do not balance. Slow: for tests.
  void check_invariants() const;

private:
  static constexpr uint32_t none = UINT32_MAX;
  enum class page_state : uint8_t { free, owned, indexed };

  struct page {
    page_state state = page_state::free;
    uint32_t references = 0; // open sequences that hold it
    uint32_t parent = none;  // indexed: the page before it in the chain
    uint32_t children = 0;   // indexed pages whose parent this is
    uint32_t bucket_next = none;
    uint64_t hash = 0;
    page_history history;        // indexed
    eviction_rank rank;          // since the last release
    uint64_t weight_version = 0; // of a chain's first page
    std::string salt;            // of a chain's first page
    std::vector<int32_t> tokens; // indexed: exactly page_tokens
  };

  struct sequence {
    std::string salt;
    uint64_t weight_version = 0;
    bool remember = true;
    bool counts = true;
    uint32_t turn = 1; // of the pages it computes
    std::vector<uint32_t> pages;
    uint32_t indexed = 0;         // leading pages that are in the index
    uint32_t computed = 0;        // tokens
    std::vector<int32_t> partial; // computed tokens behind the last full page
  };

  // What identifies one page of a chain.
  struct chain_key {
    uint32_t parent;
    std::string_view salt;
    uint64_t weight_version;
    std::span<const int32_t> tokens;
  };

  sequence& find(sequence_id id);
  const sequence& find(sequence_id id) const;
  uint64_t hash_of(const chain_key& key) const;
  uint32_t lookup(const chain_key& key, uint64_t hash) const;
  void insert(uint32_t at, const chain_key& key, uint64_t hash);
  void forget(uint32_t at);
  void evict();
  uint32_t take_page();
  void hold(uint32_t at, bool counts);
  void release(uint32_t at);
  bool complete_page(sequence& s);

  kv_pages_options options_;
  std::vector<page> pages_;
  std::vector<uint32_t> buckets_; // heads of the chains through bucket_next
  std::vector<uint32_t> free_;    // a stack
  // Indexed pages without holder and without children: first goes first.
  std::set<std::pair<eviction_rank, uint32_t>> leaves_;
  eviction_order order_;
  std::map<sequence_id, sequence> sequences_;
  uint32_t cached_ = 0; // indexed pages that nobody holds
  uint64_t tick_ = 0;
  uint64_t queries_tokens_ = 0;
  uint64_t hit_tokens_ = 0;
  uint64_t evictions_ = 0;
  uint64_t evicted_unused_ = 0;
  uint64_t dropped_ = 0;
};

} // namespace troupe::dataflow
