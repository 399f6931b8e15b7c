// The built-in model: it loads in every format and finds tales likelier than the same words
// shuffled.
#include "model/tokenizer.hpp"
#include "tests/unit/model/checkpoint.hpp"

#include "compute/cpu_executor.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace troupe::model_test {
namespace {

const char* const tale =
    "Once upon a time there was a king who had three sons. The two eldest were clever, but the "
    "youngest did not say much, and was called the simpleton. When the king was old and weak, and "
    "thought of his end, he did not know which of his sons should have the kingdom after him.";

class tales : public testing::Test {
protected:
  void SetUp() override {
    const auto folder = std::filesystem::path(TROUPE_SOURCE_DIR) / "models/tales";
    if (!std::filesystem::exists(folder / "model.safetensors")) {
      GTEST_SKIP() << "models/tales is not there";
    }
    files = checkpoint::read(folder);
    const auto tokenizer =
        model::tokenizer::parse(files.files.at("tokenizer.json"), "tokenizer.json");
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().why();
    tokens = tokenizer->encode(tale).value();
  }

  double nats_per_token(const model::load_options& options, std::span<const int32_t> text) {
    const auto loaded = load(files, *executor, options).value();
    auto runner = model::decoder::make(loaded->description, loaded->weights, *executor,
                                       {.positions_max = 256});
    return model::perplexity(*runner, text, 256)->nats_per_token;
  }

  std::unique_ptr<compute::executor> executor = compute::make_cpu_executor({.threads = 2}).value();
  checkpoint files;
  std::vector<int32_t> tokens;
};

TEST_F(tales, prefers_prose_to_shuffled_words) {
  const double prose = nats_per_token({}, tokens);
  EXPECT_LT(prose, 4.5);
  auto shuffled = tokens;
  std::rotate(shuffled.begin(), shuffled.begin() + 7, shuffled.end());
  for (size_t i = 0; i + 5 < shuffled.size(); i += 3) std::swap(shuffled[i], shuffled[i + 5]);
  EXPECT_GT(nats_per_token({}, shuffled), prose + 1);
}

TEST_F(tales, loses_little_to_narrow_weights) {
  const double stored = nats_per_token({}, tokens);
  EXPECT_NEAR(nats_per_token({.format = compute::weight_format::int8, .progress = {}}, tokens),
              stored, 0.03);
  EXPECT_NEAR(nats_per_token({.format = compute::weight_format::int4, .progress = {}}, tokens),
              stored, 0.2);
}

} // namespace
} // namespace troupe::model_test
