// What is asked for: the same for the same seed, from a bounded family, within the scenario's
// ranges.
#include "simulations/workload/requests.hpp"

#include "model/sampler.hpp"
#include "simulations/checkers/oracle.hpp"
#include "simulations/seams/tiny_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace troupe::simulations {
namespace {

scenario_workload many() {
  scenario_workload out;
  out.requests = 400;
  return out;
}

TEST(requests, the_same_seed_asks_the_same_and_another_one_does_not) {
  const auto describe = [](uint64_t seed) {
    std::string out;
    for (const auto& one : make_workload(many(), seed))
      out += content_key(*one.request) + std::to_string(one.arrives.count()) + "/" +
             std::to_string(one.door) + "/" + std::to_string(one.cancel_after.value_or(9999));
    return out;
  };
  EXPECT_EQ(describe(1), describe(1));
  EXPECT_NE(describe(1), describe(2));
}

TEST(requests, all_seeds_draw_from_one_bounded_family) {
  std::set<std::string> contents;
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (const auto& one : make_workload(many(), seed)) contents.insert(content_key(*one.request));
  EXPECT_EQ(contents.size(), request_variants);
}

TEST(requests, arrive_in_order_within_the_time_given) {
  const auto asked = make_workload(many(), 3);
  ASSERT_EQ(asked.size(), 400u);
  for (uint32_t i = 0; i < asked.size(); ++i) {
    EXPECT_EQ(asked[i].client, i);
    EXPECT_LE(asked[i].arrives, many().over);
    EXPECT_LE(asked[i == 0 ? 0 : i - 1].arrives, asked[i].arrives);
  }
  EXPECT_GT(asked.back().arrives, many().over / 2);
}

TEST(requests, a_request_less_leaves_the_others_where_they_were) {
  auto fewer = many();
  fewer.requests = 399;
  std::multiset<int64_t> all, rest;
  for (const auto& one : make_workload(many(), 3)) all.insert(one.arrives.count());
  for (const auto& one : make_workload(fewer, 3)) rest.insert(one.arrives.count());
  EXPECT_TRUE(std::includes(all.begin(), all.end(), rest.begin(), rest.end()));
}

TEST(requests, keep_to_the_ranges_and_are_valid) {
  scenario_workload what = many();
  what.choices_max = 3;
  for (uint32_t variant = 0; variant < request_variants; ++variant) {
    const auto request = make_request(what, variant);
    EXPECT_GE(request.prompt.size(), what.prompt_tokens_min);
    EXPECT_LE(request.prompt.size(), what.prompt_tokens_max);
    const bool only_scores = request.tokens_max == 0 && request.prompt_logprobs;
    EXPECT_TRUE(only_scores || request.tokens_max >= what.answer_tokens_min);
    EXPECT_LE(request.tokens_max, what.answer_tokens_max);
    EXPECT_GE(request.choices, 1u);
    EXPECT_LE(request.choices, 3u);
    for (const int32_t token : request.prompt) EXPECT_TRUE(token >= 33 && token < 127);
    EXPECT_TRUE(model::validate(request.sampling, tiny_model_end + 1).ok());
  }
}

TEST(requests, every_kind_wanted_occurs) {
  scenario_workload what;
  uint32_t greedy = 0, scored = 0, prompts = 0, stops = 0, shared = 0, several = 0;
  uint32_t frequencies = 0, specials = 0;
  std::set<std::vector<int32_t>> beginnings;
  for (uint32_t variant = 0; variant < request_variants; ++variant) {
    const auto request = make_request(what, variant);
    greedy += request.sampling.temperature == 0;
    scored += request.top_logprobs.has_value();
    prompts += request.prompt_logprobs;
    stops += !request.stop_texts.empty();
    several += request.choices > 1;
    frequencies += request.sampling.frequency_penalty != 0;
    specials += !request.skip_special_tokens;
    shared += !beginnings.insert({request.prompt.begin(), request.prompt.begin() + 3}).second;
  }
  EXPECT_TRUE(greedy > 4 && greedy < 40) << greedy;
  EXPECT_TRUE(scored > 8 && scored < 40) << scored;
  EXPECT_GT(prompts, 1u);
  EXPECT_TRUE(stops > 1 && stops < 20) << stops;
  EXPECT_GT(shared, 8u);
  EXPECT_GT(several, 16u);
  EXPECT_GT(frequencies, 8u);
  EXPECT_GT(specials, 4u);
}

TEST(requests, what_surrounds_a_request_changes_none_of_its_tokens) {
  scenario_workload what = many();
  what.deadline_percent = 50;
  uint32_t hurried = 0, shared = 0;
  std::set<std::string> own, contents;
  std::set<int32_t> priorities;
  for (const auto& one : make_workload(what, 7)) {
    hurried += one.deadline.has_value();
    const duration left = one.deadline.value_or(duration(1));
    EXPECT_TRUE(left > duration{} && left <= what.deadline_max);
    EXPECT_FALSE(one.request->deadline); // a time of the door's clock, which is not known yet
    shared += one.request->cache_salt == "shared";
    const bool is_new = one.salt_is_own && own.insert(one.request->cache_salt).second;
    EXPECT_EQ(is_new, one.salt_is_own);
    priorities.insert(one.request->priority);
    contents.insert(content_key(*one.request));
  }
  EXPECT_TRUE(hurried > 150 && hurried < 250) << hurried;
  EXPECT_TRUE(shared > 10 && own.size() > 10) << shared << ' ' << own.size();
  EXPECT_EQ(priorities, (std::set<int32_t>{-1, 0, 1}));
  EXPECT_LE(contents.size(), request_variants);
}

TEST(requests, zero_and_hundred_percent_mean_none_and_all) {
  scenario_workload what = many();
  what.cancel_percent = 100;
  what.logprobs_percent = 0;
  what.greedy_percent = 100;
  for (const auto& one : make_workload(what, 5)) {
    ASSERT_TRUE(one.cancel_after);
    EXPECT_LE(*one.cancel_after, one.request->choices * one.request->tokens_max);
    EXPECT_FALSE(one.request->top_logprobs);
    EXPECT_EQ(one.request->sampling.temperature, 0);
  }
  what.cancel_percent = 0;
  for (const auto& one : make_workload(what, 5)) EXPECT_FALSE(one.cancel_after);
}

TEST(requests, bursts_number_their_clients_on_and_differ) {
  const auto first = make_burst(many(), 1, 0, 400, 50);
  const auto second = make_burst(many(), 1, 1, 450, 50);
  ASSERT_EQ(first.size(), 50u);
  EXPECT_EQ(first.front().client, 400u);
  EXPECT_EQ(second.back().client, 499u);
  EXPECT_EQ(first.front().arrives, duration{});
  const auto doors = [](const std::vector<client_request>& list) {
    std::vector<uint32_t> out;
    for (const auto& one : list) out.push_back(one.door);
    return out;
  };
  EXPECT_NE(doors(first), doors(second));
}

} // namespace
} // namespace troupe::simulations
