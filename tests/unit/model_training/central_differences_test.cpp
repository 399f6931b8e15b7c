// Gradients in double against central differences, tensor by tensor along a random direction, for
// checkpoints of the forward goldens that between them have every kind of layer.
#include "tests/unit/model_training/training_model.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace troupe::model_test {
namespace {

constexpr double step = 1e-5;

// A direction in which every element of the tensor moves by about as much as it is large.
std::vector<double> direction_of(const model::parameter& p, std::span<const double> values) {
  double squares = 0;
  for (const double value : values) squares += value * value;
  const double size = std::sqrt(squares / static_cast<double>(values.size()));
  std::vector<double> out(values.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const auto unit = random_unit({.seed = p.offset, .subsystem = random_subsystem::workload}, i);
    out[i] = size * (2 * static_cast<double>(unit) - 1);
  }
  return out;
}

double loss_at(training_model<double>& trained, const document_set& documents,
               model::parameter_id id, std::span<const double> direction, double distance) {
  const auto values = trained.values.of(id);
  const std::vector<double> kept(values.begin(), values.end());
  for (size_t i = 0; i < values.size(); ++i) values[i] += distance * direction[i];
  trained.values.refresh(trained.device);
  const double loss = trained.loss(documents);
  std::copy(kept.begin(), kept.end(), values.begin());
  trained.values.refresh(trained.device);
  return loss;
}

// Without those that differ from others in their angles or the format of their file alone.
std::vector<std::string> checkpoints_to_check() {
  const std::set<std::string> alike = {"deepseek_v3_defaults",
                                       "deepseek_v3_negative_bias",
                                       "deepseek_v3_one_group",
                                       "deepseek_v3_yarn",
                                       "llama_linear",
                                       "llama_longrope",
                                       "llama_yarn",
                                       "llama_llama3",
                                       "mixtral_base",
                                       "olmoe_linear_rope",
                                       "qwen3_moe_yarn",
                                       "qwen3_sliding"};
  std::vector<std::string> out;
  for (const auto& name : golden_names())
    if (alike.count(name) == 0) out.push_back(name);
  return out;
}

class central_differences : public testing::TestWithParam<std::string> {};

TEST_P(central_differences, agree_with_every_gradient) {
  training_model<double> trained(checkpoint::read(golden_folder(GetParam())));
  trained.options.head_rows = 5;
  trained.options.padding_id = -1; // its gradient is left out on purpose
  const auto documents = random_documents(trained.description.vocabulary, {7, 4}, 11);
  trained.run(documents);
  const std::vector<double> gradients(trained.gradients.total().begin(),
                                      trained.gradients.total().end());
  for (model::parameter_id id = 0; id < trained.map.list.size(); ++id) {
    const auto& p = trained.map[id];
    // Of the experts every fourth: they are alike, and some are never chosen.
    if (p.owner == model::parameter_owner::expert && p.expert % 4 != 0) continue;
    const auto direction = direction_of(p, trained.values.of(id));
    double expected = 0;
    for (size_t i = 0; i < direction.size(); ++i)
      expected += direction[i] * gradients[p.offset + i];
    const double measured = (loss_at(trained, documents, id, direction, step) -
                             loss_at(trained, documents, id, direction, -step)) /
                            (2 * step);
    EXPECT_NEAR(measured, expected, 1e-6 * std::abs(expected) + 5e-9) << p.name;
  }
}

INSTANTIATE_TEST_SUITE_P(checkpoints, central_differences,
                         testing::ValuesIn(checkpoints_to_check()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
