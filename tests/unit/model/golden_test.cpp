// Every golden checkpoint against what transformers computed: logits of all positions, greedy
// tokens, and bits that do not depend on how a prompt is cut or on who else is in a step.
#include "tests/unit/model/checkpoint.hpp"

#include "compute/cpu_executor.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>

namespace troupe::model_test {
namespace {

struct golden_prompt {
  std::vector<int32_t> tokens;
  std::vector<int32_t> greedy;
  std::vector<float> logits; // [tokens, vocabulary]
};

std::vector<golden_prompt> prompts_of(const checkpoint& files) {
  const auto json = nlohmann::json::parse(files.files.at("golden.json"));
  const auto& stored = files.files.at("golden.safetensors");
  const auto logits = model::safetensors_file::parse(
      "golden.safetensors", {reinterpret_cast<const std::byte*>(stored.data()), stored.size()});
  std::vector<golden_prompt> out;
  for (const auto& prompt : json.at("prompts")) {
    const auto* tensor = logits->find("logits." + std::to_string(out.size()));
    golden_prompt next{prompt.at("tokens"), prompt.at("greedy"),
                       std::vector<float>(tensor->data.size() / sizeof(float))};
    std::memcpy(next.logits.data(), tensor->data.data(), tensor->data.size());
    out.push_back(std::move(next));
  }
  return out;
}

// How far logits are from the golden ones. The golden values are f32 results themselves: held
// against the same models in f64 they are off by up to 8e-6 of a row's largest logit, more than
// ours are.
struct difference {
  double worst = 0; // largest |a - b| / max(|b|, a fiftieth of the row's largest logit)
  double mean = 0;  // root of the mean square of a - b over that of b
};

difference compare(std::span<const float> got, std::span<const float> golden, size_t vocabulary) {
  difference out;
  double squares = 0, golden_squares = 0;
  for (size_t begin = 0; begin < golden.size(); begin += vocabulary) {
    float most = 0;
    for (size_t i = 0; i < vocabulary; ++i) most = std::max(most, std::abs(golden[begin + i]));
    for (size_t i = begin; i < begin + vocabulary; ++i) {
      const double off = std::abs(static_cast<double>(got[i]) - golden[i]);
      const double relative = off / std::max(std::abs(golden[i]), most / 50);
      out.worst = std::max(out.worst, std::isnan(relative) ? INFINITY : relative);
      squares += off * off;
      golden_squares += static_cast<double>(golden[i]) * golden[i];
    }
  }
  out.mean = std::sqrt(squares / golden_squares);
  return out;
}

class golden : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    executor = compute::make_cpu_executor({.threads = 2}).value();
    auto read = load(checkpoint::read(golden_folder(GetParam())), *executor);
    ASSERT_TRUE(read.has_value()) << read.error().why();
    loaded = std::move(*read);
    prompts = prompts_of(loaded->files);
    ASSERT_GE(prompts.size(), 4u);
    auto made = model::decoder::make(loaded->description, loaded->weights, *executor,
                                     {.positions_max = 512, .sequences_max = 4, .rows_max = 512});
    ASSERT_TRUE(made.has_value()) << made.error().why();
    runner.emplace(std::move(*made));
  }

  std::unique_ptr<compute::executor> executor;
  std::unique_ptr<loaded_model> loaded;
  std::vector<golden_prompt> prompts;
  std::optional<model::decoder> runner;
};

TEST_P(golden, logits_agree_at_every_position) {
  for (const auto& prompt : prompts) {
    const auto logits = runner->logits_of(prompt.tokens);
    ASSERT_TRUE(logits.has_value()) << logits.error().why();
    ASSERT_EQ(logits->size(), prompt.logits.size());
    const auto off = compare(*logits, prompt.logits, loaded->description.vocabulary);
    EXPECT_LT(off.worst, 2e-4);
    EXPECT_LT(off.mean, 1e-5);
  }
}

TEST_P(golden, greedy_continuations_are_equal) {
  for (const auto& prompt : prompts) {
    const auto tokens = runner->greedy(prompt.tokens, static_cast<uint32_t>(prompt.greedy.size()));
    ASSERT_TRUE(tokens.has_value()) << tokens.error().why();
    EXPECT_EQ(*tokens, prompt.greedy);
  }
}

TEST_P(golden, chunks_of_a_prompt_change_no_bit) {
  for (const auto& prompt : prompts) {
    const auto whole = runner->logits_of(prompt.tokens);
    for (const uint32_t chunk : {1u, 3u, 16u}) {
      ASSERT_EQ(*runner->logits_of(prompt.tokens, chunk), *whole) << "chunks of " << chunk;
    }
  }
}

TEST_P(golden, neighbours_in_a_step_change_no_bit) {
  std::vector<float> alone;
  std::vector<model::decoder::input> inputs;
  for (uint32_t s = 0; s < 4; ++s) {
    const auto& tokens = prompts[3 - s].tokens;
    const auto logits = runner->logits_of(tokens);
    alone.insert(alone.end(), logits->begin(), logits->end());
    inputs.push_back(
        {.sequence = s, .tokens = tokens, .prompt_length = static_cast<uint32_t>(tokens.size())});
  }
  runner->forget(0);
  ASSERT_EQ(*runner->step(inputs), alone);
}

TEST_P(golden, uses_every_tensor) {
  EXPECT_EQ(loaded->survey.unused, std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(checkpoints, golden, testing::ValuesIn(golden_names()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
