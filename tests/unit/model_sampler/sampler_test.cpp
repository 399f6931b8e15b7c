// The sampler against a naive reference that sorts everything, in long double with libm.
#include "model/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace troupe::model {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
using row = std::vector<float>;

// The distribution a request draws from: tokens best first with their probabilities.
struct share {
  int32_t token;
  double probability;
};

struct work {
  row logits{};
  sampling_options options{};
  token_history history{};
  std::vector<int32_t> banned{};
  uint32_t choice = 0;
  uint32_t position = 0;
  std::optional<uint32_t> top_logprobs{};

  result<sampled_token> draw() const {
    std::vector<float> scratch;
    return sample({logits, &options, &history, choice, position, top_logprobs, banned}, scratch);
  }
  int32_t token() const {
    const auto drawn = draw();
    EXPECT_TRUE(drawn.has_value());
    return drawn ? drawn->token : -1;
  }
};

std::vector<long double> adjusted(const work& w) {
  std::vector<long double> x(w.logits.begin(), w.logits.end());
  for (const auto& [token, bias] : w.options.logit_bias) x[static_cast<size_t>(token)] += bias;
  for (const auto& [token, seen] : w.history.tokens()) {
    auto& value = x[static_cast<size_t>(token)];
    const long double penalty = w.options.repetition_penalty;
    value = value > 0 ? value / penalty : value * penalty;
    value -= static_cast<long double>(w.options.frequency_penalty) * seen.output;
    value -= seen.output > 0 ? w.options.presence_penalty : 0;
    value = static_cast<float>(value); // the sampler keeps the row in f32
  }
  for (const int32_t token : w.banned) x[static_cast<size_t>(token)] = -infinity;
  return x;
}

std::vector<share> naive(const work& w) {
  const auto x = adjusted(w);
  std::vector<int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return x[static_cast<size_t>(a)] > x[static_cast<size_t>(b)];
  });
  if (w.options.temperature == 0) return {{order[0], 1}};
  std::vector<std::pair<int32_t, long double>> kept;
  for (const int32_t token : order)
    kept.emplace_back(token,
                      std::exp((x[static_cast<size_t>(token)] - x[static_cast<size_t>(order[0])]) /
                               w.options.temperature));
  if (w.options.top_k > 0 && w.options.top_k < kept.size()) kept.resize(w.options.top_k);
  long double total = 0;
  for (const auto& one : kept) total += one.second;
  if (w.options.top_p < 1) {
    long double cumulative = 0;
    size_t count = 0;
    while (count < kept.size() && cumulative < total * w.options.top_p)
      cumulative += kept[count++].second;
    kept.resize(count);
  }
  std::erase_if(kept, [&](const auto& one) { return one.second < w.options.min_p; });
  total = 0;
  for (const auto& one : kept) total += one.second;
  std::vector<share> out;
  for (const auto& [token, weight] : kept)
    out.push_back({token, static_cast<double>(weight / total)});
  return out;
}

// The token at u, or -1 when u is so near a boundary that rounding decides.
int32_t naive_token(const std::vector<share>& shares, double u) {
  double cumulative = 0;
  for (const share& one : shares) {
    cumulative += one.probability;
    if (std::fabs(cumulative - u) < 1e-11) return -1;
    if (cumulative > u) return one.token;
  }
  return shares.back().token;
}

double unit(uint64_t seed, uint64_t n) {
  return random_unit({seed, random_subsystem::workload, 0}, n);
}

row random_row(uint64_t seed, size_t vocabulary, double spread) {
  row logits(vocabulary);
  for (size_t id = 0; id < vocabulary; ++id) {
    // Roughly normal, with ties: a grid of sixteenths.
    const double normal =
        unit(seed, 3 * id) + unit(seed, 3 * id + 1) + unit(seed, 3 * id + 2) - 1.5;
    logits[id] = static_cast<float>(std::round(normal * spread * 16) / 16);
  }
  return logits;
}

// -- single properties

TEST(sampler_test, greedy_takes_the_largest_and_of_equals_the_lowest_id) {
  EXPECT_EQ((work{.logits = {1, 5, 3, 5}, .options = {.temperature = 0}}.token()), 1);
  EXPECT_EQ((work{.logits = {-infinity, -5, -infinity}, .options = {.temperature = 0}}.token()), 1);
}

TEST(sampler_test, draws_follow_the_exact_probabilities) {
  work w{.logits = {2, 1, 0, -1, 1, -3, 0.5f, -infinity}, .options = {.temperature = 0.8f}};
  const auto shares = naive(w);
  std::map<int32_t, double> counts;
  constexpr int draws = 60000;
  for (int n = 0; n < draws; ++n) {
    w.position = static_cast<uint32_t>(n);
    ++counts[w.token()];
  }
  double chi_square = 0;
  for (const share& one : shares) {
    const double expected = one.probability * draws;
    if (expected > 0) chi_square += std::pow(counts[one.token] - expected, 2) / expected;
  }
  EXPECT_LT(chi_square, 22.46);   // 6 degrees of freedom, one in a thousand; the draws are keyed
  EXPECT_EQ(counts.count(7), 0u); // masked
}

TEST(sampler_test, seeds_choices_and_positions_draw_independently) {
  work w{.logits = row(64, 0)};
  const auto stream = [&w](uint64_t seed, uint32_t choice) {
    w.options.seed = seed;
    w.choice = choice;
    std::vector<int32_t> tokens;
    for (w.position = 0; w.position < 50; ++w.position) tokens.push_back(w.token());
    return tokens;
  };
  EXPECT_EQ(stream(1, 0), stream(1, 0));
  EXPECT_NE(stream(1, 0), stream(2, 0));
  EXPECT_NE(stream(1, 0), stream(1, 1));
}

TEST(sampler_test, scratch_and_earlier_calls_change_nothing) {
  const work w{.logits = random_row(1, 500, 4), .options = {.top_p = 0.9f, .seed = 3}};
  std::vector<float> dirty(10000, 77);
  const sample_args args{w.logits, &w.options, &w.history, 0, 0, {}, {}};
  const int32_t first = sample(args, dirty)->token;
  EXPECT_EQ(sample(args, dirty)->token, first);
  EXPECT_EQ(w.token(), first);
}

TEST(sampler_test, top_k_keeps_exactly_k_and_of_equals_the_lower_ids) {
  work w{.logits = {1, 3, 2, 2, 2}, .options = {.top_k = 3}};
  std::map<int32_t, int> counts;
  for (w.position = 0; w.position < 500; ++w.position) ++counts[w.token()];
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts.count(3) + counts.count(2) + counts.count(1), 3u);
}

TEST(sampler_test, one_candidate_is_always_drawn) {
  const work alone[] = {
      {.logits = {-2}},
      {.logits = {-infinity, 3, -infinity}},
      {.logits = {0, 0, 1}, .options = {.top_k = 1}},
      {.logits = {0, 0, 1}, .options = {.top_p = 1e-6f}},
      {.logits = {0, 0, 1}, .options = {.min_p = 1}},
      {.logits = {0, 0, 1}, .options = {.temperature = 1e-30f}},
      {.logits = {0, 0, 1}, .banned = {0, 1}},
      {.logits = {0, 0, 1},
       .options = {.temperature = 1e-3f, .logit_bias = {{0, -100}, {1, -100}}}},
  };
  for (work w : alone) {
    const int32_t expected = w.logits.size() == 1 ? 0 : w.logits[1] == 3 ? 1 : 2;
    for (w.position = 0; w.position < 100; ++w.position) ASSERT_EQ(w.token(), expected);
  }
}

TEST(sampler_test, banned_tokens_are_never_drawn_and_banning_all_is_said) {
  work w{.logits = {9, 0, 0}, .banned = {0, 77, -1}};
  for (w.position = 0; w.position < 200; ++w.position) EXPECT_NE(w.token(), 0);
  w.banned = {0, 1, 2};
  ASSERT_FALSE(w.draw().has_value());
  EXPECT_EQ(w.draw().error().code(), status_code::invalid_argument);
}

TEST(sampler_test, repetition_divides_positive_and_multiplies_negative_logits) {
  work w{.logits = {4, 3, -1, -2}, .options = {.temperature = 0, .repetition_penalty = 2}};
  w.history.add_prompt(std::vector<int32_t>{0});
  EXPECT_EQ(w.token(), 1); // 2 < 3
  w.logits = {-1, -1.5f};
  EXPECT_EQ(w.token(), 1); // -2 < -1.5
}

TEST(sampler_test, presence_and_frequency_look_at_the_output_only) {
  work w{.logits = {2, 1}, .options = {.temperature = 0, .presence_penalty = 1.5f}};
  w.history.add_prompt(std::vector<int32_t>{0, 0});
  EXPECT_EQ(w.token(), 0);
  w.history.add_output(0);
  EXPECT_EQ(w.token(), 1);
  w.options = {.temperature = 0, .frequency_penalty = 0.6f};
  EXPECT_EQ(w.token(), 0); // 2 - 0.6
  w.history.add_output(0);
  EXPECT_EQ(w.token(), 1); // 2 - 1.2
}

TEST(sampler_test, history_beyond_the_vocabulary_has_no_effect) {
  work w{.logits = {2, 1}, .options = {.temperature = 0, .repetition_penalty = 5}};
  w.history.add_prompt(std::vector<int32_t>{2, 1000000, -1});
  EXPECT_EQ(w.token(), 0);
}

TEST(sampler_test, refuses_rows_that_mean_nothing) {
  for (const row& logits :
       {row{1, std::nanf(""), 2}, row{1, infinity}, row{-infinity, -infinity}, row{}}) {
    const work w{.logits = logits};
    ASSERT_FALSE(w.draw().has_value());
    EXPECT_EQ(w.draw().error().code(), status_code::corrupt);
    EXPECT_EQ(score(logits, 0, 0).error().code(), status_code::corrupt);
  }
  EXPECT_EQ((work{.logits = {1, std::nanf("")}}.draw().error().why()),
            "the logit of token 1 is NaN");
}

TEST(sampler_test, extreme_values_stay_finite) {
  const float largest = std::numeric_limits<float>::max();
  work w{.logits = {largest, -largest, 0, largest / 2}};
  w.history.add_prompt(std::vector<int32_t>{0, 1, 2, 3});
  for (const float temperature : {1e-38f, 1.0f, 1e38f})
    for (const float penalty : {1e-38f, 1.0f, 1e38f}) {
      w.options = {.temperature = temperature, .repetition_penalty = penalty};
      w.top_logprobs = 4;
      const auto drawn = w.draw();
      ASSERT_TRUE(drawn.has_value());
      EXPECT_FALSE(std::isnan(drawn->logprob));
      for (const auto& one : drawn->top) EXPECT_FALSE(std::isnan(one.logprob));
    }
}

TEST(sampler_test, all_options_default_cost_no_candidate_its_chance) {
  work w{.logits = row(1000, 1.5f)};
  std::map<int32_t, int> counts;
  for (w.position = 0; w.position < 20000; ++w.position) ++counts[w.token()];
  EXPECT_EQ(counts.size(), 1000u);
}

// -- log-probabilities

TEST(sampler_test, log_probabilities_are_those_of_the_raw_row) {
  work w{.logits = random_row(4, 300, 6),
         .options = {.temperature = 0.3f, .top_k = 2, .seed = 5},
         .top_logprobs = 300};
  w.options.logit_bias = {{7, 100}};
  const auto drawn = w.draw();
  ASSERT_TRUE(drawn.has_value());
  EXPECT_EQ(drawn->token, 7);
  ASSERT_EQ(drawn->top.size(), 300u);
  long double total = 0;
  for (const float logit : w.logits) total += std::exp(static_cast<long double>(logit));
  double sum = 0;
  for (const token_logprob& one : drawn->top) {
    EXPECT_NEAR(one.logprob,
                static_cast<double>(w.logits[static_cast<size_t>(one.token)] - std::log(total)),
                1e-5);
    sum += std::exp(one.logprob);
    if (one.token == 7) {
      EXPECT_EQ(one.logprob, drawn->logprob);
    }
  }
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_TRUE(
      std::is_sorted(drawn->top.begin(), drawn->top.end(), [](const auto& a, const auto& b) {
        return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
      }));
}

TEST(sampler_test, log_probabilities_come_only_when_asked_for) {
  work w{.logits = {0, 1, 2}};
  EXPECT_EQ(w.draw()->logprob, 0);
  w.top_logprobs = 0;
  EXPECT_LT(w.draw()->logprob, 0);
  EXPECT_TRUE(w.draw()->top.empty());
  w.top_logprobs = 2;
  EXPECT_EQ(w.draw()->top.size(), 2u);
}

TEST(sampler_test, top_log_probabilities_reach_below_what_can_be_drawn) {
  const row logits = {-60, 0, -50, -infinity, -50, -1000};
  const auto top = score(logits, 1, 9)->top;
  std::vector<int32_t> ids;
  for (const token_logprob& one : top) ids.push_back(one.token);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 4, 0, 5}));
  EXPECT_EQ(top[4].logprob, -1000);
}

TEST(sampler_test, score_gives_any_tokens_log_probability) {
  const row logits = {0, std::log(3.0f), -infinity};
  EXPECT_NEAR(score(logits, 0, 0)->logprob, std::log(0.25), 1e-6);
  EXPECT_NEAR(score(logits, 1, 1)->logprob, std::log(0.75), 1e-6);
  EXPECT_EQ(score(logits, 0, 1)->top[0].token, 1);
  EXPECT_EQ(score(logits, 2, 0)->logprob, -infinity); // masked: as unlikely as can be
  EXPECT_EQ(score(logits, 1, 5)->top.size(), 2u);
  EXPECT_EQ(score(logits, 3, 0).error().code(), status_code::invalid_argument);
  EXPECT_EQ(score(logits, -1, 0).error().code(), status_code::invalid_argument);
}

// -- everything together

TEST(sampler_test, agrees_with_the_naive_reference_for_random_options) {
  int undecided = 0;
  std::map<size_t, int> kept_sizes;
  constexpr int rounds = 6000;
  for (int round = 0; round < rounds; ++round) {
    uint64_t n = 0;
    const auto u = [&] { return unit(static_cast<uint64_t>(round) + 1000, n++); };
    const auto maybe = [&](auto value, auto otherwise) { return u() < 0.5 ? value : otherwise; };
    work w;
    w.logits = random_row(static_cast<uint64_t>(round), 1 + static_cast<size_t>(u() * u() * 800),
                          0.1 + u() * 20);
    const auto token = [&] {
      return static_cast<int32_t>(u() * static_cast<double>(w.logits.size()));
    };
    w.options.temperature = static_cast<float>(u() < 0.1 ? 0 : u() * 2 + 0.01);
    w.options.top_k = maybe(static_cast<uint32_t>(1 + u() * 50), 0u);
    w.options.top_p = maybe(static_cast<float>(0.01 + u() * 0.98), 1.0f);
    w.options.min_p = maybe(static_cast<float>(u() * 0.3), 0.0f);
    w.options.repetition_penalty = maybe(static_cast<float>(0.5 + u() * 1.5), 1.0f);
    w.options.presence_penalty = maybe(static_cast<float>(u() * 4 - 2), 0.0f);
    w.options.frequency_penalty = maybe(static_cast<float>(u() * 4 - 2), 0.0f);
    w.options.seed = static_cast<uint64_t>(round);
    w.position = static_cast<uint32_t>(u() * 1000);
    for (int count = static_cast<int>(u() * 3); count > 0; --count)
      w.options.logit_bias.emplace_back(token(), std::round(static_cast<float>(u() * 20 - 10)));
    for (int count = static_cast<int>(u() * 9); count > 0; --count) {
      w.history.add_output(token());
      w.history.add_prompt(std::vector<int32_t>{token()});
    }
    if (w.logits.size() > 3 && u() < 0.2) w.banned = {token()};
    if (u() < 0.1)
      for (size_t id = 1; id < w.logits.size(); id += 2) w.logits[id] = -infinity;

    const auto shares = naive(w);
    const float draw = random_unit({w.options.seed, random_subsystem::sampling, 0}, w.position);
    const int32_t expected = naive_token(shares, draw);
    ++kept_sizes[std::min<size_t>(shares.size(), 3)];
    if (expected < 0) {
      ++undecided;
      continue;
    }
    ASSERT_EQ(w.token(), expected) << "round " << round;
  }
  EXPECT_LT(undecided, rounds / 100);
  EXPECT_GT(kept_sizes[3], rounds / 3);
}

TEST(sampler_test, a_large_vocabulary_is_drawn_like_a_small_one) {
  work w{.logits = random_row(9, 150000, 12), .options = {.temperature = 0.9f}};
  const float choices[][3] = {
      {0, 1, 0}, {40, 1, 0}, {0, 0.95f, 0}, {0, 1, 0.05f}, {1000, 0.9f, 0.01f}};
  for (const auto& [top_k, top_p, min_p] : choices) {
    w.options.top_k = static_cast<uint32_t>(top_k);
    w.options.top_p = top_p;
    w.options.min_p = min_p;
    const auto shares = naive(w);
    for (w.position = 0; w.position < 10; ++w.position) {
      const int32_t expected =
          naive_token(shares, random_unit({0, random_subsystem::sampling, 0}, w.position));
      if (expected >= 0) {
        EXPECT_EQ(w.token(), expected);
      }
    }
  }
}

} // namespace
} // namespace troupe::model
