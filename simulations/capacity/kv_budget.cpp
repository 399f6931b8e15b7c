// The books of pages, blocks and who holds them.
#include "simulations/capacity/kv_budget.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::simulations::capacity {

kv_budget::kv_budget(const kv_budget_options& options)
    : options_(options), block_pages_(options.blocks.block_tokens / options.page_tokens) {
  TROUPE_CHECK(options.blocks.block_tokens % options.page_tokens == 0);
}

uint32_t kv_budget::open(uint32_t id, const trace_request& request, uint32_t tokens) {
  TROUPE_CHECK(tokens > 0);
  const auto [at, added] = sequences_.try_emplace(id, sequence{&request, 0, 0});
  TROUPE_CHECK(added);
  queried_ += tokens;
  if (!options_.remember) return 0;
  sequence& s = at->second;
  while ((s.blocks + 1) * options_.blocks.block_tokens < tokens) {
    const uint64_t next = block_id(options_.blocks, request, s.blocks);
    if (index_.count(next) == 0) break;
    hold(next);
    ++s.blocks;
  }
  const uint32_t cached = s.blocks * options_.blocks.block_tokens;
  hits_ += cached;
  return cached;
}

bool kv_budget::extend(uint32_t id, uint32_t tokens) {
  sequence& s = sequences_.at(id);
  const uint64_t needed = (tokens + options_.page_tokens - 1) / options_.page_tokens;
  const uint64_t has = s.blocks * block_pages_ + s.pages;
  if (needed <= has) return true;
  if (needed - has > available()) return false;
  make_room(needed - has);
  s.pages += needed - has;
  held_ += needed - has;
  return true;
}

void kv_budget::commit(uint32_t id, uint32_t tokens) {
  if (!options_.remember) return;
  sequence& s = sequences_.at(id);
  while ((s.blocks + 1) * options_.blocks.block_tokens <= tokens) {
    TROUPE_CHECK(s.pages >= block_pages_);
    s.pages -= block_pages_; // they become the block's, or free when it is there already
    held_ -= block_pages_;
    const uint64_t next = block_id(options_.blocks, *s.request, s.blocks);
    if (const auto [at, added] = index_.try_emplace(next); added) {
      at->second.holders = 1;
      held_ += block_pages_;
    } else {
      hold(next);
    }
    ++s.blocks;
  }
}

void kv_budget::close(uint32_t id) {
  const auto at = sequences_.find(id);
  TROUPE_CHECK(at != sequences_.end());
  const sequence& s = at->second;
  held_ -= s.pages;
  for (uint32_t n = s.blocks; n-- > 0;) { // the last first, so that it is also evicted first
    const uint64_t name = block_id(options_.blocks, *s.request, n);
    block& each = index_.at(name);
    if (--each.holders > 0) continue;
    each.released_at = ++tick_;
    unheld_.emplace(each.released_at, name);
    held_ -= block_pages_;
  }
  sequences_.erase(at);
}

void kv_budget::clear() {
  TROUPE_CHECK(sequences_.empty());
  index_.clear();
  unheld_.clear();
}

void kv_budget::hold(uint64_t id) {
  block& each = index_.at(id);
  if (each.holders++ > 0) return;
  unheld_.erase({each.released_at, id});
  held_ += block_pages_;
}

void kv_budget::make_room(uint64_t pages) {
  while (free_pages() < pages) {
    TROUPE_CHECK(!unheld_.empty());
    index_.erase(unheld_.begin()->second);
    unheld_.erase(unheld_.begin());
  }
}

void kv_budget::check_invariants() const {
  uint64_t held = 0;
  std::map<uint64_t, uint32_t> holders;
  for (const auto& [id, s] : sequences_) {
    held += s.pages;
    for (uint32_t n = 0; n < s.blocks; ++n) ++holders[block_id(options_.blocks, *s.request, n)];
  }
  held += holders.size() * block_pages_;
  TROUPE_CHECK(held == held_ && held_ <= options_.pages);
  TROUPE_CHECK(holders.size() + unheld_.size() == index_.size());
  for (const auto& [id, count] : holders) TROUPE_CHECK(index_.at(id).holders == count);
  TROUPE_CHECK(held_ + unheld_.size() * block_pages_ <= options_.pages);
}

} // namespace troupe::simulations::capacity
