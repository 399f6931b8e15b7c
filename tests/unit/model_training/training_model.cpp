// Loading of checkpoints and goldens for the tests of training.
#include "tests/unit/model_training/training_model.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>

namespace troupe::model_test {

std::filesystem::path golden_training_folder(const std::string& name) {
  const char* other = std::getenv("TROUPE_GOLDEN_TRAINING");
  const std::filesystem::path usual =
      std::filesystem::path(TROUPE_SOURCE_DIR) / "tests/golden/training";
  return (other != nullptr ? other : usual) / name;
}

std::vector<std::string> golden_training_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_training_folder(""))) {
    if (std::filesystem::exists(entry.path() / "training.json"))
      names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

golden_training read_golden(const checkpoint& files) {
  const auto json = nlohmann::json::parse(files.files.at("training.json"));
  golden_training out;
  out.documents = json.at("documents");
  out.rate = json.at("rate");
  out.clip = json.at("clip");
  out.optimiser = {.beta1 = json.at("beta1"),
                   .beta2 = json.at("beta2"),
                   .eps = json.at("eps"),
                   .weight_decay = json.at("weight_decay"),
                   .decay_vectors = true}; // torch.optim.AdamW over all parameters
  out.losses = json.at("losses").get<std::vector<double>>();
  out.norms = json.at("norms").get<std::vector<double>>();
  return out;
}

document_set::document_set(std::vector<std::vector<int32_t>> from) : tokens(std::move(from)) {
  for (const auto& document : tokens) {
    auto& next = targets.emplace_back(document.begin() + 1, document.end());
    next.push_back(-1);
    targets_count += document.size() - 1;
  }
}

std::vector<model::training_document> document_set::views() const {
  std::vector<model::training_document> out;
  for (size_t i = 0; i < tokens.size(); ++i) out.push_back({tokens[i], targets[i]});
  return out;
}

document_set random_documents(uint32_t vocabulary, const std::vector<uint32_t>& lengths,
                              uint64_t seed) {
  std::vector<std::vector<int32_t>> out;
  uint64_t n = 0;
  for (const uint32_t length : lengths) {
    auto& next = out.emplace_back();
    for (uint32_t i = 0; i < length; ++i) {
      const auto unit = random_unit({.seed = seed, .subsystem = random_subsystem::workload}, n++);
      next.push_back(static_cast<int32_t>(static_cast<double>(unit) * vocabulary));
    }
  }
  return document_set(std::move(out));
}

namespace {

model::description description_of(const checkpoint& files) {
  return model::parse_config(files.files.at("config.json")).value();
}

} // namespace

template <class T>
training_model<T>::training_model(checkpoint from)
    : files(std::move(from)),
      description(description_of(files)),
      map(model::map_parameters(description)),
      values(map),
      gradients(map) {
  files.files.erase("training.safetensors");
  std::vector<float> stored(map.scalars);
  const auto index = index_of(files).value();
  const status read = model::read_parameters(description, index, stored, map, corrections);
  EXPECT_TRUE(read.ok()) << read.why();
  std::copy(stored.begin(), stored.end(), values.all().begin());
  values.refresh(device);
  options.padding_id = model::padding_id_of(files.files.at("config.json")).value();
}

template <class T>
model::pass_figures training_model<T>::run(const document_set& documents, bool with_gradients) {
  model::training_pass<T> pass(description, options);
  if (with_gradients) gradients.clear();
  const auto figures =
      pass.run(device, {values, corrections, with_gradients ? &gradients : nullptr},
               documents.views(), T(1) / static_cast<T>(documents.targets_count));
  EXPECT_TRUE(figures.has_value()) << figures.error().why();
  if (with_gradients) gradients.close_share();
  return *figures;
}

template <class T>
double training_model<T>::loss(const document_set& documents) {
  return run(documents, false).loss_sum / static_cast<double>(documents.targets_count);
}

template struct training_model<float>;
template struct training_model<double>;

} // namespace troupe::model_test
