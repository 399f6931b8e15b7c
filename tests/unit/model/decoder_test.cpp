// The plain runner: limits, several sequences, perplexity, formats, thread counts.
#include "tests/unit/model/checkpoint.hpp"

#include "compute/cpu_executor.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::model_test {
namespace {

class decoder : public testing::Test {
protected:
  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  std::unique_ptr<loaded_model> loaded =
      load(checkpoint::read(golden_folder("deepseek_v3_yarn")), *executor).value();
  const std::vector<int32_t> prompt = {5, 17, 99, 3, 140, 22, 8, 61, 7, 5, 30};

  model::decoder make(const model::decoder_options& options) {
    return model::decoder::make(loaded->description, loaded->weights, *executor, options).value();
  }
};

TEST_F(decoder, refuses_what_does_not_fit) {
  auto runner = make({.positions_max = 8, .rows_max = 6});
  EXPECT_EQ(runner.logits_of(prompt).error().code(), status_code::exhausted);
  const std::vector<int32_t> outside = {5, 192}, negative = {-1};
  EXPECT_EQ(runner.logits_of(outside).error().code(), status_code::invalid_argument);
  EXPECT_EQ(runner.logits_of(negative).error().code(), status_code::invalid_argument);
  const model::decoder::input seven{.sequence = 0, .tokens = std::span(prompt).first(7)};
  runner.forget(0);
  EXPECT_EQ(runner.step({&seven, 1}).error().code(), status_code::invalid_argument);
  EXPECT_EQ(runner.step({}).error().code(), status_code::invalid_argument);
}

TEST_F(decoder, reports_memory_that_cannot_be_had) {
  const auto tiny =
      compute::make_cpu_executor({.threads = 1, .allocation_bytes_max = 100000}).value();
  const auto made =
      model::decoder::make(loaded->description, loaded->weights, *tiny, {.rows_max = 4096});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code(), status_code::exhausted);
}

TEST_F(decoder, gives_the_same_bits_with_any_number_of_threads) {
  auto runner = make({.positions_max = 64});
  const auto expected = runner.logits_of(prompt).value();
  for (const uint32_t threads : {1u, 3u}) {
    const auto other = compute::make_cpu_executor({.threads = threads}).value();
    const auto same = load(loaded->files, *other).value();
    auto again =
        model::decoder::make(same->description, same->weights, *other, {.positions_max = 64})
            .value();
    EXPECT_EQ(again.logits_of(prompt).value(), expected) << threads;
  }
}

TEST_F(decoder, gives_the_same_bits_on_every_instruction_set_and_chunk_in_every_format) {
  using compute::instruction_set, compute::weight_format;
  for (const auto format : {weight_format::f32, weight_format::bf16, weight_format::f16,
                            weight_format::int8, weight_format::int4}) {
    std::vector<float> expected;
    for (const auto set :
         {instruction_set::reference, instruction_set::avx2, instruction_set::avx512}) {
      if (!compute::supported(set)) continue;
      const auto device = compute::make_cpu_executor({.threads = 2, .set = set}).value();
      const auto same = load(loaded->files, *device, {.format = format, .progress = {}}).value();
      auto runner =
          model::decoder::make(same->description, same->weights, *device, {.positions_max = 64})
              .value();
      if (expected.empty()) expected = runner.logits_of(prompt).value();
      for (const uint32_t chunk : {0u, 1u, 4u}) {
        EXPECT_EQ(runner.logits_of(prompt, chunk).value(), expected)
            << compute::to_string(format) << " " << compute::to_string(set) << " " << chunk;
      }
    }
  }
}

TEST_F(decoder, does_not_see_what_was_forgotten) {
  auto runner = make({.positions_max = 64, .sequences_max = 2, .page_tokens = 8});
  const auto expected = runner.logits_of(prompt).value();
  const std::vector<int32_t> noise(40, 77);
  ASSERT_TRUE(runner.logits_of(noise).has_value());
  EXPECT_EQ(runner.logits_of(prompt).value(), expected);
  EXPECT_EQ(runner.length(0), prompt.size());
}

TEST_F(decoder, predicts_alike_in_all_formats) {
  // A dense model: where experts are chosen, a small difference may choose another one.
  loaded = load(checkpoint::read(golden_folder("llama_base")), *executor).value();
  auto runner = make({.positions_max = 64});
  const auto exact = runner.logits_of(prompt).value();
  const std::pair<compute::weight_format, double> formats[] = {{compute::weight_format::f32, 0},
                                                               {compute::weight_format::int8, 0.05},
                                                               {compute::weight_format::int4, 0.5}};
  for (const auto& [format, tolerance] : formats) {
    const auto narrow = load(loaded->files, *executor, {.format = format, .progress = {}}).value();
    auto other =
        model::decoder::make(narrow->description, narrow->weights, *executor, {.positions_max = 64})
            .value();
    const auto logits = other.logits_of(prompt).value();
    double off = 0, size = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      off += std::pow(logits[i] - exact[i], 2);
      size += std::pow(exact[i], 2);
    }
    EXPECT_LE(std::sqrt(off / size), tolerance) << compute::to_string(format);
  }
}

TEST_F(decoder, measures_perplexity) {
  auto runner = make({.positions_max = 64});
  const auto whole = model::perplexity(runner, prompt, 64).value();
  EXPECT_EQ(whole.tokens, prompt.size() - 1);
  const auto logits = runner.logits_of(prompt).value();
  double nats = 0;
  for (size_t i = 0; i + 1 < prompt.size(); ++i) {
    double sum = 0;
    for (size_t t = 0; t < 192; ++t) sum += std::exp(double{logits[i * 192 + t]});
    nats += std::log(sum) - logits[i * 192 + static_cast<size_t>(prompt[i + 1])];
  }
  EXPECT_NEAR(whole.nats_per_token, nats / static_cast<double>(prompt.size() - 1), 1e-6);
  EXPECT_NEAR(whole.perplexity, std::exp(whole.nats_per_token), 1e-9);
  EXPECT_EQ(model::perplexity(runner, prompt, 4).value().tokens, 8u);
  EXPECT_FALSE(model::perplexity(runner, std::span(prompt).first(1), 4).has_value());
}

} // namespace
} // namespace troupe::model_test
