// Every judge of the serving invariants is silent on what is right and speaks up on each thing that
// is wrong.
#include "simulations/checkers/serving.hpp"

#include "tests/unit/simulations_checkers/checker_fixtures.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <functional>

namespace troupe::simulations {
namespace {

using dataflow::finish_reason;
using std::chrono::milliseconds;
using std::chrono::seconds;

const time_point start{seconds(10)};

// A record of somebody who received everything right.
client_record served(const std::shared_ptr<const dataflow::generation_request>& request) {
  const answer& right = tests::shared_oracle().of(*request);
  client_record out;
  out.asked.request = request;
  out.attempts = 1;
  out.end = client_end::completed;
  out.has_usage = true;
  out.prompt_tokens = static_cast<uint32_t>(request->prompt.size());
  out.completion_tokens = right.completion_tokens;
  for (const auto& choice : right.choices) {
    choice_record have;
    have.tokens = choice.tokens;
    have.prompt = choice.prompt;
    have.prompt_scored = !choice.prompt.empty();
    have.text = choice.text;
    have.finished = true;
    have.reason = choice.reason;
    have.stopped_by = choice.stopped_by;
    out.choices.push_back(have);
  }
  out.arrived = start;
  out.news = {start};
  out.ended = start + seconds(1);
  return out;
}

// The same with only the first `tokens` of choice 0, as somebody who is still waiting has them.
client_record waiting(const std::shared_ptr<const dataflow::generation_request>& request,
                      size_t tokens) {
  client_record out = served(request);
  const auto& right = tests::shared_oracle().of(*request).choices[0];
  auto& have = out.choices[0];
  have.tokens.resize(tokens);
  have.text.resize(tokens == 0 ? 0 : right.text_after[tokens - 1]);
  have.finished = false;
  out.end = client_end::open;
  out.has_usage = false;
  return out;
}

client_record cancelled(const std::shared_ptr<const dataflow::generation_request>& request,
                        size_t tokens) {
  client_record out = waiting(request, tokens);
  out.asked.cancel_after = static_cast<uint32_t>(tokens);
  out.cancel_sent = true;
  out.end = client_end::cancelled;
  auto& have = out.choices[0];
  have.text = text_when_cut(tests::shared_oracle().tokenizer(), *request, have.tokens);
  have.finished = true;
  have.reason = finish_reason::cancelled;
  return out;
}

std::shared_ptr<const dataflow::generation_request> scored() {
  auto out = tests::ask(1, 8);
  out->top_logprobs = 3;
  out->prompt_logprobs = true;
  return out;
}

std::vector<violation> judge(const client_record& record, const serving_expectation& expect = {}) {
  serving_checker checker(tests::shared_oracle(), expect);
  checker.check_client(record, start);
  return checker.violations();
}

// The only violation, as "S2 what".
std::string verdict(const client_record& record, const serving_expectation& expect = {}) {
  const auto found = judge(record, expect);
  EXPECT_LE(found.size(), 1u);
  return found.empty() ? "" : found[0].invariant + " " + found[0].what;
}

void flip_bit(float& value) {
  value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) ^ 1);
}

TEST(serving, is_silent_about_right_answers) {
  EXPECT_EQ(verdict(served(tests::ask(1, 8, 2))), "");
  EXPECT_EQ(verdict(served(scored())), "");
  for (size_t k = 0; k <= 8; ++k) {
    EXPECT_EQ(verdict(waiting(scored(), k)), "") << k;
    EXPECT_EQ(verdict(cancelled(scored(), k)), "") << k;
    auto nothing_more = cancelled(scored(), k);
    nothing_more.choices[0].text = waiting(scored(), k).choices[0].text;
    EXPECT_EQ(verdict(nothing_more), "") << k;
  }
  serving_checker checker(tests::shared_oracle(), {});
  checker.check_client(served(scored()), start);
  EXPECT_EQ(checker.tokens_compared(), 8u);
  EXPECT_EQ(checker.logits_compared(), (8u + 3u) * 4); // tokens and prompt, with three others each
}

TEST(serving, one_who_never_got_to_a_door_has_nothing_to_compare) {
  client_record record = waiting(scored(), 0);
  record.attempts = 0;
  EXPECT_EQ(verdict(record), "");
}

TEST(serving, every_wrong_thing_is_reported_by_its_name) {
  const struct {
    const char* what;
    std::function<void(client_record&)> spoil;
    const char* begins;
  } rows[] = {
      {"another token", [](auto& r) { r.choices[0].tokens[7].token ^= 1; },
       "S2 client 0 (test) choice 0, token 7: got "},
      {"a token less in the middle",
       [](auto& r) { r.choices[0].tokens.erase(r.choices[0].tokens.begin() + 2); },
       "S1 client 0 (test) choice 0, token 2: got "},
      {"a token twice",
       [](auto& r) {
         auto& tokens = r.choices[0].tokens;
         tokens.insert(tokens.begin() + 2, tokens[2]);
         tokens.resize(7);
         r.choices[0].finished = false;
         r.end = client_end::open;
       },
       "S1 client 0 (test) choice 0, token 3: got "},
      {"the last token missing", [](auto& r) { r.choices[0].tokens.pop_back(); },
       "S2 client 0 (test) choice 0: got 7 tokens, expected 8"},
      {"a token too many", [](auto& r) { r.choices[0].tokens.push_back(r.choices[0].tokens[0]); },
       "S2 client 0 (test) choice 0: got 9 tokens, expected 8"},
      {"a bit of a log-probability", [](auto& r) { flip_bit(r.choices[0].tokens[3].logprob); },
       "S4 client 0 (test) choice 0, token 3: log-probability of "},
      {"a bit of an alternative", [](auto& r) { flip_bit(r.choices[0].tokens[3].top[2].logprob); },
       "S4 client 0 (test) choice 0, token 3: alternative 2 is "},
      {"another alternative", [](auto& r) { r.choices[0].tokens[3].top[1].token ^= 1; },
       "S4 client 0 (test) choice 0, token 3: alternative 1 is "},
      {"no score", [](auto& r) { r.choices[0].tokens[3].scored = false; },
       "S4 client 0 (test) choice 0, token 3: not scored with 3 alternatives, expected scored"},
      {"a bit of the prompt's score", [](auto& r) { flip_bit(r.choices[0].prompt[2].logprob); },
       "S4 client 0 (test) choice 0 prompt token 2: log-probability of "},
      {"another prompt token", [](auto& r) { r.choices[0].prompt[2].token ^= 1; },
       "S2 client 0 (test) choice 0 prompt token 2: got "},
      {"a short prompt", [](auto& r) { r.choices[0].prompt.pop_back(); },
       "S2 client 0 (test) choice 0: 3 prompt scores, expected 4"},
      {"no prompt", [](auto& r) { r.choices[0].prompt_scored = false; },
       "S2 client 0 (test) choice 0: the prompt's scores are missing"},
      {"another text", [](auto& r) { r.choices[0].text.back() ^= 1; },
       "S2 client 0 (test) choice 0 after 8 tokens, text byte "},
      {"text missing", [](auto& r) { r.choices[0].text.pop_back(); },
       "S2 client 0 (test) choice 0 after 8 tokens, text byte "},
      {"text twice", [](auto& r) { r.choices[0].text += r.choices[0].text; },
       "S2 client 0 (test) choice 0 after 8 tokens, text byte "},
      {"another end", [](auto& r) { r.choices[0].reason = finish_reason::stop; },
       "S2 client 0 (test) choice 0 ends with stop '', expected length ''"},
      {"another stop text", [](auto& r) { r.choices[0].stopped_by = "x\n"; },
       "S2 client 0 (test) choice 0 ends with length 'x\\x0a', expected length ''"},
      {"another count", [](auto& r) { r.completion_tokens = 7; },
       "S2 client 0 was told of 7 completion tokens, expected 8"},
      {"another count of the prompt", [](auto& r) { r.prompt_tokens = 5; },
       "S2 client 0 was told of 5 prompt tokens, expected 4"},
      {"more from the cache than there is", [](auto& r) { r.cached_tokens = 12; },
       "S5 client 0 was told of 12 cached tokens, expected fewer than 12"},
      {"late without a deadline", [](auto& r) { r.choices[0].reason = finish_reason::deadline; },
       "S6 client 0 (test) choice 0 was late and had no deadline"},
      {"a failure",
       [](auto& r) {
         r.end = client_end::failed;
         r.failure = status(status_code::unavailable, "gone");
       },
       "S6 client 0 failed after 1 attempts and 8 tokens: unavailable: gone"},
      {"left for nothing", [](auto& r) { r.end = client_end::cancelled; },
       "S6 client 0 left without a reason"},
      {"noticed while receiving",
       [](auto& r) {
         r.violations.push_back({"S1", "seen twice", start});
       },
       "S1 seen twice"},
  };
  for (const auto& row : rows) {
    auto record = served(scored());
    row.spoil(record);
    EXPECT_EQ(verdict(record).substr(0, std::string_view(row.begins).size()), row.begins)
        << row.what;
  }
}

TEST(serving, a_cancellation_nobody_asked_for_is_reported) {
  auto record = cancelled(tests::ask(1, 8), 8);
  record.cancel_sent = false;
  record.asked.cancel_after.reset();
  record.end = client_end::completed;
  record.choices[0].text =
      served(tests::ask(1, 8)).choices[0].text.substr(0, record.choices[0].text.size());
  const auto found = judge(record);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found.back().invariant, "S6");
}

TEST(serving, a_cut_answer_must_still_be_a_beginning_of_the_right_one) {
  auto wrong_token = cancelled(tests::ask(1, 8), 4);
  wrong_token.choices[0].tokens[3].token ^= 1;
  EXPECT_EQ(judge(wrong_token).at(0).invariant, "S2"); // and its text
  auto wrong_text = cancelled(tests::ask(1, 8), 4);
  wrong_text.choices[0].text += "x";
  EXPECT_EQ(verdict(wrong_text).substr(0, 2), "S2");
  auto lost_text = waiting(tests::ask(1, 8), 8);
  lost_text.choices[0].text.clear();
  EXPECT_EQ(verdict(lost_text).substr(0, 2), "S2");
}

TEST(serving, failures_are_allowed_where_they_are_expected_and_with_right_bytes) {
  auto record = waiting(tests::ask(1, 8), 3);
  record.end = client_end::failed;
  record.failure = status(status_code::unavailable, "all copies are gone");
  EXPECT_EQ(verdict(record, {.explicit_errors = true}), "");
  record.failure = status(status_code::corrupt, "NaN");
  EXPECT_EQ(verdict(record, {.explicit_errors = true}).substr(0, 2), "S6");
  EXPECT_EQ(verdict(record, {.explicit_errors = true, .errors = {status_code::corrupt}}), "");
  record.choices[0].tokens[1].token ^= 1;
  record.failure = status(status_code::unavailable, "all copies are gone");
  EXPECT_EQ(verdict(record, {.explicit_errors = true}).substr(0, 2), "S2");
}

TEST(serving, a_deadline_cuts_an_answer_neither_early_nor_late) {
  const auto verdict_at = [](seconds deadline, finish_reason reason, milliseconds ended) {
    auto record = cancelled(tests::ask(1, 8), 4);
    if (reason != finish_reason::deadline) record = served(tests::ask(1, 8));
    record.asked.cancel_after.reset();
    record.cancel_sent = false;
    record.end = client_end::completed;
    record.asked.deadline = deadline;
    record.choices[0].reason = reason;
    record.choices[0].ended = start + ended;
    serving_checker checker(tests::shared_oracle(), {});
    checker.nothing_is_done_twice();
    checker.check_client(record, start);
    return checker.violations().empty() ? "" : checker.violations()[0].what;
  };
  EXPECT_EQ(verdict_at(seconds(1), finish_reason::deadline, milliseconds(1000)), "");
  EXPECT_EQ(verdict_at(seconds(1), finish_reason::deadline, milliseconds(999)),
            "client 0 (test) choice 0 was given up 1000 us before its deadline");
  EXPECT_EQ(verdict_at(seconds(1), finish_reason::length, milliseconds(1400)), "");
  EXPECT_EQ(verdict_at(seconds(1), finish_reason::length, milliseconds(1600)),
            "client 0 (test) choice 0 was served long after its deadline");
}

TEST(serving, who_shares_with_nobody_finds_nothing_in_the_cache) {
  auto record = served(tests::ask(1, 8));
  record.cached_tokens = 1;
  record.asked.salt_is_own = true;
  EXPECT_EQ(verdict(record), ""); // it may have been begun again
  serving_checker checker(tests::shared_oracle(), {});
  checker.nothing_is_done_twice();
  checker.check_client(record, start);
  ASSERT_EQ(checker.violations().size(), 1u);
  EXPECT_EQ(checker.violations()[0].what,
            "client 0 was told of 1 cached tokens, expected fewer than 1");
}

TEST(serving, a_request_that_never_ends_is_lost) {
  serving_checker checker(tests::shared_oracle(), {});
  checker.check_ended(served(tests::ask(1)), "done", start);
  EXPECT_TRUE(checker.violations().empty());
  checker.check_ended(waiting(tests::ask(1), 2), "client 0 waits at door 1", start);
  ASSERT_EQ(checker.violations().size(), 1u);
  EXPECT_EQ(checker.violations()[0].invariant, "S6");
  EXPECT_EQ(checker.violations()[0].what, "never ended: client 0 waits at door 1");
  EXPECT_EQ(checker.violations()[0].when, start);
}

TEST(serving, pages_must_add_up) {
  serving_checker checker(tests::shared_oracle(), {});
  node_residue left{
      .node = 2, .pages_total = 10, .pages_used = 3, .pages_cached = 2, .pages_free = 5};
  checker.check_pages(left, start);
  EXPECT_TRUE(checker.violations().empty());
  left.pages_free = 4;
  checker.check_pages(left, start);
  ASSERT_EQ(checker.violations().size(), 1u);
  EXPECT_EQ(checker.violations()[0].invariant, "S5");
  EXPECT_EQ(checker.violations()[0].what,
            "node 2: 3 pages used, 2 cached and 4 free, expected 10 together");
}

TEST(serving, nothing_may_rise_above_its_bound) {
  serving_checker checker(tests::shared_oracle(), {});
  checker.check_bound({1, "frames to n2", 256, 256}, start);
  EXPECT_TRUE(checker.violations().empty());
  checker.check_bound({1, "frames to n2", 257, 256}, start);
  ASSERT_EQ(checker.violations().size(), 1u);
  EXPECT_EQ(checker.violations()[0].invariant, "S7");
}

TEST(serving, nothing_may_be_left_when_everything_ended) {
  const struct {
    uint64_t node_residue::*count;
    const char* what;
  } rows[] = {
      {&node_residue::pages_used, "pages used"},
      {&node_residue::sequences_live, "live sequences"},
      {&node_residue::streams_open, "open streams"},
      {&node_residue::steps_taken, "step slots taken"},
      {&node_residue::frames_unacknowledged, "frames not acknowledged"},
      {&node_residue::frames_held, "frames held"},
      {&node_residue::device_jobs, "device jobs under way"},
      {&node_residue::messages, "messages in mailboxes"},
  };
  serving_checker silent(tests::shared_oracle(), {});
  silent.check_idle({.node = 1, .pages_total = 8, .pages_cached = 3, .pages_free = 5}, start);
  EXPECT_TRUE(silent.violations().empty());
  for (const auto& row : rows) {
    serving_checker checker(tests::shared_oracle(), {});
    node_residue left{.node = 1};
    left.*row.count = 2;
    checker.check_idle(left, start);
    ASSERT_EQ(checker.violations().size(), 1u);
    EXPECT_EQ(checker.violations()[0].invariant, "S9");
    EXPECT_EQ(checker.violations()[0].what,
              std::string("node 1: 2 ") + row.what + " after everything ended");
  }
}

// Waits of 4 s (from 10 s to 14 s) and 6 s (to 20 s), with a bound of 3 s.
TEST(serving, a_wait_counts_only_while_the_cluster_is_healthy) {
  const struct {
    int from, until; // healthy, in seconds
    bool reported;
  } rows[] = {{0, 30, true},   {0, 12, false}, {11, 14, false}, {10, 14, true},
              {13, 17, false}, {14, 20, true}, {17, 30, false}, {16, 30, true}};
  auto record = served(tests::ask(1));
  record.news = {time_point(seconds(10)), time_point(seconds(14))};
  record.ended = time_point(seconds(20));
  for (const auto& row : rows) {
    serving_checker checker(tests::shared_oracle(), {.wait_max = seconds(3)});
    checker.healthy(true, time_point(seconds(row.from)));
    checker.healthy(false, time_point(seconds(row.until)));
    checker.check_waits(record, time_point(seconds(60)));
    ASSERT_EQ(checker.violations().size(), row.reported ? 1u : 0u) << row.from << row.until;
    EXPECT_EQ(row.reported ? checker.violations()[0].invariant : "S10", "S10");
  }
}

TEST(serving, who_is_still_waiting_waits_until_now) {
  auto record = waiting(tests::ask(1), 0);
  record.news = {time_point(seconds(10))};
  serving_checker checker(tests::shared_oracle(), {.wait_max = seconds(3)});
  checker.healthy(true, time_point(seconds(1)));
  checker.check_waits(record, time_point(seconds(13)));
  EXPECT_TRUE(checker.violations().empty());
  checker.check_waits(record, time_point(seconds(14)));
  EXPECT_EQ(checker.violations().size(), 1u);
}

TEST(serving, nothing_is_healthy_until_said_so) {
  auto record = waiting(tests::ask(1), 0);
  serving_checker checker(tests::shared_oracle(), {.wait_max = seconds(3)});
  checker.check_waits(record, start + seconds(100));
  EXPECT_TRUE(checker.violations().empty());
}

} // namespace
} // namespace troupe::simulations
