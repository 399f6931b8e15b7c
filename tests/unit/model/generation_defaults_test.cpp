// Reading generation_config.json.
#include "model/generation_defaults.hpp"

#include <gtest/gtest.h>

namespace troupe::model {
namespace {

TEST(generation_defaults, reads_all_fields) {
  const auto out =
      parse_generation_config(R"({"eos_token_id": [7, 9], "bos_token_id": 1, "pad_token_id": 0,
      "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.1,
      "do_sample": true, "max_new_tokens": 300, "transformers_version": "5.0"})");
  ASSERT_TRUE(out.has_value()) << out.error().why();
  EXPECT_EQ(out->eos_ids, (std::vector<int32_t>{7, 9}));
  EXPECT_EQ(out->bos_id, 1);
  EXPECT_EQ(out->pad_id, 0);
  EXPECT_FLOAT_EQ(*out->temperature, 0.6f);
  EXPECT_EQ(out->top_k, 20u);
  EXPECT_FLOAT_EQ(*out->top_p, 0.95f);
  EXPECT_FLOAT_EQ(*out->min_p, 0.05f);
  EXPECT_FLOAT_EQ(*out->repetition_penalty, 1.1f);
  EXPECT_EQ(out->do_sample, true);
  EXPECT_EQ(out->max_new_tokens, 300u);
}

TEST(generation_defaults, leaves_unsaid_fields_unset) {
  const auto out = parse_generation_config(R"({"eos_token_id": 2, "temperature": null})");
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->eos_ids, std::vector<int32_t>{2});
  EXPECT_FALSE(out->temperature || out->top_k || out->top_p || out->do_sample ||
               out->max_new_tokens);
}

TEST(generation_defaults, names_what_is_wrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"temperature": "hot"})", "'temperature'"},
      {R"({"top_p": 1.5})", "'top_p'"},
      {R"({"top_k": -1})", "'top_k'"},
      {R"({"eos_token_id": 1.5})", "'eos_token_id'"},
      {R"({"do_sample": "yes"})", "'do_sample'"},
      {"{", "JSON syntax error"},
  };
  for (const auto& [json, named] : cases) {
    const auto out = parse_generation_config(json);
    ASSERT_FALSE(out.has_value()) << json;
    EXPECT_NE(out.error().why().find(named), std::string::npos) << out.error().why();
    EXPECT_NE(out.error().why().find("generation_config.json"), std::string::npos);
  }
}

} // namespace
} // namespace troupe::model
