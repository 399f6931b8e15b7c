// Parameter counts against the published ones.
#include "simulations/capacity/model_shape.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

TEST(model_shape, counts_what_the_models_are_named_after) {
  const auto mixtral = *model_named("mixtral-8x7b");
  EXPECT_NEAR(mixtral.params() / 1e9, 46.7, 0.1);
  EXPECT_NEAR(mixtral.active_params() / 1e9, 12.8, 0.2);
  const auto qwen = *model_named("qwen3-30b-a3b");
  EXPECT_NEAR(qwen.params() / 1e9, 30.5, 0.1);
  EXPECT_NEAR(qwen.active_params() / 1e9, 3.0, 0.4);
  const auto deepseek = *model_named("deepseek-v3");
  EXPECT_NEAR(deepseek.params() / 1e9, 671, 1);
  EXPECT_NEAR(deepseek.active_params() / 1e9, 37, 1);
}

TEST(model_shape, knows_the_cache_of_each_kind_of_attention) {
  EXPECT_EQ(model_named("mixtral-8x7b")->kv_bytes_per_token(), 32 * 2 * 8 * 128 * 2);
  EXPECT_EQ(model_named("deepseek-v3")->kv_bytes_per_token(), 61 * (512 + 64) * 2);
}

TEST(model_shape, refuses_an_unknown_name) {
  const auto wrong = model_named("deepseek-v4");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().why().find("did you mean deepseek-v3?"), std::string::npos);
}

} // namespace
} // namespace troupe::simulations::capacity
