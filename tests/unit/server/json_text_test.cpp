// JSON from strangers, typed fields, error objects.
#include "server/json_fields.hpp"

#include <gtest/gtest.h>

namespace troupe::server {
namespace {

std::string refusal_of(std::string_view body, size_t depth = 8) {
  const auto parsed = parse_object(body, {.depth_max = depth, .members_max = 3});
  return parsed ? "" : parsed.error().message;
}

TEST(json_text, says_where_a_body_is_broken) {
  EXPECT_NE(refusal_of(R"({"a": 1,})").find("byte 9"), std::string::npos)
      << refusal_of(R"({"a": 1,})");
  for (const std::string body :
       {"", "{", "nonsense", "[]", "null", "5", "\"x\"", "{\"a\":", "\xff\xfe", "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc3\"}", "{\"a\":1e999}", "{\"a\":1} x", "{\"a\":\"\\ud800\"}", "{'a':1}",
        "{\"a\":01}", "{\"a\":NaN}", "{\"a\":\"\n\"}"}) {
    EXPECT_FALSE(refusal_of(body).empty()) << body;
  }
  EXPECT_EQ(parse_object("{", {}).error().http_status, 400);
  EXPECT_TRUE(refusal_of(R"({"a":"]]]]]]]]]][[[[[[[[[[\"[[["})").empty());
}

TEST(json_text, bounds_the_depth) {
  EXPECT_TRUE(refusal_of(R"({"a":[[1]]})", 3).empty());
  EXPECT_NE(refusal_of(R"({"a":[[[1]]]})", 3).find("byte 8"), std::string::npos);
  EXPECT_FALSE(refusal_of(std::string(1000000, '[')).empty());
}

TEST(json_text, bounds_the_members_of_objects_but_not_of_arrays) {
  EXPECT_TRUE(refusal_of(R"({"a":[1,2,3,4,5,6],"b":{"c":",,,,","d":2,"e":3},"f":1})").empty());
  EXPECT_NE(refusal_of(R"({"a":1,"b":2,"c":3,"d":4})").find("more than 3 members, at byte 19"),
            std::string::npos);
}

TEST(json_text, keeps_the_order_of_members) {
  EXPECT_EQ(dump(*parse_object(R"({"b":{"z":1,"a":2},"a":3})", {})),
            R"({"b":{"z":1,"a":2},"a":3})");
}

TEST(json_text, writes_broken_text_without_failing) {
  EXPECT_EQ(dump(json_value("a\xff")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(dump(json_value{{"b", 1}, {"a", 2}}), R"({"b":1,"a":2})") << "in the order written";
}

TEST(json_fields, treats_null_as_absent) {
  const json_value object = json_value::parse(R"({"a":null})");
  json_fields fields(object);
  EXPECT_FALSE(fields.boolean("a").has_value());
  EXPECT_FALSE(fields.integer("b", 0, 1).has_value());
  EXPECT_TRUE(fields.ok());
}

TEST(json_fields, names_field_value_and_range) {
  const json_value object = json_value::parse(R"({"a":7,"s":"long text"})");
  json_fields fields(object, "options.");
  EXPECT_FALSE(fields.integer("a", 0, 5).has_value());
  EXPECT_EQ(fields.error().message, "options.a must be an integer between 0 and 5, got 7");
  EXPECT_EQ(fields.error().param, "options.a");
  EXPECT_FALSE(fields.string("s", 100).has_value()) << "nothing is read after a failure";
}

TEST(json_fields, reads_integers_in_every_spelling) {
  for (const auto& [content, expected] :
       std::vector<std::pair<const char*, std::optional<int64_t>>>{{"5", 5},
                                                                   {"-5", -5},
                                                                   {"5.0", 5},
                                                                   {"1e3", 1000},
                                                                   {"5.5", {}},
                                                                   {"1e300", {}},
                                                                   {"18446744073709551615", {}},
                                                                   {"\"5\"", {}},
                                                                   {"true", {}},
                                                                   {"[5]", {}}}) {
    EXPECT_EQ(json_fields::integral(json_value::parse(content)), expected) << content;
  }
}

TEST(api_error, has_the_shape_clients_expect) {
  api_error error = invalid_field("n", "n is bad \xff");
  const json_value body = json_value::parse(error_body(error));
  EXPECT_EQ(body["error"]["param"], "n");
  EXPECT_EQ(body["error"]["type"], "invalid_request_error");
  error.param.clear();
  error.code.clear();
  EXPECT_TRUE(json_value::parse(error_body(error))["error"]["param"].is_null());
  EXPECT_TRUE(json_value::parse(error_body(error))["error"]["code"].is_null());
}

TEST(api_error, quotes_no_more_than_a_line_and_no_half_character) {
  EXPECT_EQ(in_quotes("abc"), "'abc'");
  std::string many;
  for (int i = 0; i < 100; ++i) many += "é";
  const std::string cut = in_quotes(many);
  EXPECT_LT(cut.size(), 60u);
  EXPECT_EQ(dump(json_value(cut)).find("\xEF\xBF\xBD"), std::string::npos);
}

TEST(api_error, maps_every_status_code) {
  for (const auto& [code, http_status] :
       std::vector<std::pair<status_code, int>>{{status_code::invalid_argument, 400},
                                                {status_code::not_found, 404},
                                                {status_code::corrupt, 500},
                                                {status_code::unavailable, 503},
                                                {status_code::exhausted, 429},
                                                {status_code::timed_out, 504},
                                                {status_code::device_lost, 500},
                                                {status_code::unsupported, 400},
                                                {status_code::cancelled, 503}}) {
    EXPECT_EQ(error_of(status(code, "why")).http_status, http_status) << to_string(code);
    EXPECT_EQ(error_of(status(code, "why")).message, "why");
  }
}

} // namespace
} // namespace troupe::server
