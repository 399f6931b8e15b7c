// Streaming: whole characters only, and in sum what decoding at once gives.
#include "model/stream_decoder.hpp"

#include "base/random.hpp"
#include "model/tokenizer_unicode.hpp"
#include "tests/unit/model_text/golden_tokenizers.hpp"

#include <gtest/gtest.h>

namespace troupe::model {
namespace {

class stream_decoder_test : public testing::TestWithParam<std::string> {
protected:
  // The joined pieces; every piece must be whole characters.
  std::string stream(const std::vector<int32_t>& ids, bool skip_special_tokens) {
    stream_decoder decoder(source_, skip_special_tokens);
    std::string joined;
    for (const int32_t id : ids) joined += checked(decoder.push(id));
    return joined + checked(decoder.finish());
  }
  std::string checked(std::string piece) {
    EXPECT_TRUE(is_valid_utf8(piece)) << piece;
    return piece;
  }

  tokenizer source_ = load_golden_tokenizer(GetParam());
};

TEST_P(stream_decoder_test, gives_every_text_back_in_whole_characters) {
  const auto golden = read_golden_json(golden_tokenizers_folder + GetParam() + "/golden.json");
  const auto texts = read_golden_json(golden_tokenizers_folder + "strings.json");
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto& wanted = golden["cases"][i];
    const auto ids = wanted[wanted[1].is_null() ? 0 : 1].get<std::vector<int32_t>>();
    const std::string text = wanted[2].is_null() ? texts[i] : wanted[2];
    ASSERT_EQ(stream(ids, false), text) << "text " << i;
  }
}

TEST_P(stream_decoder_test, gives_arbitrary_ids_back_as_the_reference) {
  const auto golden = read_golden_json(golden_tokenizers_folder + GetParam() + "/golden.json");
  for (const auto& wanted : golden["decodes"]) {
    const auto ids = wanted[0].get<std::vector<int32_t>>();
    const std::string text = wanted[1];
    const std::string skipped = wanted[2].is_null() ? wanted[1] : wanted[2];
    ASSERT_EQ(stream(ids, false), text) << wanted.dump();
    ASSERT_EQ(stream(ids, true), skipped) << wanted.dump();
  }
}

TEST_P(stream_decoder_test, begins_anew_after_finish) {
  const auto ids = source_.encode("Hello, world!").value();
  stream_decoder decoder(source_, true);
  for (int round = 0; round < 2; ++round) {
    std::string joined;
    for (const int32_t id : ids) joined += decoder.push(id);
    EXPECT_EQ(joined + decoder.finish(), source_.decode(ids, true));
  }
}

INSTANTIATE_TEST_SUITE_P(families, stream_decoder_test, testing::ValuesIn(golden_tokenizer_names()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace troupe::model
