// Which sampling options are allowed, and what the message says about those that are not.
#include "model/sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace troupe::model {
namespace {

constexpr uint32_t vocabulary = 100;
constexpr float infinity = std::numeric_limits<float>::infinity();

std::string why(const std::function<void(sampling_options&)>& change) {
  sampling_options options;
  change(options);
  const status s = validate(options, vocabulary);
  EXPECT_TRUE(s.ok() || s.code() == status_code::invalid_argument);
  return s.ok() ? "" : s.why();
}

TEST(sampler_options_test, accepts_the_defaults_and_every_bound) {
  EXPECT_EQ(why([](auto&) {}), "");
  EXPECT_EQ(why([](auto& o) { o.temperature = 0; }), "");
  EXPECT_EQ(why([](auto& o) { o.temperature = 100; }), "");
  EXPECT_EQ(why([](auto& o) { o.top_p = 1e-6f; }), "");
  EXPECT_EQ(why([](auto& o) { o.top_k = UINT32_MAX; }), "");
  EXPECT_EQ(why([](auto& o) { o.min_p = 1; }), "");
  EXPECT_EQ(why([](auto& o) { o.presence_penalty = -2; }), "");
  EXPECT_EQ(why([](auto& o) { o.frequency_penalty = 2; }), "");
  EXPECT_EQ(why([](auto& o) { o.repetition_penalty = 1e-3f; }), "");
  EXPECT_EQ(why([](auto& o) { o.logit_bias = {{0, -100}, {99, 100}}; }), "");
}

TEST(sampler_options_test, names_the_field_its_value_and_the_range) {
  EXPECT_EQ(why([](auto& o) { o.temperature = -0.5f; }),
            "temperature is -0.5; it must be at least 0");
  EXPECT_EQ(why([](auto& o) { o.top_p = 0; }),
            "top_p is 0; it must be greater than 0 and at most 1");
  EXPECT_EQ(why([](auto& o) { o.top_p = 1.1f; }),
            "top_p is 1.1; it must be greater than 0 and at most 1");
  EXPECT_EQ(why([](auto& o) { o.min_p = -0.1f; }),
            "min_p is -0.1; it must be at least 0 and at most 1");
  EXPECT_EQ(why([](auto& o) { o.repetition_penalty = 0; }),
            "repetition_penalty is 0; it must be greater than 0");
  EXPECT_EQ(why([](auto& o) { o.presence_penalty = 2.5f; }),
            "presence_penalty is 2.5; it must be at least -2 and at most 2");
  EXPECT_EQ(why([](auto& o) { o.frequency_penalty = -3; }),
            "frequency_penalty is -3; it must be at least -2 and at most 2");
  EXPECT_EQ(why([](auto& o) {
              o.logit_bias = {{3, 101}};
            }),
            "token 3: logit_bias is 101; it must be at least -100 and at most 100");
  EXPECT_EQ(why([](auto& o) {
              o.logit_bias = {{5, 1}, {100, 1}};
            }),
            "logit_bias names token 100; the vocabulary has 0 to 99");
  EXPECT_NE(why([](auto& o) { o.logit_bias = {{-1, 1}}; }), "");
}

TEST(sampler_options_test, refuses_nan_and_infinity_everywhere) {
  const std::function<float&(sampling_options&)> fields[] = {
      [](auto& o) -> float& { return o.temperature; },
      [](auto& o) -> float& { return o.top_p; },
      [](auto& o) -> float& { return o.min_p; },
      [](auto& o) -> float& { return o.repetition_penalty; },
      [](auto& o) -> float& { return o.presence_penalty; },
      [](auto& o) -> float& { return o.frequency_penalty; },
  };
  for (const auto& field : fields)
    for (const float value : {std::nanf(""), infinity, -infinity})
      EXPECT_NE(why([&](auto& o) { field(o) = value; }), "") << value;
  EXPECT_NE(why([](auto& o) { o.logit_bias = {{1, std::nanf("")}}; }), "");
}

} // namespace
} // namespace troupe::model
