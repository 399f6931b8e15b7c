// Importance of weights and the pull towards their anchor: exact values, central differences in
// double, labels drawn as the model would, and the same bits on any number of threads.
#include "model/training/weight_anchor.hpp"
#include "compute/cpu_training.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <future>
#include <limits>
#include <numeric>

namespace troupe::model_test {
namespace {

template <class T>
training_model<T> model_of(const std::string& name) {
  return training_model<T>(checkpoint::read(golden_training_folder(name)));
}

TEST(weight_anchor, pulls_by_strength_times_distance_where_all_weights_matter_alike) {
  auto trained = model_of<float>("qwen3_moe");
  model::weight_anchor<float> anchor(trained.map, {.strength = 0.37});
  const std::vector<float> ones(trained.map.scalars, 1.0f);
  anchor.renew(trained.device, trained.values, ones);
  for (size_t i = 0; i < ones.size(); ++i) trained.values.all()[i] += 1e-3f * float(i % 17);
  trained.gradients.clear();
  trained.gradients.close_share();
  anchor.pull(trained.device, trained.values, trained.gradients);
  for (size_t i = 0; i < ones.size(); ++i) {
    const float apart = trained.values.all()[i] - anchor.anchor()[i];
    ASSERT_EQ(trained.gradients.total()[i], 0.37f * apart) << i;
  }
}

TEST(weight_anchor, adds_the_slope_of_its_penalty) {
  auto trained = model_of<double>("llama");
  model::weight_anchor<double> anchor(trained.map, {.strength = 2.5});
  std::vector<double> fresh(trained.map.scalars);
  for (size_t i = 0; i < fresh.size(); ++i) fresh[i] = double(i % 5);
  anchor.renew(trained.device, trained.values, fresh);
  for (size_t i = 0; i < fresh.size(); ++i) trained.values.all()[i] += 0.01 * double(i % 7);
  trained.gradients.clear();
  trained.gradients.close_share();
  anchor.pull(trained.device, trained.values, trained.gradients);
  for (size_t i = 0; i < fresh.size(); i += 97) {
    const double kept = trained.values.all()[i], step = 1e-3;
    trained.values.all()[i] = kept + step;
    const double above = anchor.penalty(trained.values);
    trained.values.all()[i] = kept - step;
    const double below = anchor.penalty(trained.values);
    trained.values.all()[i] = kept;
    EXPECT_NEAR((above - below) / (2 * step), trained.gradients.total()[i], 1e-8) << i;
  }
}

TEST(weight_anchor, forgets_old_importance_by_its_decay) {
  auto trained = model_of<float>("llama");
  model::weight_anchor<float> anchor(trained.map, {.strength = 1, .decay = 0.25});
  anchor.renew(trained.device, trained.values, std::vector<float>(trained.map.scalars, 8.0f));
  trained.values.all()[3] += 1;
  anchor.renew(trained.device, trained.values, std::vector<float>(trained.map.scalars, 1.0f));
  for (const float value : anchor.importance()) ASSERT_EQ(value, 3.0f);
  EXPECT_EQ(anchor.anchor()[3], trained.values.all()[3]);
  EXPECT_EQ(anchor.penalty(trained.values), 0);
}

// (d loss / d w)^2 of single weights, of every tensor some.
TEST(importance, is_the_square_of_a_documents_slope) {
  for (const char* name : {"deepseek_v3", "qwen2_moe"}) {
    auto trained = model_of<double>(name);
    trained.options.padding_id = -1;
    const auto documents = random_documents(trained.description.vocabulary, {9}, 21);
    model::training_pass<double> pass(trained.description, trained.options);
    model::importance_sums<double> sums(trained.map);
    const auto labelled = documents.views()[0];
    ASSERT_TRUE(sums.add(trained.device, pass, trained.values, trained.corrections, labelled).ok());
    const auto importance = sums.finish(trained.device);
    const auto rows = trained.run(documents, false).expert_rows;
    const auto loss = [&] { return trained.run(documents, false).loss_sum; };
    for (const auto& p : trained.map.list) {
      const bool routed = p.owner == model::parameter_owner::expert;
      const size_t i = p.offset + p.count() / 2;
      const double kept = trained.values.all()[i], step = 1e-5;
      trained.values.all()[i] = kept + step;
      trained.values.refresh(trained.device);
      const double above = loss();
      trained.values.all()[i] = kept - step;
      trained.values.refresh(trained.device);
      const double slope = (above - loss()) / (2 * step);
      trained.values.all()[i] = kept;
      trained.values.refresh(trained.device);
      const double count = routed ? double(std::max<uint64_t>(1, rows[p.layer][p.expert])) : 8.0;
      EXPECT_NEAR(importance[i], slope * slope / count, 1e-6 * importance[i] + 1e-9) << p.name;
    }
  }
}

// With one token the Fisher information can be had without drawing: all labels, by probability.
TEST(importance, of_many_drawn_labels_comes_near_the_exact_one) {
  auto trained = model_of<double>("llama");
  const document_set documents({{5, 7}});
  const auto views = documents.views();
  model::training_pass<double> pass(trained.description, trained.options);
  const auto logits =
      pass.logits(trained.device, {trained.values, trained.corrections, nullptr}, views).value();
  double total = 0;
  const uint32_t count = trained.description.vocabulary;
  for (uint32_t v = 0; v < count; ++v) total += std::exp(logits[v]);
  double exact = 0;
  for (uint32_t v = 0; v < count; ++v) {
    const std::vector<int32_t> label = {static_cast<int32_t>(v), -1};
    model::importance_sums<double> one(trained.map);
    ASSERT_TRUE(one.add(trained.device, pass, trained.values, trained.corrections,
                        {documents.tokens[0], label})
                    .ok());
    const auto squares = one.finish(trained.device);
    exact += std::exp(logits[v]) / total * std::accumulate(squares.begin(), squares.end(), 0.0);
  }
  model::importance_sums<double> sums(trained.map);
  ASSERT_TRUE(model::measure_importance<double>(trained.device, pass, trained.values,
                                                trained.corrections, views,
                                                {.draws = 400, .seed = 3}, sums)
                  .ok());
  EXPECT_EQ(sums.documents(), 400u);
  const auto drawn = sums.finish(trained.device);
  EXPECT_NEAR(std::accumulate(drawn.begin(), drawn.end(), 0.0), exact, 0.05 * exact);
}

TEST(importance, draws_labels_as_often_as_the_model_expects_them) {
  const float none = -std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {none, std::log(1.0f), std::log(5.0f),
                                     none, std::log(2.0f), none};
  std::array<int, 6> counts{};
  for (int i = 0; i < 800; ++i)
    ++counts.at(static_cast<size_t>(model::draw_label<float>(logits, float(i) / 800)));
  EXPECT_EQ(counts[0] + counts[3] + counts[5], 0);
  EXPECT_NEAR(counts[1], 100, 1);
  EXPECT_NEAR(counts[2], 500, 1);
  EXPECT_NEAR(counts[4], 200, 1);
  EXPECT_EQ(model::draw_label<float>(logits, 0x1.fffffep-1f), 4);
}

TEST(importance, has_the_same_bits_on_every_instruction_set_and_any_number_of_threads) {
  auto trained = model_of<float>("deepseek_v3");
  const auto documents = random_documents(trained.description.vocabulary, {40, 1, 17}, 8);
  const auto measure = [&](compute::training_kernels<float>& device, uint64_t seed) {
    model::training_pass<float> pass(trained.description, trained.options);
    model::importance_sums<float> sums(trained.map);
    const auto done =
        model::measure_importance<float>(device, pass, trained.values, trained.corrections,
                                         documents.views(), {.draws = 2, .seed = seed}, sums);
    EXPECT_TRUE(done.ok()) << done.why();
    EXPECT_EQ(sums.documents(), 4u); // one has nothing to ask for
    return sums.finish(device);
  };
  const auto expected = measure(trained.device, 1);
  EXPECT_NE(measure(trained.device, 2), expected);
  for (const auto set : {compute::instruction_set::avx2, compute::instruction_set::avx512}) {
    if (!compute::supported(set)) continue;
    for (const uint32_t threads : {1u, 2u}) {
      const auto executor = compute::make_cpu_executor({.threads = threads}).value();
      std::vector<float> made;
      std::promise<void> done;
      const auto job = [&](compute::kernels& host) {
        made = measure(*compute::make_cpu_training_kernels(host, set), 1);
      };
      ASSERT_TRUE(executor->submit(job, [&done](const status&) { done.set_value(); }).ok());
      done.get_future().wait();
      EXPECT_EQ(made, expected) << compute::to_string(set) << " " << threads;
    }
  }
}

} // namespace
} // namespace troupe::model_test
