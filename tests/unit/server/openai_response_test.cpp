// Answers from events, streamed and whole, and their log-probabilities.
#include "server/openai_response.hpp"

#include "server/openai_logprobs.hpp"
#include "server/sse.hpp"
#include "tests/unit/server/byte_codec.hpp"
#include "tests/unit/server/test_client.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe::server {
namespace {

using dataflow::finish_reason;
using dataflow::stream_event;
using dataflow::token_record;
using json = nlohmann::json;
using kind = stream_event::kind;

const byte_codec codec;

answer_shape shape() {
  answer_shape out;
  out.id = "cmpl-1";
  out.created = 123;
  out.model = "tiny";
  out.fingerprint = "fp";
  out.prompt_tokens = {4};
  out.echoes = {""};
  out.codec = &codec;
  return out;
}

token_record scored(int32_t token, float logprob, std::vector<model::token_logprob> top = {}) {
  token_record out;
  out.token = token;
  out.logprob = logprob;
  out.top = std::move(top);
  out.scored = true;
  return out;
}

stream_event text(std::string content, std::vector<token_record> tokens = {}, uint32_t choice = 0) {
  stream_event out;
  out.text = std::move(content);
  out.tokens = std::move(tokens);
  out.choice = choice;
  return out;
}

stream_event finished(finish_reason reason, std::string stopped_by = "", uint32_t choice = 0) {
  stream_event out;
  out.what = kind::finished;
  out.reason = reason;
  out.stopped_by = std::move(stopped_by);
  out.choice = choice;
  return out;
}

stream_event completed(uint32_t tokens) {
  stream_event out;
  out.what = kind::completed;
  out.completion_tokens = tokens;
  out.cached_tokens = 2;
  return out;
}

std::vector<json> chunks_of(const std::string& events) {
  std::vector<json> out;
  for (const auto& data : data_of(events)) {
    if (data != "[DONE]") out.push_back(json::parse(data));
  }
  return out;
}

TEST(sse, frames_events) {
  EXPECT_EQ(sse_event("{}"), "data: {}\n\n");
  EXPECT_EQ(sse_event("{}", 7), "id: 7\ndata: {}\n\n");
  EXPECT_DEATH(sse_event("a\nb"), "");
}

TEST(stream_answer, writes_completion_chunks) {
  stream_answer answer(shape());
  EXPECT_EQ(answer.begin(), "");
  EXPECT_EQ(
      answer.add(0, text("Hi")),
      "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":123,\"model\":\"tiny\","
      "\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":0,\"text\":\"Hi\",\"logprobs\":null,"
      "\"finish_reason\":null,\"stop_reason\":null}]}\n\n");
  EXPECT_EQ(answer.add(0, text("")), "") << "nothing to say";
  const auto last = chunks_of(answer.add(0, finished(finish_reason::stop, "END"))).at(0);
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(last["choices"][0]["stop_reason"], "END");
  EXPECT_EQ(last["choices"][0]["text"], "");
  EXPECT_FALSE(answer.complete());
  EXPECT_EQ(answer.add(0, completed(1)), "");
  EXPECT_TRUE(answer.complete());
  EXPECT_EQ(answer.end(), "data: [DONE]\n\n");
}

TEST(stream_answer, writes_chat_chunks) {
  answer_shape with = shape();
  with.chat = true;
  with.choices = 2;
  stream_answer answer(with);
  const auto roles = chunks_of(answer.begin());
  ASSERT_EQ(roles.size(), 2u);
  EXPECT_EQ(roles[1]["choices"][0],
            json::parse(R"({"index":1,"delta":{"role":"assistant","content":""},
                                                  "logprobs":null,"finish_reason":null,"stop_reason":null})"));
  EXPECT_EQ(roles[0]["object"], "chat.completion.chunk");
  const auto more = chunks_of(answer.add(0, text("x", {}, 1))).at(0);
  EXPECT_EQ(more["choices"][0]["delta"], json({{"content", "x"}}));
  EXPECT_EQ(more["choices"][0]["index"], 1);
  const auto last = chunks_of(answer.add(0, finished(finish_reason::length, "", 1))).at(0);
  EXPECT_EQ(last["choices"][0]["delta"], json::object());
  EXPECT_EQ(last["choices"][0]["finish_reason"], "length");
}

TEST(stream_answer, gives_usage_only_when_asked_and_where_it_belongs) {
  answer_shape with = shape();
  with.include_usage = true;
  stream_answer answer(with);
  EXPECT_FALSE(chunks_of(answer.add(0, text("x"))).at(0).contains("usage"));
  answer.add(0, completed(9));
  const auto last = chunks_of(answer.end()).at(0);
  EXPECT_EQ(last["choices"], json::array());
  EXPECT_EQ(last["usage"],
            json::parse(R"({"prompt_tokens":4,"completion_tokens":9,"total_tokens":13,
                                          "prompt_tokens_details":{"cached_tokens":2}})"));
}

TEST(stream_answer, counts_along_when_asked) {
  answer_shape with = shape();
  with.continuous_usage = true;
  stream_answer answer(with);
  answer.add(0, text("a", {scored('a', -1)}));
  const auto second =
      chunks_of(answer.add(0, text("bc", {scored('b', -1), scored('c', -1)}))).at(0);
  EXPECT_EQ(second["usage"]["completion_tokens"], 3);
  EXPECT_EQ(second["usage"]["prompt_tokens"], 4);
}

TEST(stream_answer, numbers_choices_over_prompts) {
  answer_shape with = shape();
  with.prompt_tokens = {1, 2};
  with.echoes = {"p", "q"};
  with.choices = 3;
  with.echo = true;
  stream_answer answer(with);
  const auto echoes = chunks_of(answer.begin());
  ASSERT_EQ(echoes.size(), 6u);
  EXPECT_EQ(echoes[3]["choices"][0]["text"], "q");
  EXPECT_EQ(echoes[3]["choices"][0]["index"], 3);
  EXPECT_EQ(chunks_of(answer.add(1, text("x", {}, 2))).at(0)["choices"][0]["index"], 5);
  answer.add(0, completed(1));
  EXPECT_FALSE(answer.complete());
  answer.add(1, completed(1));
  EXPECT_TRUE(answer.complete());
}

TEST(stream_answer, numbers_events_when_asked) {
  answer_shape with = shape();
  with.event_ids = true;
  stream_answer answer(with);
  EXPECT_TRUE(answer.add(0, text("a")).starts_with("id: 1\ndata: {"));
  EXPECT_TRUE(answer.add(0, text("b")).starts_with("id: 2\ndata: {"));
}

TEST(stream_answer, puts_an_error_where_the_rest_would_be) {
  stream_answer answer(shape());
  const std::string events = answer.fail(error_of(status(status_code::corrupt, "bad page")));
  EXPECT_EQ(chunks_of(events).at(0)["error"]["message"], "bad page");
  EXPECT_EQ(events.find("[DONE]"), std::string::npos);
}

TEST(whole_answer, says_everything_at_once) {
  answer_shape with = shape();
  with.choices = 2;
  whole_answer answer(with);
  answer.add(0, text("b", {}, 1));
  answer.add(0, text("a1"));
  answer.add(0, text("a2"));
  answer.add(0, finished(finish_reason::length, "", 1));
  answer.add(0, finished(finish_reason::stop));
  EXPECT_FALSE(answer.complete());
  answer.add(0, completed(3));
  EXPECT_TRUE(answer.complete());
  const json body = json::parse(answer.body());
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"][0]["text"], "a1a2");
  EXPECT_EQ(body["choices"][1]["text"], "b");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
  EXPECT_TRUE(body["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(body["usage"]["total_tokens"], 7);
}

TEST(whole_answer, writes_chat_messages) {
  answer_shape with = shape();
  with.chat = true;
  whole_answer answer(with);
  answer.add(0, text("Hello"));
  answer.add(0, completed(1));
  const json body = json::parse(answer.body());
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello");
}

TEST(whole_answer, echoes_the_prompt_with_its_scores) {
  answer_shape with = shape();
  with.echo = with.logprobs = with.prompt_logprobs = true;
  with.echoes = {"ab"};
  whole_answer whole(with);
  stream_answer stream(with);
  stream_event prompt;
  prompt.what = kind::prompt_scored;
  prompt.tokens = {token_record{}, scored('b', -2, {{'c', -1}})};
  prompt.tokens[0].token = 'a';
  std::string events = stream.begin();
  for (const auto& event :
       {prompt, text("c", {scored('c', -3)}), finished(finish_reason::stop), completed(1)}) {
    whole.add(0, event);
    events += stream.add(0, event);
  }
  const json choice = json::parse(whole.body())["choices"][0];
  EXPECT_EQ(choice["text"], "abc");
  EXPECT_EQ(choice["logprobs"],
            json::parse(R"({"tokens":["a","b","c"],"token_logprobs":[null,-2.0,-3.0],
      "top_logprobs":[null,{"c":-1.0,"b":-2.0},{"c":-3.0}],"text_offset":[0,1,2]})"));
  const auto chunks = chunks_of(events);
  EXPECT_EQ(chunks[0]["choices"][0]["text"], "ab");
  EXPECT_EQ(chunks[0]["choices"][0]["logprobs"]["text_offset"], json({0, 1}));
  EXPECT_EQ(chunks[1]["choices"][0]["logprobs"]["text_offset"], json({2}));
}

TEST(logprobs, name_tokens_that_are_parts_of_characters) {
  EXPECT_EQ(token_name("é"), "é");
  EXPECT_EQ(token_name("\xc3"), "bytes:\\xc3");
  for (const auto bad :
       {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    EXPECT_FALSE(valid_utf8(bad));
  }
  EXPECT_TRUE(valid_utf8("aé€😀"));
  EXPECT_EQ(characters("aé€😀"), 4u);
}

TEST(logprobs, stay_within_what_json_can_say) {
  size_t offset = 0;
  const auto got = completion_logprobs(
      std::vector<token_record>{scored('a', -std::numeric_limits<float>::infinity())}, codec,
      offset);
  EXPECT_EQ(got["token_logprobs"][0], -9999.0);
}

TEST(logprobs, have_bytes_in_chats) {
  const auto got =
      chat_logprobs(std::vector<token_record>{scored(0xc3, -1, {{'x', -0.5f}})}, codec);
  const json parsed = json::parse(dump(got));
  EXPECT_EQ(parsed["content"][0]["bytes"], json({0xc3}));
  EXPECT_EQ(parsed["content"][0]["top_logprobs"][0]["token"], "x");
}

TEST(failure_of, tells_ends_from_failures) {
  EXPECT_FALSE(failure_of(text("x")).has_value());
  EXPECT_FALSE(failure_of(finished(finish_reason::stop)).has_value());
  EXPECT_FALSE(failure_of(finished(finish_reason::length)).has_value());
  EXPECT_EQ(failure_of(finished(finish_reason::deadline))->http_status, 504);
  EXPECT_EQ(failure_of(finished(finish_reason::cancelled))->http_status, 503);
  EXPECT_EQ(failure_of(finished(finish_reason::failed))->http_status, 500);
  stream_event failed;
  failed.what = kind::failed;
  failed.why = status(status_code::exhausted, "full");
  EXPECT_EQ(failure_of(failed)->http_status, 429);
}

} // namespace
} // namespace troupe::server
