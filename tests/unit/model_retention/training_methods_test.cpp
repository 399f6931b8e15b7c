// Methods against forgetting in a run: together they change no bit with the cut of a step, resume
// where they stood, and leave alone what is frozen.
#include "model/training/training_run.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace troupe::model_test {
namespace {

using model::training_method_options;

training_method_options everything() {
  return {.frozen = "embedding,layers:0",
          .anchor = model::anchor_options{.strength = 2},
          .distillation = model::distillation_options{.hidden_weight = 0.5},
          .adapters = model::low_rank_options{.rank = 2, .alpha = 4},
          .adapted = "attention,expert"};
}
training_method_options all_but_adapters() {
  auto out = everything();
  out.adapters.reset();
  return out;
}

class training_methods : public testing::TestWithParam<std::string> {
protected:
  training_methods() : files(checkpoint::read(golden_training_folder(GetParam()))) {
    files.files.erase("training.safetensors");
    description = model::parse_config(files.files.at("config.json")).value();
    documents.emplace(random_documents(description.vocabulary, {40, 3, 21}, 5));
    known.emplace(random_documents(description.vocabulary, {10, 30}, 6));
  }

  result<std::unique_ptr<model::training_run>> try_make(
      const model::training_run_options& options) {
    return model::training_run::make(description, index_of(files).value(), *executor, options);
  }
  std::unique_ptr<model::training_run> make(const model::training_run_options& options) {
    auto run = try_make(options).value();
    if (options.methods.anchor) {
      const status anchored = run->renew_anchor(known->views(), {.draws = 2});
      EXPECT_TRUE(anchored.ok()) << anchored.why();
    }
    return run;
  }
  void step(model::training_run& run, int count = 1) {
    for (int i = 0; i < count; ++i) {
      const auto made = run.compute_gradients(documents->views()).value();
      EXPECT_TRUE(run.apply(5e-3, std::min(1.0, 1 / made.norm)).ok());
    }
  }
  uint64_t hash(model::training_run& run) { return model::hash_of(run.state()); }

  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  checkpoint files;
  model::description description;
  std::optional<document_set> documents, known;
};

TEST_P(training_methods, change_no_bit_with_the_cut_of_a_step) {
  for (const auto& methods : {everything(), all_but_adapters()}) {
    const auto usual = make({.pass = {}, .optimiser = {}, .methods = methods});
    step(*usual, 3);
    const auto cut =
        make({.pass = {.recompute = true}, .optimiser = {}, .methods = methods, .rows_at_once = 1});
    step(*cut, 3);
    EXPECT_EQ(hash(*cut), hash(*usual));
    const auto without = make({});
    step(*without, 3);
    EXPECT_NE(hash(*without), hash(*usual));
  }
}

TEST_P(training_methods, go_on_where_they_stood) {
  for (const auto& methods : {everything(), all_but_adapters()}) {
    const model::training_run_options options{.pass = {}, .optimiser = {}, .methods = methods};
    const auto run = make(options);
    step(*run, 2);
    std::map<std::string, std::vector<std::byte>> kept;
    std::vector<model::state_part> parts;
    for (const auto& part : run->state()) {
      kept[part.name].assign(part.bytes.begin(), part.bytes.end());
      parts.push_back({part.name, kept[part.name]});
    }
    step(*run, 2);
    // Another start: everything has to come out of the state.
    const auto again = make(options);
    step(*again, 1);
    const status restored = again->restore(parts);
    ASSERT_TRUE(restored.ok()) << restored.why();
    step(*again, 2);
    EXPECT_EQ(hash(*again), hash(*run));
  }
}

TEST_P(training_methods, keep_no_moments_for_what_does_not_move) {
  const auto names = [&](const training_method_options& methods) {
    std::map<std::string, size_t> out;
    for (const auto& part : make({.pass = {}, .optimiser = {}, .methods = methods})->state())
      out[part.name] = part.bytes.size();
    return out;
  };
  const auto frozen = names({.frozen = "embedding"});
  EXPECT_EQ(frozen.count("value/model.embed_tokens.weight"), 1u);
  EXPECT_EQ(frozen.count("first/model.embed_tokens.weight"), 0u);
  EXPECT_EQ(frozen.count("second/model.norm.weight"), 1u);
  const auto adapted = names(everything());
  EXPECT_EQ(adapted.count("second/model.norm.weight"), 0u);
  EXPECT_EQ(adapted.count("adapted"), 1u);
  EXPECT_EQ(adapted.count("teacher/model.norm.weight"), 1u);
  EXPECT_EQ(adapted.count("importance/model.norm.weight"), 1u);
}

TEST_P(training_methods, say_when_experts_may_be_balanced) {
  const auto moves = [&](const training_method_options& methods) {
    return make({.pass = {}, .optimiser = {}, .methods = methods})->methods().bias_moves(1);
  };
  EXPECT_TRUE(moves({}));
  EXPECT_TRUE(moves({.frozen = "expert"}));
  EXPECT_FALSE(moves({.frozen = "router"}));
  EXPECT_FALSE(moves(everything()));
}

TEST_P(training_methods, hold_a_run_to_its_teacher_and_to_its_anchor) {
  const auto moved = [&](const training_method_options& methods, const document_set& on) {
    const auto start = make({}), run = make({.pass = {}, .optimiser = {}, .methods = methods});
    step(*run, 20);
    const auto before = start->evaluate(on.views()).value().loss_sum;
    return std::abs(run->evaluate(on.views()).value().loss_sum - before);
  };
  EXPECT_LT(moved({.anchor = model::anchor_options{.strength = 1e4}}, *known),
            moved({}, *known) / 2);
  // A teacher sees what is learnt, and says there what it always said.
  EXPECT_LT(moved({.distillation = model::distillation_options{.weight = 20}}, *documents),
            moved({}, *documents) / 2);
}

TEST_P(training_methods, refuse_lists_and_teachers_that_do_not_fit) {
  const auto why = [&](const training_method_options& methods) {
    return std::string(try_make({.pass = {}, .optimiser = {}, .methods = methods}).error().why());
  };
  EXPECT_NE(why({.frozen = "xpert"}).find("frozen: 'xpert'"), std::string::npos);
  EXPECT_NE(why({.adapters = model::low_rank_options{}, .adapted = "norm"}).find("no matrix"),
            std::string::npos);
  EXPECT_NE(why({.frozen = "attention", .adapters = model::low_rank_options{}}).find("no matrix"),
            std::string::npos);
  EXPECT_NE(why({.adapters = model::low_rank_options{}, .adapted = "embedding"}).find("no adapter"),
            std::string::npos);
  const auto run = make(
      {.pass = {}, .optimiser = {}, .methods = {.distillation = model::distillation_options{}}});
  auto other = description;
  other.vocabulary += 1;
  const status read = run->read_teacher(other, index_of(files).value());
  EXPECT_EQ(read.code(), status_code::invalid_argument);
  EXPECT_NE(read.why().find("vocabulary"), std::string::npos);
}

TEST_P(training_methods, learn_from_another_model) {
  const model::training_run_options options{
      .pass = {}, .optimiser = {}, .methods = {.distillation = model::distillation_options{}}};
  const auto alone = make(options), taught = make(options), other = make({});
  step(*other, 5);
  checkpoint moved = files;
  std::erase_if(moved.files, [](const auto& file) { return file.first.starts_with("model"); });
  ASSERT_TRUE(other
                  ->write(compute::dtype::f32,
                          [&](std::span<const std::byte> bytes) {
                            moved.files["model.safetensors"].append(
                                reinterpret_cast<const char*>(bytes.data()), bytes.size());
                            return status();
                          })
                  .ok());
  ASSERT_TRUE(taught->read_teacher(description, index_of(moved).value()).ok());
  const auto own = alone->compute_gradients(documents->views()).value();
  const auto its = taught->compute_gradients(documents->views()).value();
  EXPECT_EQ(own.figures.taught_sum, 0);
  EXPECT_GT(its.figures.taught_sum, 0);
  EXPECT_EQ(own.figures.loss_sum, its.figures.loss_sum);
}

INSTANTIATE_TEST_SUITE_P(checkpoints, training_methods, testing::Values("deepseek_v3", "qwen3_moe"),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
