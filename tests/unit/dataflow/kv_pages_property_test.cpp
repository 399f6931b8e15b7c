// Random operations on the page table, against a model that remembers what every page contains.
#include "base/random.hpp"
#include "dataflow/kv_pages.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>

namespace troupe::dataflow {
namespace {

struct scenario {
  uint64_t seed;
  uint32_t page_count;
  uint32_t page_tokens;
  uint32_t hash_bits;
  eviction_policy eviction = eviction_policy::cost;
};

// What the bytes of a page would be: everything that decides the keys and values of each slot.
using slot_content = std::optional<std::tuple<std::string, uint64_t, std::vector<int32_t>>>;

class kv_model {
public:
  explicit kv_model(const scenario& s)
      : table_({s.page_count, s.page_tokens, s.hash_bits, s.eviction, 4}),
        scenario_(s),
        slots_(size_t{s.page_count} * s.page_tokens) {}

  void step() {
    switch (below(6)) {
      case 0:
        open();
        break;
      case 1:
        close();
        break;
      case 2:
        if (below(40) == 0) table_.drop_cached();
        break;
      default:
        grow();
        break;
    }
    table_.check_invariants();
    const auto s = table_.stats();
    ASSERT_EQ(s.pages_free + s.pages_cached, table_.available());
    ASSERT_LE(s.hit_tokens, s.queries_tokens);
  }

  void finish() {
    while (!live_.empty()) close();
    ASSERT_EQ(table_.available(), scenario_.page_count);
    table_.drop_cached();
    ASSERT_EQ(table_.stats().pages_free, scenario_.page_count);
    table_.check_invariants();
  }

  uint64_t hits() const { return table_.stats().hit_tokens; }
  uint64_t evictions() const { return table_.stats().evictions; }
  uint64_t moves = 0;
  uint64_t refusals = 0;

private:
  struct sequence {
    std::vector<int32_t> tokens;
    std::string salt;
    uint64_t version;
    uint32_t computed;
  };

  uint64_t below(uint64_t bound) {
    return random_below({scenario_.seed, random_subsystem::workload, 0}, n_++, bound);
  }

  void open() {
    sequence s;
    s.tokens.resize(1 + below(scenario_.page_tokens * 4));
    for (auto& token : s.tokens) token = static_cast<int32_t>(below(2)); // many equal prefixes
    s.salt = below(4) == 0 ? "salt" : "";
    s.version = below(6) == 0;
    const auto opened = table_.open({.id = ++last_id_,
                                     .tokens = s.tokens,
                                     .salt = s.salt,
                                     .weight_version = s.version,
                                     .reuse = below(8) != 0,
                                     .remember = below(8) != 0});
    if (!opened) {
      ASSERT_EQ(opened.error().code(), status_code::exhausted);
      return;
    }
    s.computed = opened->cached_tokens;
    ASSERT_LT(s.computed, s.tokens.size());
    live_.emplace(last_id_, s);
    check_content(last_id_);
  }

  void close() {
    if (live_.empty()) return;
    const auto victim = std::next(live_.begin(), static_cast<std::ptrdiff_t>(below(live_.size())));
    table_.close(victim->first);
    live_.erase(victim);
  }

  // Computes some of the known tokens, sometimes adding new ones.
  void grow() {
    if (live_.empty()) return;
    auto& [id, s] = *std::next(live_.begin(), static_cast<std::ptrdiff_t>(below(live_.size())));
    if (s.computed == s.tokens.size()) s.tokens.push_back(static_cast<int32_t>(below(2)));
    const auto count = static_cast<uint32_t>(1 + below(s.tokens.size() - s.computed));
    const std::vector<uint32_t> before(table_.pages(id).begin(), table_.pages(id).end());
    if (!table_.extend(id, s.computed + count).ok()) {
      ++refusals;
      ASSERT_TRUE(std::equal(before.begin(), before.end(), table_.pages(id).begin(),
                             table_.pages(id).end()));
      return;
    }
    for (uint32_t n = 0; n < count; ++n, ++s.computed)
      slot(id, s.computed) = content(s, s.computed);
    moves += table_.commit(id, std::span(s.tokens).subspan(s.computed - count, count));
    ASSERT_EQ(table_.computed_tokens(id), s.computed);
    for (const auto& [other, unused] : live_) check_content(other);
  }

  slot_content& slot(sequence_id id, uint32_t position) {
    return slots_[table_.pages(id)[position / scenario_.page_tokens] * scenario_.page_tokens +
                  position % scenario_.page_tokens];
  }
  static slot_content content(const sequence& s, uint32_t position) {
    return std::tuple(s.salt, s.version,
                      std::vector<int32_t>(s.tokens.begin(), s.tokens.begin() + position + 1));
  }
  // Nobody else's step may have touched what this sequence has computed or found.
  void check_content(sequence_id id) {
    const sequence& s = live_.at(id);
    for (uint32_t at = 0; at < s.computed; ++at) ASSERT_EQ(slot(id, at), content(s, at));
  }

  kv_pages table_;
  scenario scenario_;
  std::vector<slot_content> slots_;
  std::map<sequence_id, sequence> live_;
  sequence_id last_id_ = 0;
  uint64_t n_ = 0;
};

TEST(kv_pages_property_test, every_sequence_always_finds_its_own_content_and_nothing_leaks) {
  uint64_t hits = 0;
  uint64_t evictions = 0;
  uint64_t moves = 0;
  uint64_t refusals = 0;
  const scenario scenarios[] = {{1, 7, 1, 64},
                                {2, 16, 2, 64},
                                {3, 16, 2, 3},
                                {4, 40, 3, 0},
                                {5, 5, 4, 64},
                                {6, 24, 4, 2},
                                {7, 1, 2, 64},
                                {8, 64, 2, 64},
                                {9, 16, 2, 64, eviction_policy::lru},
                                {10, 16, 2, 64, eviction_policy::lfu}};
  for (const scenario& s : scenarios) {
    kv_model model(s);
    for (int n = 0; n < 3000; ++n) {
      ASSERT_NO_FATAL_FAILURE(model.step()) << "seed " << s.seed << " step " << n;
    }
    ASSERT_NO_FATAL_FAILURE(model.finish());
    hits += model.hits();
    evictions += model.evictions();
    moves += model.moves;
    refusals += model.refusals;
  }
  // The operations reached what they were meant to reach.
  EXPECT_GT(hits, 1000u);
  EXPECT_GT(evictions, 1000u);
  EXPECT_GT(moves, 100u);
  EXPECT_GT(refusals, 100u);
}

} // namespace
} // namespace troupe::dataflow
