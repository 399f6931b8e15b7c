// Fields that say what an answer has to be, and answers that are calls of tools.
#include "server/openai_request.hpp"
#include "server/openai_response.hpp"
#include "tests/unit/server/byte_codec.hpp"
#include "tests/unit/server/test_client.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace troupe::server {
namespace {

using json = nlohmann::json;
using dataflow::finish_reason;
using dataflow::stream_event;
using kind = model::constraint::kind;

const byte_codec codec;

request_rules rules() {
  request_rules out;
  out.model_name = "tiny";
  out.positions_max = 100;
  out.vocabulary = 50;
  return out;
}

api_result<answer_request> chat(const std::string& fields) {
  return parse_chat(R"({"messages":[{"role":"user","content":"Hi"}],)" + fields + "}", rules());
}

constexpr const char* tools =
    R"("tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object",
        "properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}},
        {"type":"function","function":{"name":"now"}}])";

TEST(openai_constraint, reads_every_form) {
  const std::vector<std::tuple<std::string, kind, std::string>> cases = {
      {R"("response_format":{"type":"text"})", kind::none, ""},
      {R"("response_format":{"type":"json_object"})", kind::json_object, ""},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,
          "schema":{"type":"integer"}}})",
       kind::json_schema, R"({"type":"integer"})"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"n","strict":false,
          "schema":{"not":{}}}})",
       kind::json_schema_lenient, R"({"not":{}})"},
      {R"("guided_json":{"b":true,"type":"null","a":1})", kind::none, "the keyword 'b'"},
      {R"("guided_json":"{\"type\":\"null\"}")", kind::json_schema, R"({"type":"null"})"},
      {R"("guided_regex":"a+")", kind::regex, "a+"},
      {R"("guided_choice":["a","b"])", kind::choice, R"(["a","b"])"},
      {R"("guided_grammar":"root ::= \"a\"")", kind::grammar, "root ::= \"a\""},
      {R"("structured_outputs":{"json":{"type":"null"}})", kind::json_schema, R"({"type":"null"})"},
      {R"("structured_outputs":{"regex":"a"})", kind::regex, "a"},
      {R"("structured_outputs":{"choice":["a"]})", kind::choice, R"(["a"])"},
      {R"("structured_outputs":{"json_object":true})", kind::json_object, ""},
      {R"("guided_json":null,"guided_regex":null)", kind::none, ""},
  };
  for (const auto& [fields, what, content] : cases) {
    const auto got = chat(fields);
    if (what == kind::none && !content.empty()) {
      ASSERT_FALSE(got.has_value()) << fields;
      EXPECT_NE(got.error().message.find(content), std::string::npos) << got.error().message;
      continue;
    }
    ASSERT_TRUE(got.has_value()) << fields << ": " << got.error().message;
    EXPECT_EQ(got->generation.constraint, (model::constraint{what, content})) << fields;
  }
  const auto plain = parse_completion(R"({"prompt":"x","guided_regex":"[ab]"})", rules());
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->generation.constraint.what, kind::regex);
}

TEST(openai_constraint, refuses_with_field_and_place) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {R"("guided_regex":"a(")", "guided_regex", "position 2"},
      {R"("guided_regex":5)", "guided_regex", "a string"},
      {R"("guided_grammar":"root ::= x")", "guided_grammar", "line 1, column 10"},
      {R"("guided_choice":"a")", "guided_choice", "list of strings"},
      {R"("guided_choice":[1])", "guided_choice", "strings"},
      {R"("guided_json":5)", "guided_json", "a JSON schema"},
      {R"("guided_json":"{")", "guided_json", "not valid JSON"},
      {R"("guided_json":{"properties":{"a":{"not":{}}}})", "guided_json",
       "#/properties/a: the keyword 'not'"},
      {R"("guided_regex":"a","guided_choice":["a"])", "guided_choice", "cannot be given together"},
      {R"("response_format":{"type":"json_schema"})", "response_format.json_schema", "a schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":{"not":{}}}})",
       "response_format.json_schema.schema", "'not'"},
      {R"("response_format":{"type":"xml"})", "response_format", "'xml' is not supported"},
      {R"("structured_outputs":{"structural_tag":"x"})", "structured_outputs.structural_tag",
       "not supported"},
      {R"("tool_choice":"required")", "tool_choice", "no tools"},
      {R"("tool_choice":5)", "tool_choice", "must be"},
      {R"("tool_choice":{"type":"function","function":{"name":"sub"}},)" + std::string(tools),
       "tool_choice", "none of the tools"},
      {R"("tool_choice":"required","guided_regex":"a",)" + std::string(tools), "tools", "together"},
      {R"("tool_choice":"required","tools":[{}])", "tools[0]", "a function"},
  };
  for (const auto& [fields, param, why] : cases) {
    const auto got = chat(fields);
    ASSERT_FALSE(got.has_value()) << fields;
    EXPECT_EQ(got.error().http_status, 400);
    EXPECT_EQ(got.error().param, param) << got.error().message;
    EXPECT_NE(got.error().message.find(why), std::string::npos) << got.error().message;
  }
}

TEST(openai_constraint, tools_that_have_to_be_called_become_a_schema) {
  const auto free = chat(std::string(tools) + R"(,"tool_choice":"auto")");
  ASSERT_TRUE(free.has_value());
  EXPECT_FALSE(free->generation.constraint.any());
  const auto one =
      chat(std::string(tools) + R"(,"tool_choice":{"type":"function","function":{"name":"add"}})");
  ASSERT_TRUE(one.has_value()) << one.error().message;
  EXPECT_EQ(one->calls.name, "add");
  EXPECT_EQ(json::parse(one->generation.constraint.text)["required"], json::array({"a"}));
  const auto some = chat(std::string(tools) + R"(,"tool_choice":"required")");
  ASSERT_TRUE(some.has_value()) << some.error().message;
  EXPECT_EQ(some->calls.what, tool_demand::kind::some);
  EXPECT_EQ(json::parse(some->generation.constraint.text)["items"]["anyOf"].size(), 2u);
}

// -- answers

answer_shape shape(tool_demand calls) {
  answer_shape out;
  out.id = "chatcmpl-1";
  out.chat = true;
  out.calls = std::move(calls);
  out.prompt_tokens = {4};
  out.echoes = {""};
  out.codec = &codec;
  return out;
}

std::vector<stream_event> events(const std::string& content, finish_reason reason) {
  std::vector<stream_event> out(4);
  out[0].text = content.substr(0, 5);
  out[0].tokens.resize(2);
  out[1].text = content.substr(5);
  out[1].tokens.resize(1);
  out[2].what = stream_event::kind::finished;
  out[2].reason = reason;
  out[3].what = stream_event::kind::completed;
  out[3].completion_tokens = 3;
  return out;
}

json whole(tool_demand calls, const std::string& content, finish_reason reason) {
  whole_answer answer(shape(std::move(calls)));
  for (const auto& event : events(content, reason)) answer.add(0, event);
  return json::parse(answer.body())["choices"][0];
}

TEST(openai_constraint, calls_are_told_as_calls) {
  const auto one = whole({tool_demand::kind::one, "add"}, R"({"a": 5})", finish_reason::stop);
  EXPECT_EQ(one["finish_reason"], "tool_calls");
  EXPECT_TRUE(one["message"]["content"].is_null());
  EXPECT_EQ(one["message"]["tool_calls"][0]["function"]["name"], "add");
  EXPECT_EQ(one["message"]["tool_calls"][0]["function"]["arguments"], R"({"a": 5})");
  const auto two = whole({tool_demand::kind::some, ""},
                         R"([{"name":"add","arguments":{"a":5}},{"name":"now","arguments":{}}])",
                         finish_reason::stop);
  ASSERT_EQ(two["message"]["tool_calls"].size(), 2u);
  EXPECT_EQ(two["message"]["tool_calls"][1]["function"]["name"], "now");
  EXPECT_NE(two["message"]["tool_calls"][0]["id"], two["message"]["tool_calls"][1]["id"]);
  const auto cut = whole({tool_demand::kind::one, "add"}, R"({"a": )", finish_reason::length);
  EXPECT_EQ(cut["finish_reason"], "length");
  EXPECT_EQ(cut["message"]["content"], R"({"a": )");
}

TEST(openai_constraint, a_stream_tells_calls_in_one_event_with_its_end) {
  stream_answer answer(shape({tool_demand::kind::one, "add"}));
  std::string bytes;
  for (const auto& event : events(R"({"a": 5})", finish_reason::stop))
    bytes += answer.add(0, event);
  const auto data = data_of(bytes);
  ASSERT_EQ(data.size(), 1u) << bytes;
  const json choice = json::parse(data[0])["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["delta"]["tool_calls"][0]["index"], 0);
  EXPECT_EQ(choice["delta"]["tool_calls"][0]["function"]["arguments"], R"({"a": 5})");
}

} // namespace
} // namespace troupe::server
