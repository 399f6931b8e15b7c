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
  EXPECT_EQ(sse_event("{}", "7"), "id: 7\ndata: {}\n\n");
  EXPECT_DEATH(sse_event("{}", "7\n8"), "");
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

// The `id:` of each event.
std::vector<event_id> ids_of(const std::string& events) {
  std::vector<event_id> out;
  for (size_t at = events.find("id: "); at != std::string::npos; at = events.find("\nid: ", at)) {
    at = events.find(' ', at) + 1;
    const auto id = parse_event_id(events.substr(at, events.find('\n', at) - at));
    EXPECT_TRUE(id.has_value()) << events;
    if (id) out.push_back(*id);
  }
  return out;
}

answer_shape with_ids(answer_shape from) {
  answer_identity identity;
  identity.chat = from.chat;
  identity.name = "1";
  identity.created = from.created;
  identity.offsets = from.logprobs && !from.chat;
  from.identity = identity;
  return from;
}

TEST(stream_answer, says_with_every_event_what_the_client_has) {
  stream_answer answer(with_ids(shape()));
  EXPECT_EQ(answer.begin(), "");
  const auto tokens = [](int count) { return std::vector<token_record>(count); };
  EXPECT_EQ(answer.add(0, text("", tokens(1))), "") << "half a character";
  auto id = ids_of(answer.add(0, text("\xc3\xa9", tokens(1)))).at(0);
  EXPECT_EQ(id.of.name, "1");
  EXPECT_EQ(id.of.created, 123);
  EXPECT_EQ(id.after.choices, (std::vector<choice_position>{{.tokens = 2, .text_bytes = 2}}));
  id = ids_of(answer.add(0, finished(finish_reason::stop))).at(0);
  EXPECT_TRUE(id.after.choices[0].finished);
  EXPECT_EQ(id.after.tail, stream_position::tail_part::none);
  id = ids_of(answer.end()).at(0);
  EXPECT_EQ(id.after.tail, stream_position::tail_part::done);
}

// With the empty line at the end of each.
std::vector<std::string> events_of(const std::string& bytes) {
  std::vector<std::string> out;
  for (size_t at = 0, end = 0; at < bytes.size(); at = end) {
    end = bytes.find("\n\n", at) + 2;
    out.push_back(bytes.substr(at, end - at));
  }
  return out;
}

// What the engine tells, and to a client that was cut off only what that one has not heard.
std::vector<stream_event> story(const stream_position* had) {
  std::vector<stream_event> out;
  const std::vector<choice_position> nothing(2);
  const auto& from = had != nullptr ? had->choices : nothing;
  for (uint32_t choice = 0; choice < 2; ++choice) {
    stream_event prompt;
    prompt.what = kind::prompt_scored;
    prompt.choice = choice;
    prompt.tokens = {token_record{}, scored('b', -2)};
    if (!from[choice].opened) out.push_back(prompt);
  }
  for (uint32_t choice = 0; choice < 2; ++choice) {
    const auto& has = from[choice];
    if (has.tokens < 1) out.push_back(text("a", {scored('a', -1)}, choice));
    if (has.tokens < 2) out.push_back(text("", {scored('b', -1)}, choice));
    if (has.tokens < 3) out.push_back(text("bc", {scored('c', -1)}, choice));
    if (has.text_bytes < 4 && !has.finished) out.push_back(text("d", {}, choice));
    if (!has.finished) out.push_back(finished(finish_reason::length, "", choice));
  }
  out.push_back(completed(6));
  return out;
}

std::string told(stream_answer answer, const std::vector<stream_event>& events) {
  std::string out = answer.begin();
  for (const auto& event : events) out += answer.add(0, event);
  EXPECT_TRUE(answer.complete());
  return out + answer.end();
}

TEST(stream_answer, goes_on_after_any_event_with_the_same_bytes) {
  for (int kind_of_answer = 0; kind_of_answer < 16; ++kind_of_answer) {
    answer_shape with = shape();
    with.choices = 2;
    with.chat = (kind_of_answer & 1) != 0;
    with.logprobs = (kind_of_answer & 2) != 0;
    with.echo = !with.chat && (kind_of_answer & 4) != 0;
    with.prompt_logprobs = with.echo && with.logprobs;
    with.include_usage = with.continuous_usage = (kind_of_answer & 8) != 0;
    with.echoes = {with.echo ? "xb" : ""};
    with = with_ids(with);
    const std::string whole = told(stream_answer(with), story(nullptr));
    std::string had;
    for (const auto& event : events_of(whole)) {
      had += event;
      const auto after = ids_of(event).at(0).after;
      const std::string rest = told(stream_answer(with, after), story(&after));
      if (had == whole) {
        EXPECT_EQ(rest, event) << "the end mark is given again";
      } else {
        ASSERT_EQ(had + rest, whole) << kind_of_answer;
      }
    }
  }
}

TEST(stream_answer, echoes_once_for_each_choice) {
  answer_shape with = shape();
  with.choices = 2;
  with.echo = with.logprobs = with.prompt_logprobs = true;
  with.echoes = {"xb"};
  size_t echoes = 0;
  for (const auto& chunk : chunks_of(told(stream_answer(with), story(nullptr))))
    echoes += chunk["choices"][0]["text"] == "xb";
  EXPECT_EQ(echoes, 2u);
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
