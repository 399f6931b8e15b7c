// Learning under a teacher: central differences in double, nothing from a teacher who agrees, and
// the same bits however a step is cut.
#include "model/training/distillation.hpp"
#include "base/random.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::model_test {
namespace {

template <class T>
struct taught_model {
  explicit taught_model(const std::string& name,
                        const model::distillation_options& options = {.weight = 0.8,
                                                                      .temperature = 3,
                                                                      .hidden_weight = 0.5})
      : student(checkpoint::read(golden_training_folder(name))),
        teacher(student.description, student.options, options),
        documents(random_documents(student.description.vocabulary, {9, 1, 30, 6}, 13)) {
    std::ranges::copy(student.values.all(), teacher.values().all().begin());
    teacher.corrections() = student.corrections;
    teacher.values().refresh(student.device);
  }

  // The teacher thinks otherwise; routing of the student stays what it is.
  void disagree() {
    const auto values = teacher.values().all();
    for (size_t i = 0; i < values.size(); ++i) {
      const float unit = random_unit({.seed = 5, .subsystem = random_subsystem::workload}, i);
      values[i] = values[i] * T(1 + 0.3 * (double(unit) - 0.5));
    }
    teacher.values().refresh(student.device);
  }

  // Adds gradients; returns what the step pays in all.
  double run(std::span<const model::training_document> part) {
    const auto lesson = teacher.look_at(student.device, part).value();
    model::training_pass<T> pass(student.description, student.options);
    const auto figures =
        pass.run(student.device, {student.values, student.corrections, &student.gradients, &lesson},
                 part, T(1) / T(documents.targets_count))
            .value();
    return (figures.loss_sum + figures.taught_sum) / double(documents.targets_count);
  }
  double loss() {
    student.gradients.clear();
    const double out = run(documents.views());
    student.gradients.close_share();
    return out;
  }

  training_model<T> student;
  model::teacher<T> teacher;
  document_set documents;
};

class distillation : public testing::TestWithParam<std::string> {};

TEST_P(distillation, agrees_with_central_differences) {
  taught_model<double> taught(GetParam());
  taught.disagree();
  taught.student.options.head_rows = 7;
  taught.student.options.padding_id = -1;
  taught.loss();
  auto& student = taught.student;
  const std::vector<double> gradients(student.gradients.total().begin(),
                                      student.gradients.total().end());
  for (const auto& p : student.map.list) {
    if (p.owner == model::parameter_owner::expert && p.expert % 3 != 0) continue;
    const auto own = student.values.all().subspan(p.offset, p.count());
    const std::vector<double> kept(own.begin(), own.end());
    double expected = 0;
    std::vector<double> direction(kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      direction[i] = 0.1 * (random_unit({.seed = p.offset}, i) - 0.5);
      expected += direction[i] * gradients[p.offset + i];
    }
    const auto loss_at = [&](double distance) {
      for (size_t i = 0; i < kept.size(); ++i) own[i] = kept[i] + distance * direction[i];
      student.values.refresh(student.device);
      return taught.loss();
    };
    const double measured = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
    loss_at(0);
    EXPECT_NEAR(measured, expected, 2e-6 * std::abs(expected) + 1e-8) << p.name;
  }
}

TEST_P(distillation, learns_nothing_from_a_teacher_who_agrees) {
  taught_model<float> taught(GetParam());
  const double loss = taught.loss();
  const std::vector<float> with(taught.student.gradients.total().begin(),
                                taught.student.gradients.total().end());
  EXPECT_NEAR(taught.student.loss(taught.documents), loss, 1e-6);
  taught.student.run(taught.documents);
  const auto without = taught.student.gradients.total();
  for (size_t i = 0; i < with.size(); ++i) ASSERT_EQ(with[i], without[i]) << i;
}

TEST_P(distillation, has_the_same_bits_however_a_step_is_cut_and_kept) {
  taught_model<float> taught(GetParam());
  taught.disagree();
  taught.loss();
  const std::vector<float> whole(taught.student.gradients.total().begin(),
                                 taught.student.gradients.total().end());
  const auto views = taught.documents.views();
  const auto all = std::span<const model::training_document>(views);
  taught.student.options.recompute = true;
  taught.student.options.head_rows = 5;
  for (const size_t cut : {1u, 2u, 3u}) {
    taught.student.gradients.clear();
    taught.run(all.first(cut));
    taught.run(all.subspan(cut));
    taught.student.gradients.close_share();
    const auto made = taught.student.gradients.total();
    for (size_t i = 0; i < whole.size(); ++i) ASSERT_EQ(made[i], whole[i]) << cut << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(checkpoints, distillation,
                         testing::Values("deepseek_v3", "granitemoe", "llama", "qwen3_moe"),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
