// From checked requests to engine requests: templates, tokens, lengths, seeds.
#include "server/request_preparation.hpp"

#include "tests/unit/server/byte_codec.hpp"

#include <gtest/gtest.h>

namespace troupe::server {
namespace {

class request_preparation : public ::testing::Test {
protected:
  request_preparation() {
    rules.positions_max = 20;
    rules.vocabulary = byte_vocabulary;
  }

  api_result<prepared_request> prepare_completion(const std::string& body) {
    const auto request = parse_completion(body, rules);
    EXPECT_TRUE(request.has_value()) << request.error().message;
    return prepare(*request, {rules, codec, seeds});
  }
  api_result<prepared_request> prepare_chat(const std::string& body) {
    const auto request = parse_chat(body, rules);
    EXPECT_TRUE(request.has_value()) << request.error().message;
    return prepare(*request, {rules, codec, seeds});
  }
  std::string text_of(const prepared_request& prepared) {
    return codec.decode(prepared.generations.at(0).prompt, false);
  }

  request_rules rules;
  byte_codec codec;
  uint64_t seed = 100;
  std::function<uint64_t()> seeds = [this] { return ++seed; };
};

TEST_F(request_preparation, gives_every_prompt_a_request_and_a_seed) {
  const auto got = prepare_completion(R"({"prompt":["ab","c"],"max_tokens":3})");
  ASSERT_EQ(got->generations.size(), 2u);
  EXPECT_EQ(got->generations[0].prompt, (std::vector<int32_t>{byte_bos, 'a', 'b'}));
  EXPECT_EQ(got->generations[1].tokens_max, 3u);
  EXPECT_NE(got->generations[0].sampling.seed, got->generations[1].sampling.seed);
  const auto asked = prepare_completion(R"({"prompt":["ab","c"],"seed":9})");
  EXPECT_EQ(asked->generations[0].sampling.seed, 9u);
  EXPECT_EQ(asked->generations[1].sampling.seed, 9u);
}

TEST_F(request_preparation, takes_sixteen_tokens_or_what_is_left) {
  EXPECT_EQ(prepare_completion(R"({"prompt":[1,2]})")->generations[0].tokens_max, 16u);
  EXPECT_EQ(prepare_completion(R"({"prompt":[1,2,3,4,5,6,7,8,9,10]})")->generations[0].tokens_max,
            10u);
  EXPECT_EQ(prepare_completion(R"({"prompt":[1],"max_tokens":0})")->generations[0].tokens_max, 0u);
}

TEST_F(request_preparation, lets_a_chat_go_on_to_the_end_of_the_context) {
  rules.positions_max = 200;
  const std::string body = R"({"messages":[{"role":"u","content":"Hi"}]})";
  const std::string rendered = "[u]Hi[end][assistant]";
  EXPECT_EQ(prepare_chat(body)->generations[0].tokens_max, 200 - rendered.size());
  EXPECT_EQ(text_of(*prepare_chat(body)), rendered);
  rules.defaults.tokens_max = 50;
  EXPECT_EQ(prepare_chat(body)->generations[0].tokens_max, 50u);
}

TEST_F(request_preparation, refuses_what_does_not_fit_and_gives_the_numbers) {
  const auto got = prepare_completion(R"({"prompt":[1,2,3,4,5],"max_tokens":16})");
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().http_status, 400);
  EXPECT_EQ(got.error().param, "prompt");
  EXPECT_EQ(got.error().code, "context_length_exceeded");
  for (const auto number : {"20", "21", "5", "16"}) {
    EXPECT_NE(got.error().message.find(number), std::string::npos) << got.error().message;
  }
  EXPECT_TRUE(prepare_completion(R"({"prompt":[1,2,3,4],"max_tokens":16})").has_value());
  EXPECT_FALSE(prepare_completion(R"({"prompt":"12345678901234567890"})").has_value());
  EXPECT_FALSE(prepare_completion(R"({"prompt":[1],"max_tokens":2147483647})").has_value());
}

TEST_F(request_preparation, refuses_prompts_without_tokens) {
  EXPECT_FALSE(prepare_completion(R"({"prompt":"","add_special_tokens":false})").has_value());
  EXPECT_FALSE(prepare_completion(R"({"prompt":[[1],[]]})").has_value());
  EXPECT_TRUE(prepare_completion(R"({"prompt":""})").has_value()) << "it still has its first token";
}

TEST_F(request_preparation, truncates_only_when_asked) {
  const auto cut = [this](const char* fields) {
    return prepare_completion(
        std::string(R"({"prompt":[1,2,3,4,5,6,7,8,9,10,11,12],"max_tokens":10,)") + fields + "}");
  };
  EXPECT_FALSE(cut(R"("n":1)").has_value());
  EXPECT_EQ(cut(R"("truncate_prompt_tokens":2)")->generations[0].prompt,
            (std::vector<int32_t>{11, 12}));
  EXPECT_EQ(cut(R"("truncate_prompt_tokens":-1)")->generations[0].prompt.size(), 10u);
  EXPECT_FALSE(cut(R"("truncate_prompt_tokens":20)").has_value());
}

TEST_F(request_preparation, echoes_the_prompt_as_it_was_sent) {
  EXPECT_EQ(prepare_completion(R"({"prompt":"ab","echo":true})")->echoes.at(0), "ab");
  EXPECT_EQ(prepare_completion(R"({"prompt":[97,98],"echo":true})")->echoes.at(0), "ab");
  EXPECT_EQ(prepare_completion(R"({"prompt":"abcd","echo":true,"truncate_prompt_tokens":2})")
                ->echoes.at(0),
            "cd");
  EXPECT_EQ(prepare_completion(R"({"prompt":"ab"})")->echoes.at(0), "");
}

TEST_F(request_preparation, continues_the_final_message) {
  rules.positions_max = 200;
  const auto got = prepare_chat(
      R"({"messages":[{"role":"u","content":"Hi"},{"role":"a","content":"Well"}],
          "add_generation_prompt":false,"continue_final_message":true})");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  EXPECT_EQ(text_of(*got), "[u]Hi[end][a]Well");
}

TEST_F(request_preparation, blames_the_messages_for_what_the_template_refuses) {
  const auto got = prepare_chat(R"({"messages":[{"role":"bad","content":"Hi"}]})");
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().http_status, 400);
  EXPECT_EQ(got.error().param, "messages");
  EXPECT_NE(got.error().message.find("the role bad"), std::string::npos);
}

TEST_F(request_preparation, checks_min_tokens_against_the_real_maximum) {
  EXPECT_FALSE(prepare_completion(R"({"prompt":[1],"min_tokens":17})").has_value());
  EXPECT_TRUE(prepare_completion(R"({"prompt":[1],"min_tokens":16})").has_value());
}

} // namespace
} // namespace troupe::server
