// Whether what a client says fits the answer it wants to go on with.
#include "server/resumption.hpp"

#include <gtest/gtest.h>

namespace troupe::server {
namespace {

std::string id_text(const std::string& name) {
  answer_identity of;
  of.name = name;
  stream_position after;
  after.choices.resize(1);
  return event_id_writer(of)(after);
}

TEST(resumption, the_header_field_is_stronger_than_the_query) {
  const auto name_of = [](const http_request& request) {
    const auto id = event_id_of(request);
    return id && *id ? (*id)->of.name : std::string();
  };
  http_request request;
  EXPECT_EQ(name_of(request), "");
  request.query = "x=1&after=" + id_text("a") + "&y";
  EXPECT_EQ(name_of(request), "a");
  request.fields.emplace_back("last-event-id", id_text("b"));
  EXPECT_EQ(name_of(request), "b");
  request.query = "after=nonsense";
  EXPECT_EQ(name_of(request), "b");
}

TEST(resumption, nonsense_is_refused_by_the_name_of_where_it_stands) {
  http_request request;
  request.query = "after=7";
  const auto of_query = event_id_of(request);
  ASSERT_FALSE(of_query.has_value());
  EXPECT_EQ(of_query.error().param, "after");
  request.fields.emplace_back("last-event-id", "12");
  const auto of_field = event_id_of(request);
  ASSERT_FALSE(of_field.has_value());
  EXPECT_EQ(of_field.error().http_status, 400);
  EXPECT_EQ(of_field.error().param, "Last-Event-ID");
  EXPECT_NE(of_field.error().message.find("Last-Event-ID '12' is"), std::string::npos);
}

TEST(resumption, requests_are_compared_by_what_they_say) {
  const uint64_t hash = hash_of_request("/a", R"({"prompt":"x","n":1,"o":{"a":[1,2]}})");
  EXPECT_EQ(hash, hash_of_request("/a", R"( { "o": {"a":[1, 2]}, "n" : 1 , "prompt":"\u0078"} )"));
  for (const auto other :
       {R"({"prompt":"x","n":2,"o":{"a":[1,2]}})", R"({"prompt":"y","n":1,"o":{"a":[1,2]}})",
        R"({"prompt":"x","n":1,"o":{"a":[2,1]}})", R"({"prompt":"x","n":1})",
        R"({"prompt":"x","n":1,"o":{"a":[1,2]},"p":null})"})
    EXPECT_NE(hash, hash_of_request("/a", other)) << other;
  EXPECT_NE(hash, hash_of_request("/b", R"({"prompt":"x","n":1,"o":{"a":[1,2]}})"));
}

TEST(resumption, an_answer_belongs_to_the_key_it_was_asked_for_with) {
  EXPECT_EQ(owner_of(1, ""), 0u);
  EXPECT_NE(owner_of(1, "a"), owner_of(1, "b"));
  EXPECT_NE(owner_of(1, "a"), owner_of(2, "a")) << "the same key is not recognised";
  EXPECT_NE(owner_of(1, "a"), 0u);
}

TEST(resumption, only_a_position_of_the_same_answer_fits) {
  std::vector<dataflow::generation_request> generations(2);
  for (auto& generation : generations) {
    generation.choices = 2;
    generation.tokens_max = 9;
  }
  answer_identity asked;
  asked.name = "a";
  event_id given{asked, {}};
  given.after.choices.resize(4);
  EXPECT_FALSE(mismatch_of(given, asked, generations).has_value());
  const auto code_of = [&](const event_id& id) {
    const auto error = mismatch_of(id, asked, generations);
    return error ? std::to_string(error->http_status) + " " + error->code : "";
  };
  event_id other = given;
  other.of.request_hash = 1;
  EXPECT_EQ(code_of(other), "409 request_mismatch");
  other = given;
  other.of.chat = true;
  EXPECT_EQ(code_of(other), "409 request_mismatch");
  other = given;
  other.of.model_hash = 1;
  EXPECT_EQ(code_of(other), "409 model_changed");
  other = given;
  other.after.choices.resize(3);
  EXPECT_EQ(code_of(other), "400 invalid_value");
  other = given;
  other.after.choices[3].tokens = 9;
  EXPECT_EQ(code_of(other), "");
  other.after.choices[3].tokens = 10;
  EXPECT_EQ(code_of(other), "400 invalid_value");
}

TEST(resumption, the_engine_hears_of_each_prompt_what_is_its_own) {
  stream_position from;
  from.choices.resize(4);
  from.choices[3] = {.tokens = 7, .text_bytes = 9, .opened = true, .finished = true};
  EXPECT_EQ(received_of(from, 0, 2)[1].tokens, 0u);
  const auto second = received_of(from, 1, 2);
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[1].tokens, 7u);
  EXPECT_EQ(second[1].text_bytes, 9u);
  EXPECT_TRUE(second[1].finished && second[1].prompt_scored);
}

} // namespace
} // namespace troupe::server
