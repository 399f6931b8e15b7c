// A run that was put back takes the same steps; a state of something else is refused by name.
#include "model/training/training_state.hpp"
#include "model/training/training_run.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

namespace troupe::model_test {
namespace {

// A state that no longer changes with its run.
class kept_state {
public:
  explicit kept_state(std::vector<model::state_part> from) : parts(std::move(from)) {
    for (auto& part : parts) {
      bytes_.emplace_back(part.bytes.begin(), part.bytes.end());
      part.bytes = bytes_.back();
    }
  }
  std::span<std::byte> bytes(const std::string& name) {
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i].name == name) return bytes_[i];
    ADD_FAILURE() << name;
    return {};
  }

  std::vector<model::state_part> parts;

private:
  std::vector<std::vector<std::byte>> bytes_;
};

class training_state : public testing::TestWithParam<std::string> {
protected:
  training_state() : files(checkpoint::read(golden_training_folder(GetParam()))) {
    files.files.erase("training.safetensors");
    description = model::parse_config(files.files.at("config.json")).value();
    documents.emplace(random_documents(description.vocabulary, {40, 3, 21}, 5));
  }
  std::unique_ptr<model::training_run> make() {
    return model::training_run::make(description, index_of(files).value(), *executor, {}).value();
  }
  void step(model::training_run& run) {
    ASSERT_TRUE(run.compute_gradients(documents->views()).has_value());
    ASSERT_TRUE(run.apply(3e-3, 1).ok());
    for (auto& bias : run.corrections())
      for (auto& value : bias) value += 0.01f;
  }

  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  checkpoint files;
  model::description description;
  std::optional<document_set> documents;
};

TEST_P(training_state, brings_a_run_back_to_where_it_was) {
  const auto run = make(), again = make();
  for (int i = 0; i < 2; ++i) step(*run);
  ASSERT_NE(model::hash_of(again->state()), model::hash_of(run->state()));
  ASSERT_TRUE(again->restore(run->state()).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(again->steps(), run->steps());
    EXPECT_EQ(model::hash_of(again->state()), model::hash_of(run->state()));
    step(*run);
    step(*again);
  }
  EXPECT_EQ(model::hash_of(again->state()), model::hash_of(run->state()));
}

TEST_P(training_state, refuses_what_is_not_its_own_and_keeps_itself) {
  const auto run = make();
  step(*run);
  const auto before = model::hash_of(run->state());
  const auto refused = [&](const std::function<void(kept_state&)>& change) {
    kept_state state(run->state());
    change(state);
    return run->restore(state.parts).why();
  };
  EXPECT_EQ(refused([](auto& s) { s.parts.erase(s.parts.begin()); }),
            "state: value/model.embed_tokens.weight is missing");
  EXPECT_EQ(refused([](auto& s) {
              s.parts.push_back({"bias/77", {}});
            }),
            "state: bias/77 belongs to another run");
  EXPECT_EQ(refused([](auto& s) { s.parts.push_back(s.parts.back()); }),
            "state: run is there twice");
  EXPECT_EQ(refused([](auto& s) { s.parts.back().bytes = s.parts.back().bytes.first(15); }),
            "state: run has 15 bytes, not 16");
  EXPECT_EQ(refused([](auto& s) { s.bytes("run")[0] = std::byte{9}; }),
            "state: run is of version 9");
  EXPECT_EQ(refused([](auto& s) {
              const auto bytes = s.bytes("first/model.norm.weight");
              bytes[2] = bytes[3] = std::byte{0xff};
            }),
            "state: first/model.norm.weight holds what is no number");
  EXPECT_EQ(model::hash_of(run->state()), before);
}

INSTANTIATE_TEST_SUITE_P(checkpoints, training_state, testing::Values("deepseek_v3", "granitemoe"),
                         [](const auto& info) { return info.param; });

TEST(training_state_hash, depends_on_names_bytes_and_order) {
  const std::vector<std::byte> one = {std::byte{1}}, two = {std::byte{2}};
  using parts = std::vector<model::state_part>;
  const auto hash = model::hash_of(parts{{"a", one}, {"b", two}});
  EXPECT_EQ(model::hash_of(parts{{"a", one}, {"b", two}}), hash);
  EXPECT_NE(model::hash_of(parts{{"a", two}, {"b", two}}), hash);
  EXPECT_NE(model::hash_of(parts{{"a", one}, {"c", two}}), hash);
  EXPECT_NE(model::hash_of(parts{{"b", two}, {"a", one}}), hash);
  EXPECT_NE(model::hash_of(parts{{"a", one}}), hash);
  EXPECT_EQ(model::hash_text(0x0123456789abcdef), "0123456789abcdef");
}

} // namespace
} // namespace troupe::model_test
