// Clients that measure: against a real server, and event by event.
#include "server/load_client.hpp"

#include "tests/unit/server/server_fixture.hpp"

namespace troupe::server {
namespace {

using std::chrono::milliseconds;

TEST(token_events, tokens_and_gaps_are_those_of_events_with_text) {
  load_answer answer;
  token_events events(answer);
  events.take("data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choi", milliseconds(10));
  events.take("ces\":[{\"text\":\"b\"}]}\r\n\r\n: ping\n\n", milliseconds(14));
  events.take("id: x\ndata: {\"choices\":[{\"delta\":{\"content\":\"c\"}}]}\n\n", milliseconds(20));
  events.take("data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n",
              milliseconds(21));
  EXPECT_EQ(answer.tokens, 3u);
  EXPECT_EQ(answer.first, milliseconds(10));
  EXPECT_EQ(answer.last, milliseconds(20));
  EXPECT_EQ(answer.gaps, (std::vector<duration>{milliseconds(4), milliseconds(6)}));
  EXPECT_FALSE(answer.complete);
  events.take("data: {\"choices\":[],\"usage\":{\"completion_tokens\":5}}\n\ndata: [DONE]\n\n",
              milliseconds(22));
  EXPECT_EQ(answer.tokens, 5u);
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.trouble, "");
}

TEST(token_events, an_error_in_the_stream_is_no_complete_answer) {
  load_answer answer;
  token_events events(answer);
  events.take("data: {\"error\":{\"message\":\"no memory\"}}\n\ndata: [DONE]\n\n", milliseconds(1));
  EXPECT_FALSE(answer.complete);
  EXPECT_NE(answer.trouble.find("no memory"), std::string::npos);
}

TEST(token_events, whatever_comes_is_borne) {
  for (const std::string bytes :
       {"data: [1]\n", "data: {\"choices\":3}\n", "data: {\"choices\":[3,{\"delta\":null}]}\n",
        "data: {\"usage\":{\"completion_tokens\":-1}}\n", "data:\n", "nothing\n"}) {
    load_answer answer;
    token_events(answer).take(bytes, milliseconds(1));
    EXPECT_EQ(answer.tokens, 0u) << bytes;
    EXPECT_FALSE(answer.complete) << bytes;
  }
  load_answer answer;
  token_events events(answer);
  events.take(std::string(2 << 20, 'x'), milliseconds(1));
  EXPECT_EQ(answer.trouble, "an event is too long");
}

class load_client_test : public server_test {
protected:
  load_target target(const std::string& path = "/v1/completions") const {
    return {.address = "127.0.0.1", .port = server->port(), .path = path, .key = ""};
  }
  static std::vector<load_request> so_many(size_t count, duration apart = {}) {
    std::vector<load_request> out;
    for (size_t i = 0; i < count; ++i)
      out.push_back({apart * static_cast<int>(i), std::string(stream_body)});
    return out;
  }
};

TEST_F(load_client_test, every_request_is_answered_at_its_time) {
  engine.answer_at_once();
  const auto answers = run_load(clock, target(), so_many(5, milliseconds(20)), {});
  ASSERT_TRUE(answers.has_value());
  ASSERT_EQ(answers->size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    const auto& each = (*answers)[i];
    EXPECT_TRUE(each.complete) << each.trouble;
    EXPECT_EQ(each.status, 200);
    EXPECT_GT(each.tokens, 0u);
    EXPECT_GE(each.asked, milliseconds(20) * static_cast<int>(i));
    EXPECT_GE(each.first, each.asked);
    EXPECT_GE(each.last, each.first);
  }
}

TEST_F(load_client_test, one_after_another_until_it_is_too_late) {
  engine.answer_at_once();
  const auto all = run_load(clock, target(), so_many(7, std::chrono::hours(1)), {.at_once = 3});
  ASSERT_TRUE(all.has_value());
  for (const auto& each : *all) EXPECT_TRUE(each.complete) << each.trouble;
  const auto few = run_load(clock, target(), so_many(100'000),
                            {.at_once = 2, .begins_within = milliseconds(50)});
  ASSERT_TRUE(few.has_value());
  EXPECT_TRUE(few->front().sent);
  EXPECT_FALSE(few->back().sent);
}

TEST_F(load_client_test, refusals_and_broken_streams_are_told_apart) {
  engine.refuse_with(status(status_code::exhausted, "full"));
  const auto refused = run_load(clock, target(), so_many(1), {});
  EXPECT_EQ(refused->front().status, 429);
  EXPECT_FALSE(refused->front().complete);
  EXPECT_NE(refused->front().trouble.find("429"), std::string::npos);
  const auto lost = run_load(clock, target("/nowhere"), so_many(1), {});
  EXPECT_EQ(lost->front().status, 404);
  auto nobody = target();
  server.reset();
  const auto unanswered = run_load(clock, nobody, so_many(2), {});
  EXPECT_EQ(unanswered->back().status, 0);
  EXPECT_NE(unanswered->back().trouble.find("connect"), std::string::npos);
}

TEST_F(load_client_test, patience_ends_and_so_many_are_open_at_most) {
  const auto slow = run_load(clock, target(), so_many(3),
                             {.patience = milliseconds(100), .open_max = 2}); // nobody answers
  ASSERT_TRUE(slow.has_value());
  EXPECT_TRUE((*slow)[1].sent);
  EXPECT_FALSE((*slow)[2].sent);
  EXPECT_FALSE(slow->front().complete);
  EXPECT_NE(slow->front().trouble, "");
}

TEST_F(load_client_test, an_address_must_be_one) {
  auto wrong = target();
  wrong.address = "nobody";
  EXPECT_EQ(run_load(clock, wrong, so_many(1), {}).error().code(), status_code::invalid_argument);
}

} // namespace
} // namespace troupe::server
