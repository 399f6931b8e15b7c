// Shares of a step may be computed by any run of the same state, in any order: one that adds them
// up in theirs comes to the bits of a run that did it alone.
#include "model/training/shares.hpp"
#include "model/training/training_run.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace troupe::model_test {
namespace {

std::vector<size_t> sizes_of(const std::vector<uint32_t>& lengths, uint32_t share_tokens) {
  const auto documents = random_documents(50, lengths, 1);
  const auto views = documents.views();
  std::vector<size_t> out;
  for (const auto share : model::cut_into_shares(views, share_tokens)) out.push_back(share.size());
  return out;
}

TEST(cut_into_shares, takes_whole_documents_as_long_as_they_fit) {
  using sizes = std::vector<size_t>;
  EXPECT_EQ(sizes_of({3, 4, 3, 9, 1, 9}, 10), (sizes{3, 2, 1}));
  EXPECT_EQ(sizes_of({3, 4, 3, 9, 1, 9}, 1), (sizes{1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(sizes_of({20, 4}, 10), (sizes{1, 1})); // never less than one
  EXPECT_EQ(sizes_of({20, 4}, 0), (sizes{2}));
  EXPECT_EQ(sizes_of({}, 10), (sizes{}));
}

// Computes on the thread that submits, so that every start has ended when it returns.
template <class Outcome>
Outcome ended(const std::function<status(std::function<void(Outcome)>)>& start) {
  std::optional<Outcome> out;
  const status accepted = start([&out](Outcome outcome) { out = std::move(outcome); });
  EXPECT_TRUE(accepted.ok()) << accepted.why();
  EXPECT_TRUE(out.has_value());
  return std::move(*out);
}

class shares_of_runs : public testing::TestWithParam<std::string> {
protected:
  shares_of_runs() : files(checkpoint::read(golden_training_folder(GetParam()))) {
    files.files.erase("training.safetensors");
    description = model::parse_config(files.files.at("config.json")).value();
    documents.emplace(random_documents(description.vocabulary, {17, 3, 21, 12, 2}, 5));
    views = documents->views();
    options.share_tokens = 20;
  }
  std::unique_ptr<model::training_run> make() {
    auto out =
        model::training_run::make(description, index_of(files).value(), *executor, options).value();
    if (options.methods.anchor) {
      EXPECT_TRUE(out->renew_anchor(views, {}).ok());
    }
    return out;
  }
  void step_alone(model::training_run& run) {
    const auto made = run.compute_gradients(views).value();
    ASSERT_TRUE(run.apply(3e-3, 1 / (1 + made.norm)).ok());
  }
  // Shares are computed last first, each on another run, and added up by the first run.
  void step_together(std::vector<std::unique_ptr<model::training_run>>& runs) {
    const auto shares = model::cut_into_shares(views, options.share_tokens);
    ASSERT_GT(shares.size(), 2u);
    const float weight = 1 / static_cast<float>(model::count_targets(views));
    std::vector<model::share_gradient> made(shares.size());
    for (size_t i = shares.size(); i-- > 0;) {
      made[i] = ended<result<model::share_gradient>>([&](auto done) {
                  return runs[i % runs.size()]->start_share(shares[i], weight, done);
                }).value();
    }
    for (size_t i = 0; i < made.size(); ++i) {
      ASSERT_TRUE(ended<status>([&](auto done) {
                    return runs[0]->start_adding(made[i].values, i == 0, done);
                  }).ok());
    }
    const auto sum = ended<result<model::summed_gradients>>([&](auto done) {
                       return runs[0]->start_measuring(true, done);
                     }).value();
    for (const auto& run : runs) {
      const auto from = run == runs[0] ? std::vector<float>() : sum.sum;
      ASSERT_TRUE(ended<status>([&](auto done) {
                    return run->start_step(from, 3e-3, 1 / (1 + sum.norm), done);
                  }).ok());
    }
  }
  void expect_the_same_together() {
    const auto alone = make();
    std::vector<std::unique_ptr<model::training_run>> together;
    for (int i = 0; i < 3; ++i) together.push_back(make());
    for (int step = 0; step < 3; ++step) {
      step_alone(*alone);
      step_together(together);
      for (const auto& run : together)
        ASSERT_EQ(model::hash_of(run->state()), model::hash_of(alone->state())) << "step " << step;
    }
  }

  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  checkpoint files;
  model::description description;
  model::training_run_options options;
  std::optional<document_set> documents;
  std::vector<model::training_document> views;
};

TEST_P(shares_of_runs, add_up_to_the_bits_of_one_run) {
  expect_the_same_together();
}

TEST_P(shares_of_runs, do_so_while_an_anchor_and_a_teacher_pull) {
  options.methods.anchor.emplace();
  options.methods.distillation.emplace();
  expect_the_same_together();
}

TEST_P(shares_of_runs, do_so_for_adapters) {
  options.methods.adapters.emplace();
  expect_the_same_together();
}

TEST_P(shares_of_runs, decide_the_sum_and_nothing_else_does) {
  const auto with = [&](uint32_t share_tokens, uint32_t rows_at_once) {
    options.share_tokens = share_tokens;
    options.rows_at_once = rows_at_once;
    const auto run = make();
    step_alone(*run);
    return model::hash_of(run->state());
  };
  EXPECT_EQ(with(20, 1), with(20, 1024));
  EXPECT_NE(with(20, 1024), with(0, 1024));
}

TEST_P(shares_of_runs, refuse_gradients_of_another_model) {
  const auto run = make();
  const std::vector<float> few(7);
  const auto never = [](const status&) { ADD_FAILURE(); };
  EXPECT_EQ(run->start_adding(few, true, never).code(), status_code::corrupt);
  EXPECT_EQ(run->start_step(few, 1e-3, 1, never).code(), status_code::corrupt);
}

INSTANTIATE_TEST_SUITE_P(checkpoints, shares_of_runs, testing::Values("deepseek_v3", "granitemoe"),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
