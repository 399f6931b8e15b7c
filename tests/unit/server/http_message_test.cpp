// Heads of responses and targets of requests.
#include "server/http_message.hpp"

#include <gtest/gtest.h>

namespace troupe::server {
namespace {

TEST(http_message, writes_dates_as_http_wants_them) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http_date(1709210096), "Thu, 29 Feb 2024 12:34:56 GMT");
}

TEST(http_message, writes_heads) {
  http_response response;
  response.body = "{}";
  response.fields.emplace_back("X-Request-Id", "r");
  EXPECT_EQ(response_head(response, {}),
            "HTTP/1.1 200 OK\r\nServer: troupe\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
            "Content-Type: application/json\r\nX-Request-Id: r\r\nContent-Length: 2\r\n\r\n");
}

TEST(http_message, says_how_the_body_ends) {
  const auto head = [](head_options options) { return response_head({}, options); };
  const auto has = [](const std::string& in, const char* what) {
    return in.find(what) != std::string::npos;
  };
  const auto chunked = head({.framing = body_framing::chunked});
  EXPECT_TRUE(has(chunked, "Transfer-Encoding: chunked"));
  EXPECT_FALSE(has(chunked, "Content-Length"));
  const auto open_end =
      head({.http11 = false, .keep_alive = false, .framing = body_framing::until_close});
  EXPECT_TRUE(open_end.starts_with("HTTP/1.0 "));
  EXPECT_TRUE(has(open_end, "Connection: close"));
  EXPECT_FALSE(has(open_end, "Transfer-Encoding"));
  EXPECT_TRUE(has(head({.http11 = false, .keep_alive = true}), "Connection: keep-alive"));
}

TEST(http_message, lets_no_field_value_end_its_line) {
  http_response response;
  response.fields.emplace_back("X-Request-Id", "a\r\nSet-Cookie: b");
  EXPECT_EQ(response_head(response, {}).find("\r\nSet-Cookie"), std::string::npos);
}

TEST(http_message, finds_fields) {
  http_request request;
  request.fields = {{"a", "1"}, {"a", "2"}};
  EXPECT_EQ(request.field("a"), "1");
  EXPECT_EQ(request.field("b"), "");
}

struct target_case {
  const char* target;
  bool good;
  const char* path;
  const char* query;
};

TEST(http_message, splits_targets) {
  for (const target_case& expected : {
           target_case{"/v1/models", true, "/v1/models", ""},
           target_case{"/a%2Fb%20c?x=%31&y", true, "/a/b c", "x=%31&y"},
           target_case{"http://host:80/p?q", true, "/p", "q"},
           target_case{"https://host", true, "/", ""},
           target_case{"http://host?q", true, "/", "q"},
           target_case{"*", true, "*", ""},
           target_case{"?q", true, "/", "q"},
           target_case{"/%zz", false, "", ""},
           target_case{"/%2", false, "", ""},
           target_case{"no-slash", false, "", ""},
       }) {
    http_request out;
    EXPECT_EQ(parse_target(expected.target, out), expected.good) << expected.target;
    if (!expected.good) continue;
    EXPECT_EQ(out.path, expected.path) << expected.target;
    EXPECT_EQ(out.query, expected.query) << expected.target;
  }
}

} // namespace
} // namespace troupe::server
