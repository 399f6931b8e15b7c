// Random traffic through the batcher together with the page table, as a sequencer would drive them:
// every sequence ends, every token is computed in order, bounds hold at every step.
#include "base/random.hpp"
#include "dataflow/batcher.hpp"
#include "dataflow/kv_pages.hpp"

#include <gtest/gtest.h>

#include <map>

namespace troupe::dataflow {
namespace {

struct scenario {
  uint64_t seed;
  batcher_limits limits;
  uint32_t page_count;
  uint32_t sequences;
};

class traffic {
public:
  explicit traffic(const scenario& s)
      : scenario_(s), batcher_(s.limits), pages_({s.page_count, page_tokens, 64}) {}

  void run() {
    uint32_t idle = 0;
    while (finished_ < scenario_.sequences) {
      arrive();
      ASSERT_NO_FATAL_FAILURE(step());
      idle = plan_.entries.empty() ? idle + 1 : 0;
      ASSERT_LT(idle, 100u) << "no progress";
      ASSERT_LT(++steps, 200000u);
    }
    ASSERT_EQ(batcher_.running() + batcher_.waiting(), 0u);
    ASSERT_EQ(pages_.available(), scenario_.page_count);
  }

  uint64_t steps = 0;
  uint64_t preemptions = 0;
  uint64_t hash = 0; // of all decisions

private:
  static constexpr uint32_t page_tokens = 4;

  struct sequence {
    std::vector<int32_t> tokens;
    uint32_t prompt = 0;
    uint32_t length = 0; // at which it ends
    uint32_t computed = 0;
    bool running = false;
  };

  uint64_t below(uint64_t bound) {
    return random_below({scenario_.seed, random_subsystem::workload, 0}, n_++, bound);
  }

  void arrive() {
    if (arrived_ == scenario_.sequences || below(3) == 0) return;
    if (batcher_.queue_room() == 0) return;
    sequence s;
    s.tokens.resize(1 + below(30));
    for (auto& token : s.tokens) token = static_cast<int32_t>(below(2));
    s.prompt = static_cast<uint32_t>(s.tokens.size());
    s.length = s.prompt + static_cast<uint32_t>(1 + below(20));
    const sequence_id id = ++arrived_;
    ASSERT_TRUE(batcher_
                    .admit({.id = id,
                            .prompt_tokens = s.prompt,
                            .priority = static_cast<int32_t>(below(3)),
                            .arrived = time_point{} + duration(steps),
                            .gang = below(2)})
                    .ok());
    live_.emplace(id, std::move(s));
  }

  step_room room() const {
    return {.now = time_point{} + duration(steps),
            .kv_pages = pages_.available(),
            .page_tokens = page_tokens};
  }

  void step() {
    for (;;) {
      batcher_.plan_starts(room(), plan_);
      if (plan_.starts.empty()) break;
      for (const sequence_id id : plan_.starts) ASSERT_NO_FATAL_FAILURE(start(id));
    }
    batcher_.plan_rows(plan_);
    make_room();
    check_plan();
    for (const step_entry& e : plan_.entries) ASSERT_NO_FATAL_FAILURE(compute(e));
    if (!live_.empty() && below(50) == 0) cancel();
    batcher_.check_invariants();
    pages_.check_invariants();
  }

  void start(sequence_id id) {
    sequence& s = live_.at(id);
    ASSERT_FALSE(s.running);
    const auto opened = pages_.open({.id = id, .tokens = s.tokens});
    ASSERT_TRUE(opened.has_value());
    batcher_.on_started(id, opened->cached_tokens);
    s.computed = opened->cached_tokens;
    s.running = true;
  }

  // As the header of the batcher describes it.
  void make_room() {
    for (size_t n = 0; n < plan_.entries.size();) {
      const step_entry entry = plan_.entries[n];
      bool dropped = false;
      while (!dropped && !pages_.extend(entry.sequence, entry.begin + entry.count).ok()) {
        const auto victim = batcher_.choose_victim();
        ASSERT_TRUE(victim.has_value());
        ASSERT_GT(batcher_.running(), 1u); // a lone sequence always fits here
        pages_.close(*victim);
        batcher_.on_preempted(*victim);
        live_.at(*victim).running = false;
        ++preemptions;
        size_t before = 0;
        for (size_t m = 0; m < n; ++m) before += plan_.entries[m].sequence == *victim;
        plan_.remove(*victim);
        n -= before;
        dropped = *victim == entry.sequence;
      }
      if (!dropped) ++n;
    }
  }

  void check_plan() {
    uint32_t tokens = 0;
    std::map<sequence_id, int> seen;
    for (const step_entry& e : plan_.entries) {
      tokens += e.count;
      ASSERT_EQ(seen[e.sequence]++, 0);
      ASSERT_GT(e.count, 0u);
      ASSERT_LE(e.count, scenario_.limits.prefill_chunk_max);
      hash = (hash ^ (e.sequence * 1000003 + e.begin * 1009 + e.count)) * 0x9e3779b97f4a7c15u;
    }
    ASSERT_EQ(tokens, plan_.tokens);
    ASSERT_LE(tokens, scenario_.limits.tokens_max);
    if (const uint32_t most = scenario_.limits.max_batch_size; most > 0) {
      ASSERT_LE(plan_.entries.size(), most);
    }
    ASSERT_LE(batcher_.running(), scenario_.limits.sequences_max);
  }

  void compute(const step_entry& e) {
    sequence& s = live_.at(e.sequence);
    ASSERT_EQ(e.begin, s.computed);
    ASSERT_LE(e.begin + e.count, s.tokens.size());
    ASSERT_EQ(e.wants_logits, e.begin + e.count == s.tokens.size());
    (void)pages_.commit(e.sequence, std::span(s.tokens).subspan(e.begin, e.count));
    s.computed += e.count;
    batcher_.on_computed(e.sequence, e.count);
    if (!e.wants_logits) return;
    s.tokens.push_back(static_cast<int32_t>(below(2)));
    if (s.tokens.size() >= s.length) return finish(e.sequence);
    batcher_.on_sampled(e.sequence);
    ASSERT_EQ(batcher_.known_tokens(e.sequence), s.tokens.size());
  }

  void cancel() {
    finish(std::next(live_.begin(), static_cast<std::ptrdiff_t>(below(live_.size())))->first);
  }
  void finish(sequence_id id) {
    if (live_.at(id).running) pages_.close(id);
    batcher_.remove(id);
    live_.erase(id);
    ++finished_;
  }

  scenario scenario_;
  batcher batcher_;
  kv_pages pages_;
  step_plan plan_;
  std::map<sequence_id, sequence> live_;
  uint32_t arrived_ = 0;
  uint32_t finished_ = 0;
  uint64_t n_ = 0;
};

const scenario scenarios[] = {
    {1, {.tokens_max = 16, .sequences_max = 8, .queue_max = 20, .prefill_chunk_max = 8}, 100, 300},
    {2,
     {.tokens_max = 16,
      .sequences_max = 8,
      .queue_max = 20,
      .prefill_chunk_max = 8,
      .mixed_prefill_max = 2},
     20,
     300},
    {3, {.tokens_max = 7, .sequences_max = 12, .queue_max = 9, .prefill_chunk_max = 3}, 16, 300},
    {4, {.tokens_max = 1, .sequences_max = 3, .queue_max = 5, .prefill_chunk_max = 1}, 16, 60},
    {5,
     {.tokens_max = 32,
      .sequences_max = 16,
      .queue_max = 50,
      .prefill_chunk_max = 32,
      .max_batch_size = 3},
     30,
     300},
    {6,
     {.tokens_max = 32,
      .sequences_max = 16,
      .queue_max = 50,
      .prefill_chunk_max = 5,
      .max_batch_size = 1},
     40,
     100},
    {7,
     {.tokens_max = 64,
      .sequences_max = 4,
      .queue_max = 50,
      .prefill_chunk_max = 64,
      .max_batch_size = 8,
      .max_wait = duration(5)},
     13,
     300},
};

TEST(batcher_property_test, every_sequence_ends_whatever_the_limits) {
  uint64_t preemptions = 0;
  for (const scenario& s : scenarios) {
    traffic t(s);
    ASSERT_NO_FATAL_FAILURE(t.run()) << "seed " << s.seed;
    preemptions += t.preemptions;
  }
  EXPECT_GT(preemptions, 20u); // memory was short
}

TEST(batcher_property_test, equal_traffic_gives_equal_decisions) {
  for (const scenario& s : scenarios) {
    traffic first(s);
    traffic second(s);
    first.run();
    second.run();
    EXPECT_EQ(first.hash, second.hash);
    EXPECT_EQ(first.steps, second.steps);
  }
}

} // namespace
} // namespace troupe::dataflow
