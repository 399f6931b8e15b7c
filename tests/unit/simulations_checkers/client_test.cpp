// One client against doors that misbehave: what it does, and what it notices.
#include "simulations/workload/client.hpp"

#include "tests/unit/simulations_checkers/checker_fixtures.hpp"
#include "simulations/checkers/serving.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::simulations {
namespace {

using dataflow::finish_reason;
using dataflow::stream_event;
using std::chrono::milliseconds;
using std::chrono::seconds;

class client_test : public testing::Test {
protected:
  client& arrive(std::shared_ptr<const dataflow::generation_request> request,
                 std::optional<uint32_t> cancel_after = {}, uint32_t door = 0) {
    client_request what;
    what.client = static_cast<uint32_t>(made.size());
    what.door = door;
    what.request = std::move(request);
    what.cancel_after = cancel_after;
    made.push_back(std::make_unique<client>(what, options, doors, timers));
    doors.clients[what.client] = made.back().get();
    made.back()->arrive();
    return *made.back();
  }

  void pass(duration time) { timers.run_until(timers.now() + time); }

  void expect_right(const client& who) {
    serving_checker checker(tests::shared_oracle(), {});
    checker.check_client(who.record(), timers.now());
    for (const auto& found : checker.violations())
      ADD_FAILURE() << found.invariant << ' ' << found.what;
  }

  // The one violation noticed while receiving.
  std::string noticed(const client& who) {
    EXPECT_EQ(who.record().violations.size(), 1u);
    if (who.record().violations.empty()) return {};
    const auto& found = who.record().violations.front();
    return found.invariant + " " + found.what;
  }

  stream_event event(uint64_t number, stream_event::kind what = stream_event::kind::text) {
    stream_event out;
    out.what = what;
    out.sequence_number = number;
    return out;
  }

  tests::hand_moved_timers timers;
  tests::scripted_doors doors{timers, 3};
  client_options options{.seed = 1};
  std::vector<std::unique_ptr<client>> made;
};

TEST_F(client_test, receives_a_whole_answer) {
  auto& who = arrive(tests::ask(1, 6, 2));
  timers.run();
  EXPECT_EQ(who.record().end, client_end::completed);
  EXPECT_EQ(who.record().tokens(), 12u);
  EXPECT_EQ(who.record().attempts, 1u);
  EXPECT_EQ(timers.pending(), 0u);
  expect_right(who);
}

TEST_F(client_test, begins_at_its_own_door_and_tries_another_one_after_a_refusal) {
  doors.doors_list[1].refuses = status(status_code::exhausted, "full");
  auto& who = arrive(tests::ask(1), {}, 4); // 4 modulo 3
  EXPECT_FALSE(who.connection());
  timers.run();
  ASSERT_GE(doors.calls.size(), 2u);
  EXPECT_EQ(doors.calls[0].door, 1u);
  EXPECT_NE(doors.calls[1].door, 1u);
  EXPECT_EQ(doors.calls[1].attempt, 2u);
  EXPECT_EQ(who.record().refusals, 1u);
  expect_right(who);
}

TEST_F(client_test, goes_past_doors_that_are_down) {
  doors.doors_list[0].up = false;
  auto& who = arrive(tests::ask(1));
  timers.run();
  EXPECT_EQ(who.record().end, client_end::completed);
  EXPECT_EQ(doors.calls.size(), 1u); // the closed one heard nothing
  expect_right(who);
}

TEST_F(client_test, waits_longer_after_every_refusal_up_to_a_bound) {
  for (auto& door : doors.doors_list) door.refuses = status(status_code::unavailable, "no");
  options.attempts_max = 40;
  auto& who = arrive(tests::ask(1));
  const auto begin = timers.now();
  pass(milliseconds(60));
  EXPECT_GE(doors.calls.size(), 2u);
  EXPECT_LE(doors.calls.size(), 4u);
  timers.run();
  EXPECT_EQ(doors.calls.size(), 40u);
  EXPECT_EQ(who.record().end, client_end::failed);
  EXPECT_EQ(who.record().failure.code(), status_code::unavailable);
  EXPECT_GT(timers.now() - begin, 33 * milliseconds(250));
  EXPECT_LT(timers.now() - begin, 40 * milliseconds(375));
}

TEST_F(client_test, does_not_ask_again_what_can_never_be) {
  doors.doors_list[0].refuses = status(status_code::invalid_argument, "prompt too long");
  auto& who = arrive(tests::ask(1));
  EXPECT_EQ(who.record().end, client_end::failed);
  EXPECT_EQ(who.record().failure.why(), "prompt too long");
  EXPECT_EQ(doors.calls.size(), 1u);
}

TEST_F(client_test, resumes_at_another_door_with_what_it_has) {
  auto& who = arrive(tests::ask(1, 8));
  pass(milliseconds(3));
  doors.crash(0);
  EXPECT_EQ(who.record().tokens(), 3u);
  timers.run();
  ASSERT_EQ(doors.calls.size(), 2u);
  EXPECT_NE(doors.calls[1].door, 0u);
  EXPECT_EQ(doors.received_by_call[1][0].tokens, 3u);
  EXPECT_EQ(doors.received_by_call[1][0].text,
            who.record().choices[0].text.substr(0, doors.received_by_call[1][0].text.size()));
  EXPECT_EQ(who.record().resumed, 1u);
  expect_right(who);
}

TEST_F(client_test, tells_the_next_door_which_choices_have_ended_and_which_prompts_are_scored) {
  auto request = tests::ask(1, 4, 2);
  request->prompt_logprobs = true;
  request->top_logprobs = 1;
  auto& who = arrive(request);
  pass(milliseconds(7)); // scores, four tokens, the end; scores of the other
  doors.crash(0);
  timers.run();
  ASSERT_EQ(doors.received_by_call.size(), 2u);
  EXPECT_TRUE(doors.received_by_call[1][0].finished);
  EXPECT_TRUE(doors.received_by_call[1][1].prompt_scored);
  EXPECT_FALSE(doors.received_by_call[1][1].finished);
  expect_right(who);
}

TEST_F(client_test, needs_no_door_when_only_the_counts_are_missing) {
  doors.lose_number = 8; // completed
  auto& who = arrive(tests::ask(1, 6));
  pass(milliseconds(20));
  EXPECT_FALSE(who.done());
  doors.crash(0);
  EXPECT_EQ(who.record().end, client_end::completed);
  EXPECT_FALSE(who.record().has_usage);
  expect_right(who);
}

TEST_F(client_test, leaves_a_silent_door_when_its_patience_is_over) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1));
  pass(seconds(3) - milliseconds(1));
  EXPECT_TRUE(who.connection());
  pass(seconds(1));
  EXPECT_TRUE(who.done());
  ASSERT_EQ(doors.hung_up.size(), 1u);
  EXPECT_EQ(doors.hung_up[0].attempt, 1u);
  expect_right(who);
}

TEST_F(client_test, stays_with_a_slow_door_that_is_not_silent) {
  doors.pace = seconds(2);
  auto& who = arrive(tests::ask(1));
  timers.run();
  EXPECT_EQ(who.record().attempts, 1u);
  expect_right(who);
}

TEST_F(client_test, cancels_when_it_has_what_it_planned) {
  auto& who = arrive(tests::ask(1, 9), 4);
  timers.run();
  EXPECT_EQ(who.record().end, client_end::cancelled);
  EXPECT_EQ(who.record().choices[0].reason, finish_reason::cancelled);
  EXPECT_EQ(who.record().tokens(), 4u);
  EXPECT_TRUE(doors.cancelled.contains(0));
  expect_right(who);
}

TEST_F(client_test, does_not_come_back_after_cancelling) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1, 9), 0);
  pass(duration(1));
  doors.crash(0);
  EXPECT_EQ(who.record().end, client_end::cancelled);
  timers.run();
  EXPECT_EQ(doors.calls.size(), 1u);
  expect_right(who);
}

TEST_F(client_test, comes_back_after_its_connection_is_dropped) {
  auto& who = arrive(tests::ask(1));
  pass(milliseconds(2));
  who.disconnect();
  EXPECT_EQ(doors.hung_up.size(), 1u);
  timers.run();
  EXPECT_EQ(who.record().attempts, 2u);
  expect_right(who);
}

TEST_F(client_test, reads_late_what_came_while_it_was_stalled) {
  auto& who = arrive(tests::ask(1));
  pass(milliseconds(2));
  who.stall(seconds(10));
  pass(seconds(9));
  EXPECT_EQ(who.record().tokens(), 2u);
  EXPECT_EQ(doors.hung_up.size(), 0u); // its own silence is not the door's
  pass(seconds(2));
  EXPECT_TRUE(who.done());
  EXPECT_EQ(who.record().attempts, 1u);
  expect_right(who);
}

TEST_F(client_test, reads_what_came_before_the_door_crashed_and_then_goes_on_elsewhere) {
  auto& who = arrive(tests::ask(1));
  who.stall(seconds(1));
  pass(milliseconds(3));
  doors.crash(0);
  timers.run();
  EXPECT_EQ(who.record().attempts, 2u);
  EXPECT_EQ(doors.received_by_call.at(1)[0].tokens, 3u);
  expect_right(who);
}

TEST_F(client_test, a_door_that_gives_up_later_is_a_refusal) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1));
  auto failed = event(1, stream_event::kind::failed);
  failed.why = status(status_code::unavailable, "no pipeline");
  who.on_event({1, 0, 1, 0}, failed);
  EXPECT_FALSE(who.connection());
  timers.run();
  EXPECT_EQ(who.record().refusals, 1u);
  EXPECT_EQ(who.record().attempts, 2u);
  expect_right(who);
}

TEST_F(client_test, a_final_failure_ends_the_request) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1));
  auto failed = event(1, stream_event::kind::failed);
  failed.why = status(status_code::corrupt, "NaN");
  who.on_event({1, 0, 1, 0}, failed);
  EXPECT_EQ(who.record().end, client_end::failed);
  EXPECT_EQ(who.record().failure.code(), status_code::corrupt);
}

TEST_F(client_test, ignores_what_comes_through_a_connection_it_gave_up) {
  auto& who = arrive(tests::ask(1));
  pass(milliseconds(2));
  who.disconnect();
  who.on_event({1, 0, 1, 0}, event(3));
  timers.run();
  EXPECT_EQ(who.record().events_ignored, 1u);
  expect_right(who);
}

TEST_F(client_test, notices_a_lost_event) {
  doors.lose_number = 3;
  auto& who = arrive(tests::ask(1));
  timers.run();
  EXPECT_EQ(noticed(who), "S1 client 0 attempt 1: event 4 comes, expected 3");
}

TEST_F(client_test, notices_a_repeated_event) {
  doors.repeat_number = 3;
  auto& who = arrive(tests::ask(1));
  timers.run();
  EXPECT_EQ(noticed(who), "S1 client 0 attempt 1: event 3 comes again, expected 4");
  EXPECT_EQ(who.record().tokens(), 6u);
}

TEST_F(client_test, notices_what_comes_after_the_end) {
  auto& who = arrive(tests::ask(1));
  timers.run();
  who.on_event({1, 0, 1, 0}, event(9));
  EXPECT_EQ(noticed(who),
            "S1 client 0 attempt 1: an event (number 9) comes from door 0 after the last one");
}

TEST_F(client_test, notices_events_that_cannot_be) {
  const struct {
    const char* what;
    event_origin origin;
    stream_event::kind kind;
    uint32_t choice;
    bool ended; // the choice has
    const char* expected;
  } rows[] = {
      {"other process",
       {1, 0, 7, 0},
       stream_event::kind::text,
       0,
       false,
       "S8 client 0 attempt 1: an event comes from door 0 incarnation 7, expected door 0 "
       "incarnation 1"},
      {"other door",
       {1, 2, 1, 0},
       stream_event::kind::text,
       0,
       false,
       "S8 client 0 attempt 1: an event comes from door 2 incarnation 1, expected door 0 "
       "incarnation 1"},
      {"other choice",
       {1, 0, 1, 0},
       stream_event::kind::text,
       1,
       false,
       "S1 client 0 attempt 1: an event is for choice 1 of 1"},
      {"second end",
       {1, 0, 1, 0},
       stream_event::kind::finished,
       0,
       true,
       "S1 client 0 attempt 1: choice 0 ends twice"},
      {"text after the end",
       {1, 0, 1, 0},
       stream_event::kind::text,
       0,
       true,
       "S1 client 0 attempt 1: choice 0: text comes after the end, at token 0"},
      {"scores after the end",
       {1, 0, 1, 0},
       stream_event::kind::prompt_scored,
       0,
       true,
       "S1 client 0 attempt 1: choice 0: the prompt's scores come after the answer began"},
      {"completed too early",
       {1, 0, 1, 0},
       stream_event::kind::completed,
       0,
       false,
       "S1 client 0 attempt 1: completed without an end of choice 0, which has 0 tokens"},
  };
  for (const auto& row : rows) {
    made.clear();
    doors.doors_list[0].silent = true;
    auto& who = arrive(tests::ask(1));
    uint64_t number = 1;
    if (row.ended) who.on_event({1, 0, 1, 0}, event(number++, stream_event::kind::finished));
    auto wrong = event(number, row.kind);
    wrong.choice = row.choice;
    who.on_event(row.origin, wrong);
    EXPECT_EQ(noticed(who), row.expected) << row.what;
  }
}

TEST_F(client_test, notices_an_epoch_that_goes_back) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1));
  who.on_event({1, 0, 1, 4}, event(1));
  who.on_event({1, 0, 1, 0}, event(2)); // not told
  who.on_event({1, 0, 1, 3}, event(3));
  EXPECT_EQ(noticed(who), "S8 client 0 attempt 1: an event of epoch 3 comes after one of epoch 4");
}

TEST_F(client_test, notices_more_tokens_than_it_asked_for) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1, 1));
  auto two = event(1);
  two.tokens.resize(2);
  who.on_event({1, 0, 1, 0}, two);
  EXPECT_EQ(noticed(who), "S1 client 0 attempt 1: choice 0: 2 tokens, asked for 1");
}

TEST_F(client_test, says_in_one_line_where_it_is) {
  doors.doors_list[0].silent = true;
  auto& who = arrive(tests::ask(1, 6, 2));
  EXPECT_EQ(who.describe(),
            "client 0 (test): waits at door 0 incarnation 1, attempt 1, tokens 0 of 6 0 of 6");
}

// Whatever the doors do, the answer ends whole and right, and nothing is left waiting.
TEST_F(client_test, survives_any_mixture_of_faults) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    options.seed = seed;
    made.clear();
    doors.clients.clear();
    uint64_t n = 0;
    const auto below = [&n, seed](uint64_t bound) {
      return random_below({seed, random_subsystem::faults, 0}, n++, bound);
    };
    for (uint64_t i = 0; i < 4; ++i)
      arrive(tests::ask(1 + below(3), 6, 1 + static_cast<uint32_t>(below(2))), {},
             static_cast<uint32_t>(below(3)));
    for (int i = 0; i < 30; ++i) {
      pass(milliseconds(below(4)));
      const auto door = static_cast<uint32_t>(below(3));
      auto& who = *made[below(made.size())];
      switch (below(5)) {
        case 0:
          if (doors.up(door)) doors.crash(door);
          break;
        case 1:
          if (!doors.up(door)) doors.restart(door);
          break;
        case 2:
          who.disconnect();
          break;
        case 3:
          who.stall(milliseconds(below(20)));
          break;
        default:
          doors.doors_list[door].refuses =
              below(2) ? status(status_code::exhausted, "full") : status();
      }
    }
    for (auto& door : doors.doors_list) door.refuses = {};
    for (uint32_t door = 0; door < 3; ++door)
      if (!doors.up(door)) doors.restart(door);
    timers.run();
    for (const auto& who : made) {
      EXPECT_EQ(who->record().end, client_end::completed) << who->describe();
      expect_right(*who);
    }
    EXPECT_EQ(timers.pending(), 0u);
  }
}

} // namespace
} // namespace troupe::simulations
