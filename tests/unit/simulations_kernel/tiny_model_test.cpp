// The model of the simulations: loads, has the shape it should, says varied things and always the
// same.
#include "simulations/seams/tiny_model.hpp"

#include "compute/cpu_executor.hpp"
#include "model/decoder.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace troupe::simulations {
namespace {

class tiny_model_test : public testing::Test {
protected:
  std::vector<int32_t> greedy(const std::string& prompt, uint32_t count) {
    auto decoder = model::decoder::make(*bundle->description, *bundle->weights, *cpu, {}).value();
    return decoder.greedy(bundle->tokenizer->encode(prompt).value(), count).value();
  }
  std::vector<float> logits(const std::string& prompt) {
    auto decoder = model::decoder::make(*bundle->description, *bundle->weights, *cpu, {}).value();
    return decoder.logits_of(bundle->tokenizer->encode(prompt).value()).value();
  }

  std::unique_ptr<compute::executor> cpu = compute::make_cpu_executor({.threads = 1}).value();
  std::shared_ptr<const actors::model_bundle> bundle = make_tiny_model(*cpu, {}).value();
};

TEST_F(tiny_model_test, has_a_dense_layer_and_then_experts) {
  EXPECT_TRUE(bundle->warnings.empty());
  const auto& layers = bundle->description->layers;
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].moe.rule.experts, 0u);
  for (size_t i = 1; i < layers.size(); ++i) EXPECT_EQ(layers[i].moe.rule.experts, 8u);
}

TEST_F(tiny_model_test, its_tokens_are_the_bytes) {
  std::string all(256, '\0');
  std::iota(all.begin(), all.end(), '\0');
  for (const std::string& piece : {std::string("a \"quoted\\\" text\n"), std::string("ä€😀")}) {
    const auto ids = bundle->tokenizer->encode(piece).value();
    ASSERT_EQ(ids.size(), piece.size());
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], static_cast<unsigned char>(piece[i]));
    EXPECT_EQ(bundle->tokenizer->decode(ids, false), piece);
  }
}

TEST_F(tiny_model_test, says_different_things_to_different_prompts) {
  std::set<std::vector<int32_t>> answers;
  std::set<int32_t> tokens;
  size_t stuck = 0;
  for (int i = 0; i < 40; ++i) {
    const auto answer = greedy("prompt " + std::to_string(i * 7919), 16);
    answers.insert(answer);
    tokens.insert(answer.begin(), answer.end());
    stuck += std::set<int32_t>(answer.begin(), answer.end()).size() < 4;
  }
  EXPECT_GE(answers.size(), 38u);
  EXPECT_GE(tokens.size(), 40u);
  EXPECT_LE(stuck, 8u);
}

TEST_F(tiny_model_test, its_logits_leave_a_choice_without_being_flat) {
  const auto all = logits("Once upon a time");
  const std::vector<float> last(all.end() - tiny_model_end - 1, all.end());
  const float top = *std::max_element(last.begin(), last.end());
  const auto near = std::count_if(last.begin(), last.end(), [&](float v) { return v > top - 3; });
  const auto far = std::count_if(last.begin(), last.end(), [&](float v) { return v < top - 6; });
  EXPECT_GE(near, 3);
  EXPECT_GE(far, 50);
}

TEST_F(tiny_model_test, every_early_token_matters) {
  const auto a = greedy("abcdefghijklmnop", 12), b = greedy("Xbcdefghijklmnop", 12);
  EXPECT_NE(a, b);
}

// The tokens are written down, so that a compiler or machine that computes otherwise is noticed.
TEST_F(tiny_model_test, is_the_same_every_time_and_everywhere) {
  const auto again = make_tiny_model(*cpu, {}).value();
  EXPECT_EQ(again->fingerprint, bundle->fingerprint);
  EXPECT_EQ(greedy("same", 8), (std::vector<int32_t>{246, 54, 62, 9, 14, 50, 222, 23}));
}

TEST_F(tiny_model_test, other_shapes_load_and_wrong_ones_are_refused) {
  tiny_model_options wide{.layers = 2, .hidden = 32, .experts = 4, .top_k = 1, .positions_max = 64};
  EXPECT_TRUE(make_tiny_model(*cpu, wide).has_value());
  wide.top_k = 5;
  EXPECT_EQ(make_tiny_model(*cpu, wide).error().code(), status_code::invalid_argument);
}

} // namespace
} // namespace troupe::simulations
