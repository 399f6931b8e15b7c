// A whole run on an executor: it learns a batch by heart, cuts and recomputation change no bit, and
// what it writes is read and served again.
#include "model/training/training_run.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include "model/decoder.hpp"

#include <gtest/gtest.h>

namespace troupe::model_test {
namespace {

std::string written(const model::training_run& run, compute::dtype type) {
  std::string out;
  const status done = run.write(type, [&out](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return status();
  });
  EXPECT_TRUE(done.ok());
  return out;
}

class training_run : public testing::TestWithParam<std::string> {
protected:
  training_run() : files(checkpoint::read(golden_training_folder(GetParam()))) {
    files.files.erase("training.safetensors");
    description = model::parse_config(files.files.at("config.json")).value();
    documents.emplace(random_documents(description.vocabulary, {40, 3, 21}, 5));
  }

  std::unique_ptr<model::training_run> make(const model::training_run_options& options) {
    const auto index = index_of(files).value();
    return model::training_run::make(description, index, *executor, options).value();
  }

  std::string weights_after(uint32_t steps, const model::training_run_options& options) {
    const auto run = make(options);
    for (uint32_t i = 0; i < steps; ++i) {
      const auto made = run->compute_gradients(documents->views()).value();
      EXPECT_TRUE(run->apply(3e-3, std::min(1.0, 1 / made.norm)).ok());
    }
    return written(*run, compute::dtype::f32);
  }

  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  checkpoint files;
  model::description description;
  std::optional<document_set> documents;
};

TEST_P(training_run, gives_the_same_weights_however_it_is_cut_and_kept) {
  const auto usual = weights_after(3, {});
  EXPECT_EQ(weights_after(3, {.pass = {}, .optimiser = {}, .rows_at_once = 1}), usual);
  EXPECT_EQ(weights_after(3, {.pass = {.recompute = true}, .optimiser = {}, .rows_at_once = 30}),
            usual);
}

TEST_P(training_run, writes_what_is_served_with_the_bits_it_trained) {
  const auto run = make({});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(run->compute_gradients(documents->views()).has_value());
    ASSERT_TRUE(run->apply(1e-3, 1).ok());
  }
  const auto losses = run->evaluate(documents->views()).value();
  checkpoint out = files;
  std::erase_if(out.files, [](const auto& file) { return file.first.starts_with("model"); });
  out.files["model.safetensors"] = written(*run, compute::dtype::f32);
  training_model<float> again(out);
  EXPECT_EQ(again.run(*documents, false).loss_sum, losses.loss_sum);
  const auto served = load(out, *executor, {}).value();
  EXPECT_EQ(served->survey.unused, std::vector<std::string>());
  auto runner = model::decoder::make(served->description, served->weights, *executor, {}).value();
  EXPECT_TRUE(runner.logits_of(documents->tokens[0]).has_value());
  EXPECT_LT(written(*run, compute::dtype::bf16).size(), out.files["model.safetensors"].size());
}

TEST_P(training_run, learns_one_batch_by_heart) {
  const auto run = make({});
  double loss = 0;
  for (int i = 0; i < 150; ++i) {
    const auto made = run->compute_gradients(documents->views()).value();
    loss = made.figures.loss_sum / static_cast<double>(made.figures.targets);
    ASSERT_TRUE(run->apply(5e-3, std::min(1.0, 1 / made.norm)).ok());
  }
  EXPECT_LT(loss, 0.01);
}

TEST_P(training_run, refuses_a_step_that_asks_for_nothing) {
  const auto run = make({});
  const std::vector<int32_t> token = {1}, none = {-1};
  const model::training_document empty{token, none};
  EXPECT_EQ(run->compute_gradients({&empty, 1}).error().code(), status_code::invalid_argument);
  const std::vector<int32_t> outside = {static_cast<int32_t>(description.vocabulary)};
  const model::training_document wrong{outside, token};
  EXPECT_EQ(run->compute_gradients({&wrong, 1}).error().code(), status_code::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(checkpoints, training_run,
                         testing::Values("deepseek_v3", "granitemoe", "qwen3_moe", "mixtral"),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
