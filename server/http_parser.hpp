// Incremental parsing of HTTP/1 requests from bytes, with every length bounded. No sockets.
#pragma once

#include "server/api_error.hpp"
#include "server/http_message.hpp"

#include <cstddef>
#include <memory>
#include <string_view>

namespace troupe::server {

struct parser_limits {
  size_t header_bytes_max = 32 << 10;
  size_t body_bytes_max = 4 << 20;
};

// Parses one message after the other. One thread at a time.
class http_parser {
public:
  enum class state : uint8_t {
    head,      // within the head, or before it
    head_done, // request() has all but the body; call read_body() to go on
    body,      // within the body
    done,      // request() is whole; call next() to go on
    failed,    // error() says why; the connection cannot be used further
  };

  explicit http_parser(parser_limits limits);
  ~http_parser();
  http_parser(const http_parser&) = delete;
  http_parser& operator=(const http_parser&) = delete;

  // Takes what it can from the front of the bytes and says how many that were; the rest must be
  // offered again together with what follows. Stops at head_done and done.
  size_t feed(std::string_view bytes);
  void read_body();
  void next();

  state at() const { return state_; }
  http_request& request() { return request_; }
  // The client waits for "100 Continue" before it sends the body.
  bool expects_continue() const { return expects_continue_; }
  // What the body may come to: what the head announces, or the limit for a body in chunks.
  size_t body_bytes_expected() const;
  const api_error& error() const { return error_; }

private:
  struct parts; // keeps the parsing library out of this header

  size_t feed_head(std::string_view bytes);
  size_t feed_body(std::string_view bytes);
  void finish_head();
  void fail(int http_status, std::string message);

  parser_limits limits_;
  std::unique_ptr<parts> parts_;
  state state_ = state::head;
  http_request request_;
  api_error error_;
  size_t head_bytes_ = 0;
  bool expects_continue_ = false;
};

} // namespace troupe::server
