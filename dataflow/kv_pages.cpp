// The page table's books: references, chains of pages and who is evicted next.
#include "dataflow/kv_pages.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <bit>

namespace troupe::dataflow {
namespace {

// The finaliser of splitmix64: every bit of the input reaches every bit of the output.
uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint32_t pages_for(uint64_t tokens, uint32_t page_tokens) {
  return static_cast<uint32_t>((tokens + page_tokens - 1) / page_tokens);
}

} // namespace

kv_pages::kv_pages(const kv_pages_options& options)
    : options_(options),
      order_({.policy = options.eviction,
              .attention_positions = options.attention_positions,
              .remembered_max = options.page_count}) {
  TROUPE_CHECK(options_.page_count > 0 && options_.page_count < none);
  TROUPE_CHECK(options_.page_tokens > 0);
  TROUPE_CHECK(options_.hash_bits <= 64);
  pages_.resize(options_.page_count);
  buckets_.assign(std::bit_ceil(options_.page_count), none);
  free_.reserve(options_.page_count);
  for (uint32_t at = options_.page_count; at-- > 0;) free_.push_back(at); // low numbers go first
}

result<opened_sequence> kv_pages::open(const open_sequence_args& args) {
  TROUPE_CHECK(!is_open(args.id));
  if (args.tokens.empty()) return fail(status_code::invalid_argument, "a sequence without tokens");
  const uint64_t pages_needed =
      (args.tokens.size() + options_.page_tokens - 1) / options_.page_tokens;
  if (pages_needed > options_.page_count)
    return fail(status_code::exhausted,
                text("a sequence of ", args.tokens.size(), " tokens needs ", pages_needed,
                     " KV pages of ", options_.page_tokens, " tokens; there are ",
                     options_.page_count, ": ask for fewer tokens or configure more KV memory"));
  sequence s;
  s.salt = args.salt;
  s.weight_version = args.weight_version;
  s.remember = args.remember;
  s.counts = args.counts;
  if (args.reuse) {
    if (s.counts) queries_tokens_ += args.tokens.size();
    const size_t pages_max = (args.tokens.size() - 1) / options_.page_tokens;
    uint32_t parent = none;
    while (s.pages.size() < pages_max) {
      const chain_key key{
          parent, args.salt, args.weight_version,
          args.tokens.subspan(s.pages.size() * options_.page_tokens, options_.page_tokens)};
      parent = lookup(key, hash_of(key));
      if (parent == none) break;
      hold(parent, s.counts);
      s.pages.push_back(parent);
    }
    s.indexed = static_cast<uint32_t>(s.pages.size());
    s.computed = s.indexed * options_.page_tokens;
    if (s.indexed > 0) s.turn = pages_[s.pages.back()].history.turn + 1;
    if (s.counts) hit_tokens_ += s.computed;
  }
  opened_sequence opened{s.computed, s.pages};
  sequences_.emplace(args.id, std::move(s));
  return opened;
}

uint32_t kv_pages::cached_pages(const open_sequence_args& args) const {
  uint32_t found = 0;
  uint32_t parent = none;
  for (size_t at = 0; at + options_.page_tokens <= args.tokens.size();
       at += options_.page_tokens, ++found) {
    const chain_key key{parent, args.salt, args.weight_version,
                        args.tokens.subspan(at, options_.page_tokens)};
    parent = lookup(key, hash_of(key));
    if (parent == none) break;
  }
  return found;
}

status kv_pages::extend(sequence_id id, uint32_t tokens_total) {
  sequence& s = find(id);
  const uint32_t wanted = pages_for(tokens_total, options_.page_tokens);
  if (wanted <= s.pages.size()) return {};
  const uint32_t missing = wanted - static_cast<uint32_t>(s.pages.size());
  if (missing > available())
    return {status_code::exhausted, text("sequence ", id, " needs ", missing, " more KV pages; ",
                                         available(), " of ", options_.page_count, " are left")};
  for (uint32_t n = 0; n < missing; ++n) s.pages.push_back(take_page());
  return {};
}

bool kv_pages::commit(sequence_id id, std::span<const int32_t> computed) {
  sequence& s = find(id);
  TROUPE_CHECK(s.computed + computed.size() <= s.pages.size() * size_t{options_.page_tokens});
  s.computed += static_cast<uint32_t>(computed.size());
  if (!s.remember) return false;
  bool changed = false;
  while (!computed.empty()) {
    const size_t taken = std::min(computed.size(), options_.page_tokens - s.partial.size());
    s.partial.insert(s.partial.end(), computed.begin(),
                     computed.begin() + static_cast<std::ptrdiff_t>(taken));
    computed = computed.subspan(taken);
    if (s.partial.size() == options_.page_tokens) changed |= complete_page(s);
  }
  return changed;
}

// Enters the sequence's first page that is not indexed, or moves over to its equal. True when
// moved.
bool kv_pages::complete_page(sequence& s) {
  uint32_t& at = s.pages[s.indexed];
  const uint32_t parent = s.indexed == 0 ? none : s.pages[s.indexed - 1];
  const chain_key key{parent, s.salt, s.weight_version, s.partial};
  const uint64_t hash = hash_of(key);
  const uint32_t equal = lookup(key, hash);
  if (equal == none) {
    insert(at, key, hash);
    pages_[at].history = {.uses = order_.computed(hash),
                          .turn = s.turn,
                          .position = s.indexed * options_.page_tokens};
  } else {
    hold(equal, s.counts);
    release(at);
    at = equal;
  }
  ++s.indexed;
  s.partial.clear();
  return equal != none;
}

std::span<const uint32_t> kv_pages::pages(sequence_id id) const {
  return find(id).pages;
}

uint32_t kv_pages::computed_tokens(sequence_id id) const {
  return find(id).computed;
}

bool kv_pages::is_open(sequence_id id) const {
  return sequences_.count(id) != 0;
}

void kv_pages::close(sequence_id id) {
  sequence& s = find(id);
  ++tick_;
  for (size_t n = s.pages.size(); n-- > 0;) release(s.pages[n]);
  sequences_.erase(id);
}

void kv_pages::drop_cached() {
  while (!leaves_.empty()) {
    ++dropped_;
    forget(leaves_.begin()->second);
  }
}

kv_pages_stats kv_pages::stats() const {
  kv_pages_stats s;
  s.pages_total = options_.page_count;
  s.pages_free = static_cast<uint32_t>(free_.size());
  s.pages_cached = cached_;
  s.pages_used = s.pages_total - s.pages_free - s.pages_cached;
  s.queries_tokens = queries_tokens_;
  s.hit_tokens = hit_tokens_;
  s.evictions = evictions_;
  s.evicted_unused = evicted_unused_;
  s.dropped = dropped_;
  return s;
}

kv_pages::sequence& kv_pages::find(sequence_id id) {
  const auto entry = sequences_.find(id);
  TROUPE_CHECK(entry != sequences_.end());
  return entry->second;
}

const kv_pages::sequence& kv_pages::find(sequence_id id) const {
  const auto entry = sequences_.find(id);
  TROUPE_CHECK(entry != sequences_.end());
  return entry->second;
}

uint64_t kv_pages::hash_of(const chain_key& key) const {
  uint64_t hash = 0;
  if (key.parent != none) {
    hash = pages_[key.parent].hash;
  } else {
    hash = mix(key.weight_version + 0x9e3779b97f4a7c15u);
    for (const char c : key.salt) hash = mix(hash ^ static_cast<unsigned char>(c)) + 1;
  }
  for (const int32_t token : key.tokens) hash = mix(hash + static_cast<uint32_t>(token)) + 1;
  if (options_.hash_bits == 64) return hash;
  return hash & ((uint64_t{1} << options_.hash_bits) - 1);
}

uint32_t kv_pages::lookup(const chain_key& key, uint64_t hash) const {
  uint32_t at = buckets_[hash & (buckets_.size() - 1)];
  for (; at != none; at = pages_[at].bucket_next) {
    const page& p = pages_[at];
    if (p.hash != hash || p.parent != key.parent) continue;
    // An equal parent is the same chain up to here; only a first page says where it belongs.
    if (key.parent == none && (p.weight_version != key.weight_version || p.salt != key.salt))
      continue;
    if (std::equal(p.tokens.begin(), p.tokens.end(), key.tokens.begin(), key.tokens.end())) break;
  }
  return at;
}

void kv_pages::insert(uint32_t at, const chain_key& key, uint64_t hash) {
  page& p = pages_[at];
  TROUPE_CHECK(p.state == page_state::owned && p.references == 1);
  p.state = page_state::indexed;
  p.parent = key.parent;
  p.hash = hash;
  p.tokens.assign(key.tokens.begin(), key.tokens.end());
  if (key.parent == none) {
    p.weight_version = key.weight_version;
    p.salt = key.salt;
  } else {
    ++pages_[key.parent].children;
  }
  uint32_t& head = buckets_[hash & (buckets_.size() - 1)];
  p.bucket_next = head;
  head = at;
}

// The first of the order goes, to make room.
void kv_pages::evict() {
  const auto [rank, at] = *leaves_.begin();
  const page& p = pages_[at];
  order_.gave_up(rank, p.history, p.hash);
  ++evictions_;
  if (p.history.uses == 1) ++evicted_unused_;
  forget(at);
}

void kv_pages::forget(uint32_t at) {
  page& p = pages_[at];
  TROUPE_CHECK(p.state == page_state::indexed && p.references == 0 && p.children == 0);
  leaves_.erase({p.rank, at});
  --cached_;
  uint32_t* link = &buckets_[p.hash & (buckets_.size() - 1)];
  while (*link != at) link = &pages_[*link].bucket_next;
  *link = p.bucket_next;
  if (p.parent != none) {
    page& parent = pages_[p.parent];
    if (--parent.children == 0 && parent.references == 0) leaves_.insert({parent.rank, p.parent});
  }
  p.state = page_state::free;
  p.parent = none;
  p.bucket_next = none;
  p.salt.clear();
  p.tokens.clear();
  free_.push_back(at);
}

uint32_t kv_pages::take_page() {
  if (free_.empty()) evict();
  const uint32_t at = free_.back();
  free_.pop_back();
  pages_[at].state = page_state::owned;
  pages_[at].references = 1;
  return at;
}

// One more sequence holds an indexed page.
void kv_pages::hold(uint32_t at, bool counts) {
  page& p = pages_[at];
  TROUPE_CHECK(p.state == page_state::indexed);
  const bool was_cached = p.references++ == 0;
  if (counts) {
    if (was_cached) order_.used_again(p.history);
    if (p.history.uses < UINT32_MAX) ++p.history.uses;
  }
  if (!was_cached) return;
  --cached_;
  if (p.children == 0) leaves_.erase({p.rank, at});
}

void kv_pages::release(uint32_t at) {
  page& p = pages_[at];
  TROUPE_CHECK(p.references > 0);
  if (--p.references > 0) return;
  if (p.state == page_state::owned) {
    p.state = page_state::free;
    free_.push_back(at);
    return;
  }
  p.history.used_at = tick_;
  p.rank = order_.rank(p.history);
  ++cached_;
  if (p.children == 0) leaves_.insert({p.rank, at});
}

void kv_pages::check_invariants() const {
  std::vector<uint32_t> references(pages_.size(), 0);
  for (const auto& [id, s] : sequences_) {
    TROUPE_CHECK(s.indexed <= s.pages.size());
    TROUPE_CHECK(s.computed <= s.pages.size() * size_t{options_.page_tokens});
    TROUPE_CHECK(!s.remember || s.computed == s.indexed * options_.page_tokens + s.partial.size());
    for (uint32_t n = 0; n < s.pages.size(); ++n) {
      const page& p = pages_[s.pages[n]];
      ++references[s.pages[n]];
      TROUPE_CHECK(p.state == (n < s.indexed ? page_state::indexed : page_state::owned));
      if (n < s.indexed) TROUPE_CHECK(p.parent == (n == 0 ? none : s.pages[n - 1]));
    }
  }
  std::vector<uint32_t> children(pages_.size(), 0);
  uint32_t count[3] = {0, 0, 0};
  uint32_t cached = 0;
  size_t leaves = 0;
  for (uint32_t at = 0; at < pages_.size(); ++at) {
    const page& p = pages_[at];
    ++count[static_cast<size_t>(p.state)];
    TROUPE_CHECK(p.references == references[at]);
    TROUPE_CHECK(p.state != page_state::owned || p.references == 1);
    if (p.state != page_state::indexed) continue;
    TROUPE_CHECK(p.tokens.size() == options_.page_tokens);
    if (p.parent != none) {
      ++children[p.parent];
      TROUPE_CHECK(pages_[p.parent].state == page_state::indexed);
      TROUPE_CHECK(pages_[p.parent].references >= p.references);
    }
    const chain_key key{p.parent, p.salt, p.weight_version, p.tokens};
    TROUPE_CHECK(lookup(key, p.hash) == at);
    if (p.references > 0) continue;
    ++cached;
    if (p.children > 0) continue;
    ++leaves;
    TROUPE_CHECK(leaves_.count({p.rank, at}) == 1);
  }
  for (uint32_t at = 0; at < pages_.size(); ++at) TROUPE_CHECK(pages_[at].children == children[at]);
  TROUPE_CHECK(count[0] == free_.size());
  TROUPE_CHECK(cached == cached_ && leaves == leaves_.size());
  for (const uint32_t at : free_) TROUPE_CHECK(pages_[at].state == page_state::free);
  TROUPE_CHECK(std::set<uint32_t>(free_.begin(), free_.end()).size() == free_.size());
}

} // namespace troupe::dataflow
