// What is kept of streams whose door was lost: for the same draws only, once, bounded, not for
// long.
#include "dataflow/orphaned_streams.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace troupe::dataflow {
namespace {

using std::chrono::seconds;
using tokens = std::vector<int32_t>;

generation_request ask(uint64_t seed = 1) {
  generation_request request;
  request.prompt = {1, 2, 3};
  request.sampling.seed = seed;
  return request;
}

time_point at(int s) {
  return time_point{} + seconds(s);
}

class orphaned_streams_test : public testing::Test {
protected:
  void keep(const generation_request& request, uint32_t choice, tokens drawn, int when = 0) {
    orphans.keep(std::make_shared<const generation_request>(request), choice, std::move(drawn),
                 at(when));
  }
  tokens take(const generation_request& request, uint32_t choice = 0, int when = 0) {
    return orphans.take(request, choice, at(when));
  }

  orphaned_streams orphans{{.streams_max = 3, .tokens_max = 30, .drawn_max = 20}};
};

TEST_F(orphaned_streams_test, gives_each_choice_what_it_had_drawn_and_once) {
  keep(ask(), 0, {7, 8});
  keep(ask(), 1, {9});
  EXPECT_EQ(take(ask(), 1), (tokens{9}));
  EXPECT_EQ(take(ask(), 0), (tokens{7, 8}));
  EXPECT_EQ(take(ask(), 0), tokens{});
  EXPECT_EQ(take(ask(), 2), tokens{});
  EXPECT_EQ(orphans.tokens(), 0u);
}

TEST_F(orphaned_streams_test, knows_nothing_for_a_request_that_draws_otherwise) {
  const std::vector<std::function<void(generation_request&)>> changes = {
      [](auto& r) { r.prompt.push_back(4); },
      [](auto& r) { r.prompt[1] = 5; },
      [](auto& r) { r.sampling.seed = 2; },
      [](auto& r) { r.sampling.temperature = 0.5f; },
      [](auto& r) { r.sampling.top_k = 4; },
      [](auto& r) { r.sampling.top_p = 0.5f; },
      [](auto& r) { r.sampling.min_p = 0.1f; },
      [](auto& r) { r.sampling.repetition_penalty = 1.1f; },
      [](auto& r) { r.sampling.presence_penalty = 1; },
      [](auto& r) { r.sampling.frequency_penalty = 1; },
      [](auto& r) {
        r.sampling.logit_bias = {{3, 1.0f}};
      },
      [](auto& r) { r.tokens_max = 17; },
      [](auto& r) { r.tokens_min = 1; },
      [](auto& r) { r.stop_ids = {3}; },
      [](auto& r) { r.ignore_eos = true; },
      [](auto& r) { r.cache_salt = "other"; },
      [](auto& r) {
        r.constraint = {model::constraint::kind::regex, "a"};
      },
      [](auto& r) { r.top_logprobs = 0; },
      [](auto& r) { r.prompt_logprobs = true; },
  };
  keep(ask(), 0, {7});
  for (size_t i = 0; i < changes.size(); ++i) {
    auto other = ask();
    changes[i](other);
    EXPECT_EQ(take(other), tokens{}) << "change " << i;
  }
  auto same = ask();
  same.id = "another";
  same.priority = 3;
  same.deadline = at(9);
  same.stop_texts = {"end"};
  EXPECT_EQ(take(same), (tokens{7}));
}

TEST_F(orphaned_streams_test, keeps_nothing_of_streams_that_want_scores) {
  auto scored = ask();
  scored.top_logprobs = 2;
  keep(scored, 0, {7});
  auto prompt_scored = ask();
  prompt_scored.prompt_logprobs = true;
  keep(prompt_scored, 0, {7});
  keep(ask(), 0, {});
  EXPECT_EQ(orphans.streams(), 0u);
}

TEST_F(orphaned_streams_test, the_newest_of_the_same_is_taken_first) {
  keep(ask(), 0, {7});
  keep(ask(), 0, {7, 8});
  EXPECT_EQ(take(ask()), (tokens{7, 8}));
  EXPECT_EQ(take(ask()), (tokens{7}));
}

TEST_F(orphaned_streams_test, the_oldest_make_room) {
  for (uint64_t seed = 1; seed <= 4; ++seed) keep(ask(seed), 0, {7});
  EXPECT_EQ(orphans.streams(), 3u);
  EXPECT_EQ(take(ask(1)), tokens{});
  keep(ask(5), 0, tokens(20, 9)); // 23 tokens with its prompt: leaves room for one of 4
  EXPECT_EQ(orphans.streams(), 2u);
  EXPECT_EQ(orphans.tokens(), 27u);
  keep(ask(6), 0, tokens(21, 9)); // longer than one message takes
  EXPECT_EQ(take(ask(6)), tokens{});
  EXPECT_EQ(take(ask(4)), (tokens{7}));
}

TEST_F(orphaned_streams_test, nothing_is_kept_for_long) {
  keep(ask(), 0, {7}, 0);
  keep(ask(2), 0, {8}, 30);
  EXPECT_EQ(take(ask(), 0, 61), tokens{});
  EXPECT_EQ(take(ask(2), 0, 61), (tokens{8}));
}

} // namespace
} // namespace troupe::dataflow
