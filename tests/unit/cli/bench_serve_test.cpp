// Requests of a measurement, and what becomes of answers in its table.
#include "cli/bench_serve.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace troupe::cli {
namespace {

using std::chrono::milliseconds;

TEST(bench_serve, requests_come_at_the_rate_and_are_the_seeds) {
  bench_serve_settings settings;
  settings.window = 1000;
  settings.prompt_length = 5;
  settings.token_ids = 7;
  const auto requests = requests_at(4, settings, "m", 1);
  EXPECT_NEAR(static_cast<double>(requests.size()), 4000, 250); // four deviations
  EXPECT_TRUE(std::is_sorted(requests.begin(), requests.end(),
                             [](const auto& a, const auto& b) { return a.at < b.at; }));
  EXPECT_LT(requests.back().at, std::chrono::seconds(1000));
  const auto body = nlohmann::json::parse(requests[3].body);
  EXPECT_EQ(body["prompt"].size(), 5u);
  for (const auto& id : body["prompt"]) EXPECT_LT(id, 7);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["max_tokens"], settings.answer_length);
  const auto again = requests_at(4, settings, "m", 1);
  EXPECT_EQ(again[9].body, requests[9].body);
  EXPECT_EQ(again[9].at, requests[9].at);
  EXPECT_NE(requests_at(4, settings, "m", 2)[9].body, requests[9].body);
}

TEST(bench_serve, there_is_always_a_request) {
  bench_serve_settings settings;
  settings.window = 1;
  EXPECT_EQ(requests_at(1e-6, settings, "m", 1).size(), 1u);
}

server::load_answer answered(int asked_ms, int first_ms, int each_ms, int tokens) {
  server::load_answer out;
  out.sent = out.complete = true;
  out.status = 200;
  out.tokens = static_cast<uint64_t>(tokens);
  out.asked = milliseconds(asked_ms);
  out.first = milliseconds(asked_ms + first_ms);
  out.last = out.first + milliseconds(each_ms) * (tokens - 1);
  out.gaps.assign(static_cast<size_t>(tokens - 1), milliseconds(each_ms));
  return out;
}

TEST(bench_serve, good_answers_are_those_within_both_limits) {
  std::vector<server::load_answer> answers = {answered(0, 100, 10, 11), answered(100, 300, 10, 11),
                                              answered(200, 100, 30, 11),
                                              answered(800, 100, 10, 11)};
  server::load_answer refused;
  refused.sent = true;
  refused.status = 429;
  server::load_answer broken = answered(0, 50, 10, 3);
  broken.complete = false;
  broken.trouble = "the stream broke off";
  answers.insert(answers.end(), {refused, broken, server::load_answer{}});
  const auto row = row_of(answers, {milliseconds(200), milliseconds(20)});
  EXPECT_EQ(row.sent, 6u);
  EXPECT_EQ(row.complete, 4u);
  EXPECT_EQ(row.refused, 1u);
  EXPECT_EQ(row.failed, 1u);
  EXPECT_EQ(row.good, 2u);
  EXPECT_EQ(row.trouble, "the stream broke off");
  EXPECT_DOUBLE_EQ(row.seconds, 1.0);
  EXPECT_DOUBLE_EQ(row.tokens_per_s, 47);
  EXPECT_DOUBLE_EQ(row.good_per_s, 2);
  EXPECT_DOUBLE_EQ(row.first_token.p50, 100);
  EXPECT_DOUBLE_EQ(row.first_token.p99, 300);
  EXPECT_DOUBLE_EQ(row.per_token.most, 30);
  EXPECT_DOUBLE_EQ(row.gap.p50, 10);
  EXPECT_NE(load_table({row}).find("one that failed: the stream broke off"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(load_json({row}, {}, "m"))["rows"][0]["good"], 2);
}

TEST(bench_serve, nothing_answered_is_nothing_divided) {
  const auto row = row_of({server::load_answer{}}, {});
  EXPECT_EQ(row.sent, 0u);
  EXPECT_EQ(row.tokens_per_s, 0);
}

TEST(bench_serve, rates_are_positive_numbers) {
  EXPECT_EQ(*parse_rates("--rates", "0.5,2,8"), (std::vector<double>{0.5, 2, 8}));
  for (const char* bad : {"", "0", "-1", "a", "1,,2", "nan", "inf", "1e9", "1,"})
    EXPECT_FALSE(parse_rates("--rates", bad).has_value()) << bad;
}

} // namespace
} // namespace troupe::cli
