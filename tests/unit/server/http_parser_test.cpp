// Parsing of requests from bytes, however they are cut.
#include "server/http_parser.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace troupe::server {
namespace {

using state = http_parser::state;

// Feeds a text in pieces of the given size until the parser is done, fails or has had everything.
state feed_all(http_parser& parser, std::string_view bytes, size_t piece,
               std::string* left = nullptr) {
  std::string waiting;
  size_t at = 0;
  while (true) {
    waiting.erase(0, parser.feed(waiting));
    if (parser.at() == state::head_done) {
      parser.read_body();
      continue;
    }
    if (parser.at() == state::done || parser.at() == state::failed || at == bytes.size()) break;
    waiting += bytes.substr(at, piece);
    at = std::min(bytes.size(), at + piece);
  }
  if (left != nullptr) *left = waiting + std::string(bytes.substr(at));
  return parser.at();
}

constexpr std::string_view with_body =
    "\r\nPOST /tokenize?x HTTP/1.1\r\nHost: h\r\nX-Thing: One\r\nContent-Length: "
    "5\r\n\r\nhelloNEXT";
constexpr std::string_view chunked =
    "POST /tokenize?x HTTP/1.1\r\nX-thing: One\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nT: x\r\n\r\nNEXT";

TEST(http_parser, gives_the_same_request_however_the_bytes_are_cut) {
  for (const auto& message : {with_body, chunked}) {
    for (size_t piece : {1, 2, 3, 7, 1000}) {
      http_parser parser({});
      std::string left;
      ASSERT_EQ(feed_all(parser, message, piece, &left), state::done) << piece;
      EXPECT_EQ(parser.request().method, "POST");
      EXPECT_EQ(parser.request().path, "/tokenize");
      EXPECT_EQ(parser.request().query, "x");
      EXPECT_EQ(parser.request().field("x-thing"), "One");
      EXPECT_EQ(parser.request().body, "hello");
      EXPECT_TRUE(parser.request().keep_alive);
      EXPECT_EQ(left, "NEXT") << piece;
    }
  }
}

TEST(http_parser, starts_over) {
  http_parser parser({});
  ASSERT_EQ(feed_all(parser, with_body, 9), state::done);
  parser.next();
  ASSERT_EQ(feed_all(parser, "GET / HTTP/1.0\r\n\r\n", 4), state::done);
  EXPECT_EQ(parser.request().body, "");
  EXPECT_FALSE(parser.request().http11);
  EXPECT_FALSE(parser.request().keep_alive);
  EXPECT_TRUE(parser.request().field("x-thing").empty());
}

TEST(http_parser, stops_between_head_and_body) {
  http_parser parser({});
  const std::string head = "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(parser.feed(head + "{}"), head.size());
  EXPECT_EQ(parser.at(), state::head_done);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.feed("{}"), 0u) << "not before it is told to";
  parser.read_body();
  EXPECT_EQ(parser.feed("{}"), 2u);
  EXPECT_EQ(parser.request().body, "{}");
}

struct failure_case {
  std::string bytes;
  int http_status;
};

TEST(http_parser, says_what_is_wrong) {
  const std::string post = "POST / HTTP/1.1\r\n";
  const std::string chunks = post + "Transfer-Encoding: chunked\r\n\r\n";
  for (const failure_case& expected : {
           failure_case{"hello\r\n\r\n", 400},
           failure_case{"GET / HTTP/2.0\r\n\r\n", 505},
           failure_case{std::string(100, '\r'), 400},
           failure_case{"GET / HTTP/1.1\r\n: x\r\n\r\n", 400},
           failure_case{"GET / HTTP/1.1\r\nA: " + std::string(2000, 'a') + "\r\n\r\n", 431},
           failure_case{"GET /" + std::string(2000, 'a'), 431},
           failure_case{post + "Content-Length: 101\r\n\r\n", 413},
           failure_case{post + "Content-Length: x\r\n\r\n", 400},
           failure_case{post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
           failure_case{post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
           failure_case{post + "Transfer-Encoding: identity\r\n\r\n", 501},
           failure_case{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
           failure_case{post + "Expect: magic\r\nContent-Length: 1\r\n\r\n", 417},
           failure_case{chunks + "65\r\n", 413},
           failure_case{chunks + "60\r\n" + std::string(0x60, 'a') + "\r\n5\r\n", 413},
           failure_case{chunks + "x\r\n", 400},
           failure_case{chunks + "1\r\nabcd\r\n", 400},
           failure_case{chunks + "1;" + std::string(20000, 'e'), 400},
           failure_case{chunks + "0\r\nA: " + std::string(20000, 't'), 400},
       }) {
    for (size_t piece : {1, 5, 100000}) {
      http_parser parser({.header_bytes_max = 1024, .body_bytes_max = 100});
      EXPECT_EQ(feed_all(parser, expected.bytes, piece), state::failed)
          << expected.bytes.substr(0, 80);
      EXPECT_EQ(parser.error().http_status, expected.http_status) << expected.bytes.substr(0, 80);
      EXPECT_FALSE(parser.error().message.empty());
      EXPECT_EQ(parser.feed("more"), 0u);
    }
  }
}

TEST(http_parser, takes_or_refuses_every_mutation) {
  constexpr std::array<std::string_view, 6> pieces = {
      "\r\n", "\r", "0\r\n\r\n", ":", "ffffffffffffffffff", "\r\nTransfer-Encoding: chunked"};
  for (uint64_t round = 0; round < 4000; ++round) {
    const random_key key{round, random_subsystem::workload, 0};
    uint64_t n = 0;
    const auto below = [&](uint64_t bound) { return random_below(key, n++, bound); };
    std::string bytes(round % 2 == 0 ? with_body : chunked);
    for (uint64_t i = below(4); i > 0; --i) {
      const size_t at = below(bytes.size());
      switch (below(3)) {
        case 0:
          bytes[at] = static_cast<char>(below(256));
          break;
        case 1:
          bytes.erase(at, 1 + below(4));
          break;
        default:
          bytes.insert(at, pieces[below(pieces.size())]);
          break;
      }
    }
    http_parser parser({.header_bytes_max = 1024, .body_bytes_max = 100});
    const state end = feed_all(parser, bytes, 1 + below(9));
    SCOPED_TRACE(bytes);
    EXPECT_EQ(end == state::failed, !parser.error().message.empty());
    EXPECT_LE(parser.request().body.size(), 100u);
  }
}

TEST(http_parser, counts_all_fields_of_a_head_together) {
  std::string head = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 200; ++i) head += "Name: value\r\n";
  http_parser parser({.header_bytes_max = 1024, .body_bytes_max = 100});
  EXPECT_EQ(feed_all(parser, head, 13), state::failed);
  EXPECT_EQ(parser.error().http_status, 431);
}

TEST(http_parser, takes_a_body_of_exactly_the_limit) {
  http_parser parser({.header_bytes_max = 1024, .body_bytes_max = 100});
  const std::string message =
      "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'b');
  ASSERT_EQ(feed_all(parser, message, 64), state::done);
  EXPECT_EQ(parser.request().body.size(), 100u);
}

} // namespace
} // namespace troupe::server
