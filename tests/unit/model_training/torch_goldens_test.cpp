// Training against what PyTorch recorded for the same checkpoints: loss, every gradient, and the
// weights after ten steps of AdamW with clipping.
#include "tests/unit/model_training/golden_tensors.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::model_test {
namespace {

class torch_goldens : public testing::TestWithParam<std::string> {
protected:
  torch_goldens()
      : files(checkpoint::read(golden_training_folder(GetParam()))),
        recorded(read_golden(files)),
        bytes(files.files.at("training.safetensors")),
        golden(parse_golden(bytes)),
        documents(recorded.documents),
        trained(files) {}

  checkpoint files;
  golden_training recorded;
  std::string bytes;
  model::safetensors_file golden;
  document_set documents;
  training_model<float> trained;
};

TEST_P(torch_goldens, loss_and_every_gradient_agree) {
  const auto figures = trained.run(documents);
  ASSERT_EQ(figures.targets, documents.targets_count);
  EXPECT_NEAR(figures.loss_sum / static_cast<double>(figures.targets), recorded.losses[0],
              1e-5 * recorded.losses[0]);
  const double norm =
      std::sqrt(model::squared_norm(trained.device, trained.map, trained.gradients));
  EXPECT_NEAR(norm, recorded.norms[0], 1e-4 * recorded.norms[0]);
  expect_close(as_stored(trained.map, trained.gradients.total(), golden, "grad."), golden, "grad.");
}

// Loss and norm of late steps amplify what rounding did to early ones; the weights hardly do.
TEST_P(torch_goldens, ten_steps_lead_to_the_same_weights) {
  model::adamw_optimiser<float> optimiser(trained.map, recorded.optimiser);
  for (size_t step = 0; step < recorded.norms.size(); ++step) {
    const auto figures = trained.run(documents);
    EXPECT_NEAR(figures.loss_sum / static_cast<double>(figures.targets), recorded.losses[step],
                5e-4 * recorded.losses[step])
        << step;
    const double norm =
        std::sqrt(model::squared_norm(trained.device, trained.map, trained.gradients));
    EXPECT_NEAR(norm, recorded.norms[step], 5e-3 * recorded.norms[step]) << step;
    const double factor = std::min(1.0, recorded.clip / (norm + 1e-6));
    optimiser.step(trained.device, trained.values, trained.gradients, recorded.rate, factor);
    trained.values.refresh(trained.device);
  }
  EXPECT_NEAR(trained.loss(documents), recorded.losses.back(), 5e-4 * recorded.losses.back());
  expect_close(as_stored(trained.map, trained.values.all(), golden, "after."), golden, "after.");
}

INSTANTIATE_TEST_SUITE_P(checkpoints, torch_goldens, testing::ValuesIn(golden_training_names()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model_test
