// What may not change a bit of training: how a step is cut into calls, whether activations are kept
// or computed again, and serving and training computing the same forward pass.
#include "model/decoder.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include "compute/cpu_executor.hpp"
#include "compute/cpu_training.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <future>
#include <utility>

namespace troupe::model_test {
namespace {

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

class same_bits_of : public testing::TestWithParam<std::string> {
protected:
  same_bits_of()
      : trained(checkpoint::read(golden_training_folder(GetParam()))),
        documents(random_documents(trained.description.vocabulary, {9, 1, 70, 16}, 3)) {}

  std::vector<float> gradients_of(const document_set& of) {
    trained.run(of);
    return {trained.gradients.total().begin(), trained.gradients.total().end()};
  }

  training_model<float> trained;
  document_set documents;
};

TEST_P(same_bits_of, gradients_however_a_step_is_cut_into_calls) {
  const auto whole = gradients_of(documents);
  for (const size_t cut : {1u, 2u, 3u}) {
    model::training_pass<float> pass(trained.description, trained.options);
    trained.gradients.clear();
    const auto views = documents.views();
    const auto all = std::span<const model::training_document>(views);
    for (const auto& part : {all.first(cut), all.subspan(cut)}) {
      ASSERT_TRUE(pass.run(trained.device,
                           {trained.values, trained.corrections, &trained.gradients}, part,
                           1.0f / static_cast<float>(documents.targets_count))
                      .has_value());
    }
    trained.gradients.close_share();
    EXPECT_TRUE(same_bits(trained.gradients.total(), whole)) << cut;
  }
}

TEST_P(same_bits_of, gradients_of_activations_kept_and_computed_again) {
  const auto kept = gradients_of(documents);
  trained.options.recompute = true;
  EXPECT_TRUE(same_bits(gradients_of(documents), kept));
}

TEST_P(same_bits_of, gradients_whatever_rows_the_head_takes_at_once) {
  const auto usual = gradients_of(documents);
  trained.options.head_rows = 7;
  EXPECT_TRUE(same_bits(gradients_of(documents), usual));
}

TEST_P(same_bits_of, steps_on_every_instruction_set_and_any_number_of_threads) {
  const auto step = [this](compute::training_kernels<float>& device, auto& values) {
    model::training_pass<float> pass(trained.description, trained.options);
    model::adamw_optimiser<float> optimiser(trained.map, {});
    model::parameter_gradients<float> gradients(trained.map);
    for (int i = 0; i < 2; ++i) {
      values.refresh(device);
      gradients.clear();
      const auto run =
          pass.run(device, {values, trained.corrections, &gradients}, documents.views(), 0.01f);
      ASSERT_TRUE(run.has_value());
      gradients.close_share();
      const double norm = std::sqrt(model::squared_norm(device, trained.map, gradients));
      optimiser.step(device, values, gradients, 1e-3, 1 / norm);
    }
  };
  auto expected = trained.values;
  step(trained.device, expected);
  for (const auto set : {compute::instruction_set::avx2, compute::instruction_set::avx512}) {
    if (!compute::supported(set)) continue;
    for (const uint32_t threads : {1u, 2u}) {
      const auto executor = compute::make_cpu_executor({.threads = threads}).value();
      auto values = trained.values;
      std::promise<void> done;
      const auto job = [&](compute::kernels& host) {
        step(*compute::make_cpu_training_kernels(host, set), values);
      };
      ASSERT_TRUE(executor->submit(job, [&done](const status&) { done.set_value(); }).ok());
      done.get_future().wait();
      EXPECT_TRUE(same_bits(values.all(), std::as_const(expected).all()))
          << compute::to_string(set) << " " << threads;
    }
  }
}

TEST_P(same_bits_of, logits_in_training_and_serving) {
  model::training_pass<float> pass(trained.description, trained.options);
  const auto training =
      pass.logits(trained.device, {trained.values, trained.corrections, nullptr}, documents.views())
          .value();
  const auto executor = compute::make_cpu_executor({.threads = 2}).value();
  const auto served =
      load(trained.files, *executor, {.format = compute::weight_format::f32, .progress = {}})
          .value();
  auto runner = model::decoder::make(served->description, served->weights, *executor, {}).value();
  std::vector<float> serving;
  for (const auto& tokens : documents.tokens) {
    const auto logits = runner.logits_of(tokens).value();
    serving.insert(serving.end(), logits.begin(), logits.end());
  }
  EXPECT_TRUE(same_bits(training, serving));
}

INSTANTIATE_TEST_SUITE_P(checkpoints, same_bits_of, testing::ValuesIn(golden_training_names()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
