// The tokenizer against the reference package, and against broken and hostile files.
#include "model/tokenizer.hpp"

#include "base/random.hpp"
#include "model/json_text.hpp"
#include "tests/unit/model_text/golden_tokenizers.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace troupe::model {
namespace {

using nlohmann::json;
using ids = std::vector<int32_t>;

class tokenizer_golden_test : public testing::TestWithParam<std::string> {
protected:
  tokenizer source_ = load_golden_tokenizer(GetParam());
  json golden_ = read_golden_json(golden_tokenizers_folder + GetParam() + "/golden.json");
  json texts_ = read_golden_json(golden_tokenizers_folder + "strings.json");
};

TEST_P(tokenizer_golden_test, encodes_and_decodes_every_text_as_the_reference) {
  ASSERT_GE(texts_.size(), 400u);
  ASSERT_EQ(golden_["cases"].size(), texts_.size());
  for (size_t i = 0; i < texts_.size(); ++i) {
    const auto text = texts_[i].get<std::string>();
    const json& wanted = golden_["cases"][i];
    const ids plain = wanted[0].get<ids>();
    const ids special = wanted[1].is_null() ? plain : wanted[1].get<ids>();
    ASSERT_EQ(source_.encode(text, {.add_special_tokens = false}).value(), plain)
        << "text " << i << ": " << text;
    ASSERT_EQ(source_.encode(text).value(), special) << "text " << i << ": " << text;
    const auto decoded = wanted[2].is_null() ? text : wanted[2].get<std::string>();
    const auto skipped = wanted[3].is_null() ? decoded : wanted[3].get<std::string>();
    ASSERT_EQ(source_.decode(special, false), decoded) << "text " << i << ": " << text;
    ASSERT_EQ(source_.decode(special, true), skipped) << "text " << i << ": " << text;
  }
}

TEST_P(tokenizer_golden_test, decodes_arbitrary_ids_as_the_reference) {
  for (const auto& wanted : golden_["decodes"]) {
    const ids given = wanted[0].get<ids>();
    const auto decoded = wanted[1].get<std::string>();
    const auto skipped = wanted[2].is_null() ? decoded : wanted[2].get<std::string>();
    ASSERT_EQ(source_.decode(given, false), decoded) << wanted.dump();
    ASSERT_EQ(source_.decode(given, true), skipped) << wanted.dump();
  }
}

TEST_P(tokenizer_golden_test, counts_its_tokens_as_the_reference) {
  EXPECT_EQ(source_.vocab_size(), golden_["vocab_size"].get<size_t>());
}

INSTANTIATE_TEST_SUITE_P(families, tokenizer_golden_test,
                         testing::ValuesIn(golden_tokenizer_names()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model
