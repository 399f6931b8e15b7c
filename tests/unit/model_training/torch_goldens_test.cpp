// Training against what PyTorch recorded for the same checkpoints: loss, every gradient, and the
// weights after ten steps of AdamW with clipping.
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace troupe::model_test {
namespace {

constexpr double relative_max = 1e-4;
constexpr double cosine_min = 0.999999;

// Our values in the shape of the checkpoint's tensors, by name.
std::map<std::string, std::vector<float>> as_stored(const model::parameter_map& map,
                                                    std::span<const float> values,
                                                    const model::safetensors_file& golden,
                                                    const std::string& kind) {
  std::map<std::string, std::vector<float>> out;
  for (const auto& tensor : golden.tensors()) {
    if (tensor.name.starts_with(kind))
      out[tensor.name.substr(kind.size())].resize(tensor.elements());
  }
  for (const auto& p : map.list) {
    std::string name = p.stored_name;
    size_t offset = p.stored_offset;
    if (out.count(name) == 0) { // experts of a checkpoint with fused tensors
      const std::string prefix = p.name.substr(0, p.name.find("mlp.experts."));
      const bool down = p.name.ends_with("down_proj.weight");
      name = prefix + (down ? "mlp.experts.down_proj" : "mlp.experts.gate_up_proj");
      offset = down ? p.expert * p.count()
                    : (2 * p.expert + (p.name.ends_with("up_proj.weight") ? 1 : 0)) * p.count();
    }
    EXPECT_EQ(out.count(name), 1u) << name;
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(p.offset), p.count(),
                out[name].begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return out;
}

void expect_close(const std::map<std::string, std::vector<float>>& ours,
                  const model::safetensors_file& golden, const std::string& kind) {
  for (const auto& [name, values] : ours) {
    const auto* tensor = golden.find(kind + name);
    ASSERT_NE(tensor, nullptr) << name;
    std::vector<float> theirs(values.size());
    ASSERT_EQ(tensor->data.size(), theirs.size() * sizeof(float)) << name;
    std::memcpy(theirs.data(), tensor->data.data(), tensor->data.size());
    double off = 0, own = 0, other = 0, both = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double a = values[i], b = theirs[i];
      off += (a - b) * (a - b);
      own += a * a;
      other += b * b;
      both += a * b;
    }
    EXPECT_LE(std::sqrt(off), relative_max * std::sqrt(other)) << kind << name;
    if (other > 0) {
      EXPECT_GE(both / std::sqrt(own * other), cosine_min) << kind << name;
    }
  }
}

class torch_goldens : public testing::TestWithParam<std::string> {
protected:
  torch_goldens()
      : files(checkpoint::read(golden_training_folder(GetParam()))),
        recorded(read_golden(files)),
        bytes(files.files.at("training.safetensors")),
        golden(model::safetensors_file::parse(
                   "training.safetensors",
                   {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()})
                   .value()),
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
