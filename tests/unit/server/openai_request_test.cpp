// Request bodies of the OpenAI routes: what is understood and what is refused, by table.
#include "server/openai_request.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace troupe::server {
namespace {

using json = nlohmann::json;

request_rules rules() {
  request_rules out;
  out.model_name = "tiny";
  out.positions_max = 100;
  out.vocabulary = 50;
  out.defaults = {.temperature = 0.7f,
                  .top_k = 20,
                  .top_p = 0.9f,
                  .min_p = 0.1f,
                  .repetition_penalty = 1.1f,
                  .tokens_max = {}};
  return out;
}

// A completion with one field of the given JSON.
api_result<answer_request> completion(const std::string& fields) {
  return parse_completion(R"({"prompt":"x")" + (fields.empty() ? "" : "," + fields) + "}", rules());
}
api_result<answer_request> chat(const std::string& fields) {
  return parse_chat(R"({"messages":[{"role":"user","content":"Hi"}])" +
                        (fields.empty() ? "" : "," + fields) + "}",
                    rules());
}

TEST(openai_request, has_the_defaults_of_the_api_and_of_the_model) {
  const auto got = completion("");
  ASSERT_TRUE(got.has_value());
  const auto& generation = got->generation;
  EXPECT_FALSE(got->tokens_max.has_value());
  EXPECT_FALSE(got->seed.has_value());
  EXPECT_TRUE(got->add_special_tokens);
  EXPECT_EQ(generation.choices, 1u);
  EXPECT_FLOAT_EQ(generation.sampling.temperature, 0.7f);
  EXPECT_EQ(generation.sampling.top_k, 20u);
  EXPECT_FLOAT_EQ(generation.sampling.top_p, 0.9f);
  EXPECT_FLOAT_EQ(generation.sampling.min_p, 0.1f);
  EXPECT_FLOAT_EQ(generation.sampling.repetition_penalty, 1.1f);
  EXPECT_TRUE(generation.skip_special_tokens);
  EXPECT_FALSE(generation.top_logprobs.has_value());
  EXPECT_FALSE(got->stream);
  EXPECT_FALSE(chat("")->add_special_tokens) << "the template brings them along";
  EXPECT_TRUE(chat("")->add_generation_prompt);
}

TEST(openai_request, reads_every_field) {
  const auto got = completion(
      R"("model":"tiny","max_tokens":5,"min_tokens":2,"temperature":0,"top_p":0.5,"top_k":0,"min_p":0,
         "repetition_penalty":1.5,"presence_penalty":-2,"frequency_penalty":2,"seed":-1,"n":3,"best_of":3,
         "logit_bias":{"7":-100,"8":2.5},"stop":["a","b"],"stop_token_ids":[1,2],"ignore_eos":true,
         "include_stop_str_in_output":true,"skip_special_tokens":false,"logprobs":4,"echo":true,
         "stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true,
         "include_event_ids":true},"user":"u","priority":-7,"cache_salt":"salt","request_id":"r",
         "add_special_tokens":false,"truncate_prompt_tokens":9,"unknown_to_all":{"x":1},"suffix":null,
         "response_format":{"type":"text"},"tool_choice":"auto")");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  const auto& to = got->generation;
  EXPECT_EQ(got->tokens_max, 5u);
  EXPECT_EQ(to.tokens_min, 2u);
  EXPECT_EQ(to.sampling.temperature, 0);
  EXPECT_EQ(to.sampling.top_k, 0u);
  EXPECT_FLOAT_EQ(to.sampling.frequency_penalty, 2);
  EXPECT_FLOAT_EQ(to.sampling.presence_penalty, -2);
  EXPECT_EQ(got->seed, ~uint64_t{0});
  EXPECT_EQ(to.choices, 3u);
  ASSERT_EQ(to.sampling.logit_bias.size(), 2u);
  EXPECT_EQ(to.sampling.logit_bias[0], (std::pair<int32_t, float>(7, -100.f)));
  EXPECT_EQ(to.stop_texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(to.stop_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(to.ignore_eos && to.include_stop_text && !to.skip_special_tokens);
  EXPECT_EQ(to.top_logprobs, 4u);
  EXPECT_TRUE(to.prompt_logprobs && got->echo);
  EXPECT_TRUE(got->stream && got->include_usage && got->continuous_usage);
  EXPECT_EQ(got->event_ids, true);
  EXPECT_EQ(to.priority, -7);
  EXPECT_EQ(to.cache_salt, "salt");
  EXPECT_EQ(got->request_id, "r");
  EXPECT_FALSE(got->add_special_tokens);
  EXPECT_EQ(got->truncate_prompt_tokens, 9);
}

TEST(openai_request, takes_every_form_of_prompt) {
  const auto prompts = [](const std::string& prompt) {
    return parse_completion(R"({"prompt":)" + prompt + "}", rules()).value().prompts;
  };
  EXPECT_EQ(prompts(R"("x")"), (std::vector<prompt_source>{"x"}));
  EXPECT_EQ(prompts(R"(["x","y"])"), (std::vector<prompt_source>{"x", "y"}));
  EXPECT_EQ(prompts("[1,2]"), (std::vector<prompt_source>{std::vector<int32_t>{1, 2}}));
  EXPECT_EQ(prompts("[[1],[2,3]]"),
            (std::vector<prompt_source>{std::vector<int32_t>{1}, std::vector<int32_t>{2, 3}}));
}

struct refused {
  const char* fields;
  const char* param;
  const char* says; // part of the message
};

class openai_request_refusals : public ::testing::TestWithParam<refused> {};

TEST_P(openai_request_refusals, name_the_field_and_what_is_wrong) {
  const auto got = completion(GetParam().fields);
  ASSERT_FALSE(got.has_value()) << GetParam().fields;
  EXPECT_EQ(got.error().http_status, 400);
  EXPECT_EQ(got.error().type, "invalid_request_error");
  EXPECT_EQ(got.error().param, GetParam().param) << got.error().message;
  EXPECT_FALSE(got.error().code.empty());
  EXPECT_NE(got.error().message.find(GetParam().says), std::string::npos) << got.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    table, openai_request_refusals,
    ::testing::Values(
        refused{R"("temperature":-0.1)", "temperature", "between 0 and 2, got -0.1"},
        refused{R"("temperature":2.5)", "temperature", "between 0 and 2, got 2.5"},
        refused{R"("temperature":"hot")", "temperature", "got 'hot'"},
        refused{R"("top_p":0)", "top_p", "above 0 and at most 1"},
        refused{R"("top_p":1.5)", "top_p", "got 1.5"}, refused{R"("top_k":-2)", "top_k", "got -2"},
        refused{R"("top_k":1.5)", "top_k", "got 1.5"},
        refused{R"("min_p":2)", "min_p", "between 0 and 1"},
        refused{R"("repetition_penalty":0)", "repetition_penalty", "above 0"},
        refused{R"("presence_penalty":3)", "presence_penalty", "between -2 and 2"},
        refused{R"("frequency_penalty":-3)", "frequency_penalty", "between -2 and 2"},
        refused{R"("n":0)", "n", "between 1 and 128, got 0"},
        refused{R"("n":"two")", "n", "got 'two'"}, refused{R"("n":true)", "n", "got true"},
        refused{R"("n":1000000000)", "n", "got 1000000000"},
        refused{R"("best_of":2)", "best_of", "must equal n (1), got 2"},
        refused{R"("max_tokens":-1)", "max_tokens", "got -1"},
        refused{R"("max_tokens":[5])", "max_tokens", "got an array of 1"},
        refused{R"("max_tokens":5,"min_tokens":6)", "min_tokens", "must not exceed max_tokens (5)"},
        refused{R"("seed":"x")", "seed", "an integer"},
        refused{R"("seed":18446744073709551615)", "seed", "an integer"},
        refused{R"("stream":"yes")", "stream", "true or false"},
        refused{R"("stream_options":{})", "stream_options", "only allowed when stream"},
        refused{R"("stream":true,"stream_options":5)", "stream_options", "an object"},
        refused{R"("stream":true,"stream_options":{"include_usage":1})",
                "stream_options.include_usage", "true or false"},
        refused{R"("stop":5)", "stop", "a list of strings"},
        refused{R"("stop":[1])", "stop", "got 1"},
        refused{R"("stop":"")", "stop", "1 to 1024 bytes"},
        refused{R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])",
                "stop", "at most 16 strings, got 17"},
        refused{R"("stop_token_ids":"x")", "stop_token_ids", "a list of token ids"},
        refused{R"("stop_token_ids":[50])", "stop_token_ids", "between 0 and 49"},
        refused{R"("logit_bias":[1])", "logit_bias", "an object"},
        refused{R"("logit_bias":{"x":1})", "logit_bias", "the key 'x'"},
        refused{R"("logit_bias":{"50":1})", "logit_bias", "between 0 and 49"},
        refused{R"("logit_bias":{"1":101})", "logit_bias", "between -100 and 100, got 101"},
        refused{R"("logit_bias":{"1":"x"})", "logit_bias", "got 'x'"},
        refused{R"("logprobs":21)", "logprobs", "between 0 and 20, got 21"},
        refused{R"("logprobs":true)", "logprobs", "got true"},
        refused{R"("echo":1)", "echo", "true or false"},
        refused{R"("priority":1e12)", "priority", "an integer"},
        refused{R"("user":5)", "user", "a string"},
        refused{R"("request_id":"a b")", "request_id", "printable"},
        refused{R"("truncate_prompt_tokens":0)", "truncate_prompt_tokens", "at least 1"},
        refused{R"("truncate_prompt_tokens":101)", "truncate_prompt_tokens", "between -1 and 100"},
        refused{R"("model":5)", "model", "a string"},
        refused{R"("suffix":"end")", "suffix", "not supported"},
        refused{R"("use_beam_search":true)", "use_beam_search", "not supported"},
        refused{R"("response_format":"json")", "response_format", "an object"},
        refused{R"("tool_choice":"required")", "tool_choice", "for chats"}));

TEST(openai_request, refuses_bad_prompts) {
  for (const auto prompt : {"null", "5", "{}", "[]", "[1,\"a\"]", "[\"a\",1]", "[[1],\"a\"]",
                            "[-1]", "[50]", "[1.5]", "[[50]]", "[true]", "[null]"}) {
    const auto got = parse_completion(R"({"prompt":)" + std::string(prompt) + "}", rules());
    ASSERT_FALSE(got.has_value()) << prompt;
    EXPECT_EQ(got.error().param, "prompt") << prompt;
  }
  EXPECT_EQ(parse_completion("{}", rules()).error().message, "prompt is required");
  json many = json::array();
  for (int i = 0; i < 257; ++i) many.push_back("x");
  EXPECT_FALSE(parse_completion(json{{"prompt", many}}.dump(), rules()).has_value());
  many.erase(many.begin());
  EXPECT_EQ(parse_completion(json{{"prompt", many}, {"n", 5}}.dump(), rules()).error().param, "n");
}

TEST(openai_request, accepts_defaults_of_fields_it_does_not_have) {
  EXPECT_TRUE(completion(R"("suffix":"","use_beam_search":false,"bad_words":[],"functions":[])"));
  EXPECT_TRUE(completion(R"("suffix":null,"best_of":1,"response_format":null,"logprobs":null)"));
}

TEST(openai_request, knows_only_its_own_model) {
  const auto got = completion(R"("model":"huge")");
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().http_status, 404);
  EXPECT_EQ(got.error().code, "model_not_found");
  EXPECT_NE(got.error().message.find("'huge'"), std::string::npos);
}

TEST(openai_request, reads_a_chat) {
  const auto got = chat(
      R"("max_completion_tokens":4,"max_tokens":9,"logprobs":true,"top_logprobs":2,
         "tools":[{"type":"function"}],"chat_template_kwargs":{"thinking":true})");
  ASSERT_TRUE(got.has_value()) << got.error().message;
  EXPECT_EQ(got->tokens_max, 4u) << "the newer name wins";
  EXPECT_EQ(got->generation.top_logprobs, 2u);
  EXPECT_EQ(json::parse(got->tools_json).size(), 1u);
  EXPECT_EQ(json::parse(got->template_arguments_json)["thinking"], true);
  EXPECT_EQ(chat(R"("max_tokens":9)")->tokens_max, 9u);
  EXPECT_EQ(chat(R"("logprobs":true)")->generation.top_logprobs, 0u);
  EXPECT_FALSE(chat(R"("logprobs":false)")->generation.top_logprobs.has_value());
  EXPECT_TRUE(chat(R"("tools":[{}],"tool_choice":"none")")->tools_json.empty());
}

TEST(openai_request, joins_content_parts_and_keeps_other_members) {
  const auto got = parse_chat(
      R"({"messages":[{"role":"system","content":"S","name":"n"},
          {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
          {"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},
          {"role":"tool","content":"r","tool_call_id":"1"}]})",
      rules());
  ASSERT_TRUE(got.has_value()) << got.error().message;
  const json messages = json::parse(got->messages_json);
  EXPECT_EQ(messages[0]["name"], "n");
  EXPECT_EQ(messages[1]["content"], "a\nb");
  EXPECT_EQ(messages[2]["tool_calls"][0]["id"], "1");
  EXPECT_EQ(messages[3]["tool_call_id"], "1");
}

TEST(openai_request, refuses_bad_messages) {
  for (const auto& [messages, param] : std::vector<std::pair<std::string, std::string>>{
           {"null", "messages"},
           {"[]", "messages"},
           {"\"hi\"", "messages"},
           {"[5]", "messages[0]"},
           {"[{}]", "messages[0].role"},
           {R"([{"role":5,"content":"x"}])", "messages[0].role"},
           {R"([{"role":"","content":"x"}])", "messages[0].role"},
           {R"([{"role":"user"}])", "messages[0].content"},
           {R"([{"role":"user","content":"x"},{"role":"user","content":5}])",
            "messages[1].content"},
           {R"([{"role":"user","content":[5]}])", "messages[0].content[0]"},
           {R"([{"role":"user","content":[{"type":"image_url"}]}])", "messages[0].content[0]"},
           {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0]"}}) {
    const auto got = parse_chat(R"({"messages":)" + messages + "}", rules());
    ASSERT_FALSE(got.has_value()) << messages;
    EXPECT_EQ(got.error().param, param) << got.error().message;
  }
  EXPECT_EQ(parse_chat("{}", rules()).error().message, "messages is required");
}

TEST(openai_request, refuses_chat_fields_that_make_no_sense) {
  for (const auto& [fields, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("top_logprobs":2)", "top_logprobs"},
           {R"("logprobs":3)", "logprobs"},
           {R"("max_tokens":0)", "max_tokens"},
           {R"("echo":true)", "echo"},
           {R"("tools":{})", "tools"},
           {R"("chat_template_kwargs":[])", "chat_template_kwargs"},
           {R"("chat_template":"{{ x }}")", "chat_template"},
           {R"("continue_final_message":true)", "continue_final_message"},
           {R"("functions":[{"name":"f"}])", "functions"}}) {
    const auto got = chat(fields);
    ASSERT_FALSE(got.has_value()) << fields;
    EXPECT_EQ(got.error().param, param) << got.error().message;
  }
}

TEST(openai_request, reads_token_routes) {
  EXPECT_EQ(parse_detokenize(R"({"tokens":[1,2]})", rules()).value(), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(parse_detokenize(R"({"tokens":[]})", rules()).value().size(), 0u);
  for (const auto body :
       {"{}", "[]", R"({"tokens":"x"})", R"({"tokens":[-1]})", R"({"tokens":[50]})"}) {
    EXPECT_FALSE(parse_detokenize(body, rules()).has_value()) << body;
  }
  const auto text_form = parse_tokenize(R"({"prompt":"x","return_token_strs":true})", rules());
  EXPECT_TRUE(text_form->token_texts && text_form->source.add_special_tokens);
  const auto chat_form = parse_tokenize(
      R"({"messages":[{"role":"user","content":"x"}],"add_generation_prompt":false})", rules());
  EXPECT_TRUE(chat_form->source.chat);
  EXPECT_FALSE(chat_form->source.add_generation_prompt);
  for (const auto body : {"{}", R"({"prompt":5})", R"({"prompt":["x"]})", R"({"messages":[]})"}) {
    EXPECT_FALSE(parse_tokenize(body, rules()).has_value()) << body;
  }
}

} // namespace
} // namespace troupe::server
