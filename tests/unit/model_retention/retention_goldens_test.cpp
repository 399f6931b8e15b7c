// The methods against forgetting against what PyTorch and PEFT recorded for the same checkpoints
// (tests/golden/make_retention.py).
#include "model/training/distillation.hpp"
#include "model/training/low_rank_adapters.hpp"
#include "model/training/weight_anchor.hpp"
#include "tests/unit/model_training/golden_tensors.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace troupe::model_test {
namespace {

class retention_goldens : public testing::TestWithParam<std::string> {
protected:
  retention_goldens()
      : trained(checkpoint::read(golden_training_folder(GetParam()))),
        recorded(checkpoint::read(std::filesystem::path(TROUPE_SOURCE_DIR) /
                                  "tests/golden/retention" / GetParam())),
        json(nlohmann::json::parse(recorded.files.at("retention.json"))),
        golden(parse_golden(recorded.files.at("retention.safetensors"))),
        documents(json.at("documents").get<std::vector<std::vector<int32_t>>>()) {}

  // Moves the student to where ten steps of training ended; the checkpoint stays its teacher.
  void move_away() {
    const auto files = checkpoint::read(golden_training_folder(GetParam()));
    const auto end = parse_golden(files.files.at("training.safetensors"));
    read_stored(trained.map, end, "after.", trained.values.all());
    trained.values.refresh(trained.device);
  }

  training_model<float> trained;
  checkpoint recorded;
  nlohmann::json json;
  model::safetensors_file golden;
  document_set documents;
};

TEST_P(retention_goldens, gradients_under_a_teacher_agree) {
  model::teacher<float> teacher(trained.description, trained.options,
                                {.weight = json.at("weight"),
                                 .temperature = json.at("temperature"),
                                 .hidden_weight = json.at("hidden_weight")});
  std::ranges::copy(trained.values.all(), teacher.values().all().begin());
  teacher.values().refresh(trained.device);
  teacher.corrections() = trained.corrections;
  move_away();
  const auto lesson = teacher.look_at(trained.device, documents.views()).value();
  model::training_pass<float> pass(trained.description, trained.options);
  trained.gradients.clear();
  const auto figures =
      pass.run(trained.device, {trained.values, trained.corrections, &trained.gradients, &lesson},
               documents.views(), 1 / static_cast<float>(documents.targets_count))
          .value();
  trained.gradients.close_share();
  const auto count = static_cast<double>(documents.targets_count);
  EXPECT_NEAR(figures.loss_sum / count, json.at("plain_loss").get<double>(), 1e-5);
  EXPECT_NEAR(figures.taught_sum / count, json.at("taught_loss").get<double>(), 1e-5);
  expect_close(as_stored(trained.map, std::as_const(trained.gradients).total(), golden, "taught."),
               golden, "taught.");
}

TEST_P(retention_goldens, importance_agrees_under_the_same_labels) {
  const auto labels = json.at("labels").get<std::vector<std::vector<int32_t>>>();
  model::training_pass<float> pass(trained.description, trained.options);
  model::importance_sums<float> sums(trained.map);
  double tokens = 0;
  std::vector<std::vector<uint64_t>> rows;
  for (size_t i = 0; i < labels.size(); ++i) {
    const model::training_document labelled{documents.tokens[i], labels[i]};
    ASSERT_TRUE(sums.add(trained.device, pass, trained.values, trained.corrections, labelled).ok());
    tokens += static_cast<double>(labels[i].size());
    model::pass_figures all;
    all.expert_rows = rows;
    all.add(
        pass.run(trained.device, {trained.values, trained.corrections, nullptr}, {&labelled, 1}, 1)
            .value());
    rows = all.expert_rows;
  }
  auto importance = sums.finish(trained.device);
  for (const auto& p : trained.map.list) { // back to the sums that were recorded
    const bool routed = p.owner == model::parameter_owner::expert;
    const double count = routed ? static_cast<double>(rows[p.layer][p.expert]) : tokens;
    for (size_t i = p.offset; i < p.offset + p.count(); ++i)
      importance[i] = static_cast<float>(static_cast<double>(importance[i]) * count);
  }
  expect_close(as_stored(trained.map, importance, golden, "squares."), golden, "squares.");
}

TEST_P(retention_goldens, ten_steps_lead_to_the_same_adapters) {
  model::parameter_set targets(trained.map);
  for (model::parameter_id id = 0; id < trained.map.list.size(); ++id) {
    const auto& name = trained.map[id].name;
    const auto module = "lora_start.base_model.model." + name.substr(0, name.rfind(".weight"));
    if (golden.find(module + ".lora_A.weight") != nullptr) targets.add(id);
  }
  model::low_rank_adapters<float> adapters(
      trained.map, targets, {.rank = json.at("lora_rank"), .alpha = json.at("lora_alpha")},
      {.beta1 = json.at("beta1"),
       .beta2 = json.at("beta2"),
       .eps = json.at("eps"),
       .weight_decay = json.at("weight_decay")},
      trained.values);
  read_stored(adapters.map(), golden, "lora_start.", adapters.factors().all());
  const auto losses = json.at("lora_losses").get<std::vector<double>>();
  const auto norms = json.at("lora_norms").get<std::vector<double>>();
  for (size_t step = 0; step < losses.size(); ++step) {
    const auto figures = trained.run(documents);
    EXPECT_NEAR(figures.loss_sum / static_cast<double>(figures.targets), losses[step], 1e-4);
    adapters.compute_gradients(trained.device, trained.gradients);
    const double norm = std::sqrt(adapters.squared_norm(trained.device));
    EXPECT_NEAR(norm, norms[step], 1e-3 * norms[step]) << step;
    const double factor = std::min(1.0, json.at("clip").get<double>() / (norm + 1e-6));
    adapters.step(trained.device, trained.values, json.at("rate"), factor);
    trained.values.refresh(trained.device);
  }
  EXPECT_EQ(adapters.map().list.size(), 2 * targets.count());
  expect_close(as_stored(adapters.map(), adapters.factors().all(), golden, "lora_end."), golden,
               "lora_end.");
}

INSTANTIATE_TEST_SUITE_P(checkpoints, retention_goldens,
                         testing::Values("deepseek_v3", "llama", "qwen3_moe"),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
