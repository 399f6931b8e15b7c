// The batcher: order of service, chunks, budgets, deadlines, company, gangs and preemption.
#include "dataflow/batcher.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using ids = std::vector<sequence_id>;

time_point at(int64_t ms) {
  return time_point{} + milliseconds(ms);
}

// "id@begin+count", with "!" where logits are wanted.
std::vector<std::string> show(const step_plan& plan) {
  std::vector<std::string> out;
  for (const step_entry& e : plan.entries)
    out.push_back(std::to_string(e.sequence) + "@" + std::to_string(e.begin) + "+" +
                  std::to_string(e.count) + (e.wants_logits ? "!" : ""));
  return out;
}
using rows = std::vector<std::string>;

class batcher_test : public testing::Test {
protected:
  batcher make(batcher_limits limits) { return batcher(limits); }

  void add(batcher& b, sequence_id id, uint32_t prompt_tokens, sequence_arrival more = {}) {
    more.id = id;
    more.prompt_tokens = prompt_tokens;
    more.arrived = at(static_cast<int64_t>(id));
    ASSERT_TRUE(b.admit(more).ok());
  }

  // A whole step; everything that wants logits gets a token.
  rows step(batcher& b, step_room room = {}) {
    started.clear();
    dropped.clear();
    if (room.now == time_point{}) room.now = at(1000);
    for (;;) {
      b.plan_starts(room, plan);
      dropped.insert(dropped.end(), plan.dropped.begin(), plan.dropped.end());
      if (plan.starts.empty()) break;
      started.insert(started.end(), plan.starts.begin(), plan.starts.end());
      for (const sequence_id id : plan.starts) b.on_started(id, 0);
    }
    b.plan_rows(plan);
    finish(b);
    b.check_invariants();
    return show(plan);
  }
  void finish(batcher& b) {
    for (const step_entry& e : plan.entries) {
      b.on_computed(e.sequence, e.count);
      if (e.wants_logits) b.on_sampled(e.sequence);
    }
  }

  step_plan plan;
  ids started;
  ids dropped;
};

TEST_F(batcher_test, computes_a_prompt_in_chunks_and_then_one_token_a_step) {
  batcher b = make({.tokens_max = 100, .prefill_chunk_max = 4});
  add(b, 1, 10);
  EXPECT_EQ(step(b), (rows{"1@0+4"}));
  EXPECT_EQ(step(b), (rows{"1@4+4"}));
  EXPECT_EQ(step(b), (rows{"1@8+2!"}));
  EXPECT_EQ(step(b), (rows{"1@10+1!"}));
  EXPECT_EQ(step(b), (rows{"1@11+1!"}));
  EXPECT_EQ(b.known_tokens(1), 13u);
}

TEST_F(batcher_test, decodes_go_first_and_prompts_get_the_rest_of_the_budget) {
  batcher b = make({.tokens_max = 8, .prefill_chunk_max = 6});
  add(b, 1, 3);
  step(b);
  add(b, 2, 9);
  add(b, 3, 5);
  EXPECT_EQ(step(b), (rows{"1@3+1!", "2@0+6", "3@0+1"}));
  EXPECT_EQ(step(b), (rows{"1@4+1!", "2@6+3!", "3@1+4!"}));
  EXPECT_EQ(step(b), (rows{"1@5+1!", "2@9+1!", "3@5+1!"}));
}

TEST_F(batcher_test, prompts_get_less_of_a_step_in_which_others_decode) {
  batcher b = make({.tokens_max = 16, .prefill_chunk_max = 8, .mixed_prefill_max = 3});
  add(b, 1, 10);
  add(b, 2, 2);
  EXPECT_EQ(step(b), (rows{"1@0+8", "2@0+2!"})); // nobody waits for a token
  add(b, 3, 4);
  EXPECT_EQ(step(b), (rows{"2@2+1!", "1@8+2!", "3@0+1"}));
  EXPECT_EQ(step(b), (rows{"1@10+1!", "2@3+1!", "3@1+3!"}));
  add(b, 4, 5);
  add(b, 5, 1);
  EXPECT_EQ(step(b), (rows{"1@11+1!", "2@4+1!", "3@4+1!", "4@0+3"}));
  EXPECT_EQ(b.waiting(), 1u); // the step has no room for it
  EXPECT_EQ(step(b), (rows{"1@12+1!", "2@5+1!", "3@5+1!", "4@3+2!", "5@0+1!"}));
}

TEST_F(batcher_test, cached_tokens_are_not_computed) {
  batcher b = make({.tokens_max = 100});
  add(b, 1, 40);
  b.plan_starts({.now = at(5)}, plan);
  EXPECT_EQ(plan.starts, ids{1});
  b.on_started(1, 32);
  b.plan_rows(plan);
  EXPECT_EQ(show(plan), (rows{"1@32+8!"}));
}

TEST_F(batcher_test, serves_priorities_first_and_within_one_by_arrival) {
  batcher b = make({.tokens_max = 4, .sequences_max = 1});
  add(b, 1, 2);
  add(b, 2, 2, {.priority = 1});
  add(b, 3, 2, {.priority = -1});
  add(b, 4, 2);
  ids order;
  while (b.waiting() > 0) {
    step(b);
    ASSERT_EQ(started.size(), 1u);
    order.push_back(started[0]);
    b.remove(started[0]);
  }
  EXPECT_EQ(order, (ids{3, 1, 4, 2}));
}

TEST_F(batcher_test, a_better_priority_overtakes_a_running_prompt_within_its_step) {
  batcher b = make({.tokens_max = 4, .prefill_chunk_max = 4});
  add(b, 1, 12, {.priority = 1});
  EXPECT_EQ(step(b), (rows{"1@0+4"}));
  add(b, 2, 6);
  EXPECT_EQ(step(b), (rows{"2@0+4"}));
  EXPECT_EQ(step(b), (rows{"2@4+2!", "1@4+2"}));
}

TEST_F(batcher_test, refuses_what_exceeds_the_queue_and_takes_it_when_there_is_room) {
  batcher b = make({.sequences_max = 1, .queue_max = 2});
  add(b, 1, 1);
  add(b, 2, 1);
  EXPECT_EQ(b.queue_room(), 0u);
  EXPECT_EQ(b.admit({.id = 3, .prompt_tokens = 1}).code(), status_code::exhausted);
  EXPECT_FALSE(b.contains(3));
  step(b);
  EXPECT_EQ(b.queue_room(), 1u);
  EXPECT_TRUE(b.admit({.id = 3, .prompt_tokens = 1}).ok());
  EXPECT_EQ(b.admit({.id = 4, .prompt_tokens = 0}).code(), status_code::invalid_argument);
}

TEST_F(batcher_test, takes_what_is_never_refused_beyond_the_queue) {
  batcher b = make({.sequences_max = 1, .queue_max = 1});
  add(b, 1, 1);
  EXPECT_TRUE(b.admit({.id = 2, .prompt_tokens = 1, .never_refused = true}).ok());
  EXPECT_EQ(b.waiting(), 2u);
  EXPECT_EQ(b.queue_room(), 0u);
  EXPECT_EQ(b.admit({.id = 3, .prompt_tokens = 1}).code(), status_code::exhausted);
}

TEST_F(batcher_test, runs_no_more_than_sequences_max) {
  batcher b = make({.sequences_max = 2});
  for (sequence_id id = 1; id <= 4; ++id) add(b, id, 1);
  step(b);
  EXPECT_EQ(started, (ids{1, 2}));
  EXPECT_EQ(b.running(), 2u);
  b.remove(1);
  step(b);
  EXPECT_EQ(started, ids{3});
}

TEST_F(batcher_test, starts_only_as_many_prompts_as_the_budget_reaches) {
  batcher b = make({.tokens_max = 10, .prefill_chunk_max = 8});
  for (sequence_id id = 1; id <= 4; ++id) add(b, id, 8);
  EXPECT_EQ(step(b), (rows{"1@0+8!", "2@0+2"}));
  EXPECT_EQ(b.waiting(), 2u);
}

TEST_F(batcher_test, a_step_holds_at_most_max_batch_size_sequences_and_all_get_their_turn) {
  batcher b = make({.max_batch_size = 2});
  for (sequence_id id = 1; id <= 5; ++id) add(b, id, 1);
  std::map<sequence_id, int> served;
  for (int n = 0; n < 60; ++n) {
    EXPECT_LE(step(b).size(), 2u);
    for (const step_entry& e : plan.entries) ++served[e.sequence];
  }
  ASSERT_EQ(served.size(), 5u);
  for (const auto& [id, count] : served) EXPECT_NEAR(count, 24, 4) << id;
}

TEST_F(batcher_test, a_prompt_gets_its_turn_when_decodes_fill_the_step) {
  for (const uint32_t max_batch_size : {1u, 2u, 4u}) {
    batcher b = make({.tokens_max = 4, .sequences_max = 5, .max_batch_size = max_batch_size});
    for (sequence_id id = 1; id <= 4; ++id) add(b, id, 1);
    for (int n = 0; n < 20; ++n) step(b);
    add(b, 9, 12);
    int steps = 0;
    while (b.known_tokens(9) == 12) {
      step(b);
      ASSERT_LT(++steps, 60) << max_batch_size;
    }
  }
}

TEST_F(batcher_test, a_long_prompt_does_not_hold_up_decodes) {
  batcher b = make({.tokens_max = 16, .prefill_chunk_max = 1000});
  add(b, 1, 1);
  step(b);
  add(b, 2, 1000);
  for (uint32_t n = 0; n < 50; ++n) EXPECT_EQ(step(b)[0], "1@" + std::to_string(n + 1) + "+1!");
}

TEST_F(batcher_test, a_running_prompt_of_low_priority_is_not_starved_by_better_ones) {
  batcher b = make({.tokens_max = 4, .sequences_max = 8, .prefill_chunk_max = 4});
  add(b, 1, 8, {.priority = 9});
  step(b);
  sequence_id next = 2;
  int steps = 0;
  while (b.known_tokens(1) == 8) {
    add(b, next, 4); // an endless stream of better prompts that end with their first token
    step(b);
    for (const step_entry& e : plan.entries)
      if (e.sequence != 1 && e.wants_logits) b.remove(e.sequence);
    ++next;
    ASSERT_LT(++steps, 200);
  }
  EXPECT_GT(steps, 50); // priority still counts
}

TEST_F(batcher_test, gives_no_token_out_twice_and_none_before_it_is_sampled) {
  batcher b = make({.tokens_max = 4, .prefill_chunk_max = 4});
  add(b, 1, 6);
  b.plan_starts({.now = at(5)}, plan);
  b.on_started(1, 0);
  b.plan_rows(plan);
  EXPECT_EQ(show(plan), (rows{"1@0+4"}));
  b.plan_rows(plan); // the first is still under way
  EXPECT_EQ(show(plan), (rows{"1@4+2!"}));
  EXPECT_FALSE(b.has_work());
  b.plan_rows(plan);
  EXPECT_EQ(show(plan), rows{});
  b.on_computed(1, 4);
  b.on_computed(1, 2);
  b.plan_rows(plan);
  EXPECT_EQ(show(plan), rows{});
  b.on_sampled(1);
  EXPECT_TRUE(b.has_work());
  b.plan_rows(plan);
  EXPECT_EQ(show(plan), (rows{"1@6+1!"}));
}

TEST_F(batcher_test, drops_whoever_missed_the_deadline_waiting_or_running) {
  batcher b = make({.sequences_max = 1});
  add(b, 1, 4, {.deadline = at(100)});
  add(b, 2, 4, {.deadline = at(90)});
  add(b, 3, 4);
  step(b, {.now = at(50)});
  EXPECT_EQ(dropped, ids{});
  step(b, {.now = at(90)});
  EXPECT_EQ(dropped, ids{2});
  step(b, {.now = at(100)});
  EXPECT_EQ(dropped, ids{1});
  EXPECT_EQ(started, ids{3});
  EXPECT_FALSE(b.contains(1));
}

TEST_F(batcher_test, drops_whoever_provably_cannot_meet_the_deadline) {
  batcher b = make({.tokens_max = 10, .sequences_max = 1, .prefill_chunk_max = 10});
  add(b, 1, 35, {.deadline = at(135)}); // 4 steps of 10 ms: from 95 on it is too late
  add(b, 2, 35, {.deadline = at(109)});
  const auto room = [](int64_t ms) {
    return step_room{.now = at(ms), .step_time_min = milliseconds(10)};
  };
  b.plan_starts(room(95), plan);
  EXPECT_EQ(plan.dropped, ids{});
  EXPECT_EQ(plan.starts, ids{1});
  b.on_started(1, 0);
  b.plan_starts(room(95), plan);
  EXPECT_EQ(plan.dropped, ids{});
  b.plan_starts(room(96), plan);
  EXPECT_EQ(plan.dropped, ids{1});
  b.plan_starts(room(100), plan); // one step is all that is sure for a waiting one
  EXPECT_EQ(plan.dropped, ids{2});
}

TEST_F(batcher_test, an_idle_engine_waits_for_company_until_max_wait) {
  batcher b = make({.max_batch_size = 3, .max_wait = milliseconds(20)});
  add(b, 1, 4); // arrived at 1
  EXPECT_EQ(step(b, {.now = at(5)}), rows{});
  EXPECT_EQ(plan.wait_until, at(21));
  EXPECT_EQ(step(b, {.now = at(21)}), (rows{"1@0+4!"}));
  EXPECT_FALSE(plan.wait_until.has_value());
  add(b, 2, 4); // something runs: joins at once
  EXPECT_EQ(step(b, {.now = at(22)}).size(), 2u);
}

TEST_F(batcher_test, a_full_batch_or_a_near_deadline_ends_the_wait) {
  batcher b = make({.max_batch_size = 2, .max_wait = milliseconds(20)});
  add(b, 1, 4);
  EXPECT_EQ(step(b, {.now = at(5)}), rows{});
  add(b, 2, 4);
  EXPECT_EQ(step(b, {.now = at(5)}).size(), 2u);
  batcher hurried = make({.max_batch_size = 2, .max_wait = milliseconds(20)});
  add(hurried, 1, 4, {.deadline = at(12)});
  EXPECT_EQ(step(hurried, {.now = at(5), .step_time_min = milliseconds(3)}), rows{});
  EXPECT_EQ(plan.wait_until, at(9));
  EXPECT_EQ(step(hurried, {.now = at(9), .step_time_min = milliseconds(3)}).size(), 1u);
}

TEST_F(batcher_test, the_choices_of_a_request_start_when_the_first_has_computed_the_prompt) {
  batcher b = make({.tokens_max = 8, .prefill_chunk_max = 8});
  for (const sequence_id id : {1, 2, 3}) add(b, id, 12, {.gang = 7});
  add(b, 4, 4);
  EXPECT_EQ(step(b), (rows{"1@0+8"}));
  EXPECT_EQ(step(b), (rows{"1@8+4!", "4@0+4!"})); // others pass the gang meanwhile
  step(b);
  EXPECT_EQ(started, (ids{2})); // and now it computes the same prompt: 3 waits for it
}

TEST_F(batcher_test, cached_gang_members_start_together) {
  batcher b = make({.tokens_max = 64});
  for (const sequence_id id : {1, 2, 3}) add(b, id, 12, {.gang = 7});
  EXPECT_EQ(step(b), (rows{"1@0+12!"}));
  ids all;
  for (int n = 0; n < 2; ++n) {
    b.plan_starts({.now = at(9)}, plan);
    for (const sequence_id id : plan.starts) {
      all.push_back(id);
      b.on_started(id, 11);
    }
    b.plan_rows(plan);
    finish(b);
  }
  EXPECT_EQ(all, (ids{2, 3}));
}

TEST_F(batcher_test, starts_nobody_whose_tokens_do_not_fit_and_nobody_overtakes_it) {
  batcher b = make({.tokens_max = 64});
  add(b, 1, 8);
  step(b, {.kv_pages = 10, .page_tokens = 4});
  add(b, 2, 30);
  add(b, 3, 2);
  // 1 decodes: its next token takes at most a page, one more for growth; 2 needs 8 pages.
  step(b, {.kv_pages = 9, .page_tokens = 4});
  EXPECT_EQ(started, ids{});
  step(b, {.kv_pages = 11, .page_tokens = 4});
  EXPECT_EQ(started, ids{2});
}

TEST_F(batcher_test, an_empty_engine_starts_its_first_sequence_whatever_the_room) {
  batcher b = make({});
  add(b, 1, 100);
  add(b, 2, 1);
  step(b, {.kv_pages = 1, .page_tokens = 4});
  EXPECT_EQ(started, ids{1});
}

TEST_F(batcher_test, the_victim_is_the_lowest_priority_and_then_the_latest) {
  batcher b = make({});
  EXPECT_EQ(b.choose_victim(), std::nullopt);
  add(b, 1, 1, {.priority = 2});
  add(b, 2, 1);
  add(b, 3, 1, {.priority = 2});
  add(b, 4, 1);
  EXPECT_EQ(b.choose_victim(), std::nullopt); // nobody runs
  step(b);
  EXPECT_EQ(b.choose_victim(), 3u);
  EXPECT_EQ(b.choose_victim(3), 1u);
  b.remove(3);
  b.remove(1);
  EXPECT_EQ(b.choose_victim(), 4u);
}

TEST_F(batcher_test, a_preempted_sequence_goes_to_the_front_and_recomputes_all_its_tokens) {
  batcher b = make({.tokens_max = 64, .sequences_max = 2});
  for (const sequence_id id : {1, 2, 3}) add(b, id, 4);
  step(b);
  step(b); // 1 and 2 have 6 tokens now
  b.on_preempted(2);
  EXPECT_EQ(b.running(), 1u);
  EXPECT_EQ(b.waiting(), 2u);
  EXPECT_EQ(step(b), (rows{"1@5+1!", "2@0+6!"}));
  EXPECT_EQ(step(b), (rows{"1@6+1!", "2@6+1!"}));
}

TEST_F(batcher_test, preempted_sequences_may_exceed_the_queue) {
  batcher b = make({.sequences_max = 2, .queue_max = 1});
  add(b, 1, 1);
  step(b);
  add(b, 2, 1);
  step(b);
  add(b, 3, 1);
  b.on_preempted(1);
  b.on_preempted(2);
  EXPECT_EQ(b.waiting(), 3u);
  EXPECT_EQ(b.queue_room(), 0u);
  step(b);
  EXPECT_EQ(started, (ids{1, 2}));
}

TEST_F(batcher_test, a_start_that_failed_can_be_undone) {
  batcher b = make({});
  add(b, 1, 4);
  b.plan_starts({.now = at(5)}, plan);
  ASSERT_EQ(plan.starts, ids{1});
  b.on_preempted(1);
  EXPECT_EQ(b.waiting(), 1u);
  EXPECT_EQ(step(b), (rows{"1@0+4!"}));
}

TEST_F(batcher_test, a_plan_can_lose_a_sequence) {
  batcher b = make({});
  add(b, 1, 4);
  add(b, 2, 3);
  step(b);
  EXPECT_EQ(plan.tokens, 7u);
  plan.remove(1);
  EXPECT_EQ(show(plan), (rows{"2@0+3!"}));
  EXPECT_EQ(plan.tokens, 3u);
  plan.remove(9);
  EXPECT_EQ(plan.entries.size(), 1u);
}

TEST_F(batcher_test, removing_forgets_a_sequence_in_any_state) {
  batcher b = make({.sequences_max = 2});
  for (const sequence_id id : {1, 2, 3}) add(b, id, 4);
  step(b);
  b.remove(3);
  b.remove(1);
  b.remove(77);
  EXPECT_EQ(step(b), (rows{"2@4+1!"}));
  b.remove(2);
  EXPECT_FALSE(b.has_work());
  EXPECT_EQ(b.running() + b.waiting(), 0u);
}

TEST_F(batcher_test, says_which_limit_is_out_of_range) {
  EXPECT_TRUE(validate(batcher_limits{}).ok());
  EXPECT_NE(validate(batcher_limits{.tokens_max = 0}).why().find("tokens_max"), std::string::npos);
  EXPECT_NE(validate(batcher_limits{.sequences_max = 0}).why().find("sequences_max"),
            std::string::npos);
  EXPECT_NE(validate(batcher_limits{.queue_max = 0}).why().find("queue_max"), std::string::npos);
  EXPECT_NE(validate(batcher_limits{.prefill_chunk_max = 0}).why().find("prefill_chunk_max"),
            std::string::npos);
  EXPECT_FALSE(validate(batcher_limits{.max_wait = milliseconds(-1)}).ok());
}

} // namespace
} // namespace troupe::dataflow
