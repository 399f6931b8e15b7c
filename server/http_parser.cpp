// HTTP/1 requests by Boost.Beast's parser, plus the bounds and refusals it leaves to its user.
#include "server/http_parser.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <optional>

namespace troupe::server {
namespace {

namespace http = boost::beast::http;

// What may stay unread while a chunk's head or the trailer is incomplete.
constexpr size_t chunk_head_bytes_max = 8 << 10;
constexpr size_t chunk_end_bytes = 5; // "0", CRLF, CRLF
constexpr size_t blank_lines_max = 8; // before a request line, as sloppy clients send them

std::string lower(std::string_view in) {
  std::string out(in);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string_view view(boost::beast::string_view in) {
  return {in.data(), in.size()};
}

} // namespace

struct http_parser::parts {
  std::optional<http::request_parser<http::string_body>> parser;
  size_t blank_lines = 0;
};

http_parser::http_parser(parser_limits limits)
    : limits_(limits), parts_(std::make_unique<parts>()) {
  next();
}

http_parser::~http_parser() = default;

void http_parser::next() {
  parts_->parser.emplace();
  parts_->parser->header_limit(static_cast<uint32_t>(limits_.header_bytes_max));
  parts_->parser->body_limit(limits_.body_bytes_max);
  parts_->blank_lines = 0;
  state_ = state::head;
  request_ = {};
  head_bytes_ = 0;
  expects_continue_ = false;
}

size_t http_parser::feed(std::string_view bytes) {
  switch (state_) {
    case state::head:
      return feed_head(bytes);
    case state::body:
      return feed_body(bytes);
    case state::head_done:
    case state::done:
    case state::failed:
      break;
  }
  return 0;
}

void http_parser::fail(int http_status, std::string message) {
  state_ = state::failed;
  error_ = {};
  error_.http_status = http_status;
  error_.message = std::move(message);
  error_.code = http_status == 413 ? "request_too_large" : "bad_http";
}

size_t http_parser::feed_head(std::string_view bytes) {
  size_t used = 0;
  if (head_bytes_ == 0) {
    while (used < bytes.size() && (bytes[used] == '\r' || bytes[used] == '\n')) {
      if (++parts_->blank_lines > 2 * blank_lines_max) {
        fail(400, "too many blank lines before the request");
        return used;
      }
      ++used;
    }
    if (used == bytes.size()) return used;
  }
  const std::string_view rest = bytes.substr(used);
  boost::system::error_code ec;
  const size_t taken = parts_->parser->put(boost::asio::buffer(rest.data(), rest.size()), ec);
  // The library forgets fields it has taken, so the sum is kept here.
  head_bytes_ += taken;
  const size_t waiting = ec == http::error::need_more ? rest.size() - taken : 0;
  if (ec == http::error::header_limit || head_bytes_ + waiting > limits_.header_bytes_max) {
    fail(431, text("the request head exceeds ", limits_.header_bytes_max, " bytes"));
  } else if (ec == http::error::body_limit) {
    fail(413, text("the request body exceeds ", limits_.body_bytes_max, " bytes"));
  } else if (ec == http::error::bad_version) {
    fail(505, "HTTP/1.0 and HTTP/1.1 are spoken here");
  } else if (ec && ec != http::error::need_more) {
    fail(400, text("this is not a valid HTTP request: ", ec.message()));
  } else if (parts_->parser->is_header_done()) {
    finish_head();
  }
  return used + taken;
}

void http_parser::finish_head() {
  const auto& message = parts_->parser->get();
  request_.method = view(message.method_string());
  request_.http11 = message.version() >= 11;
  request_.keep_alive = parts_->parser->keep_alive();
  request_.has_body = !parts_->parser->is_done();
  for (const auto& field : message) {
    request_.fields.emplace_back(lower(view(field.name_string())),
                                 std::string(view(field.value())));
  }
  const std::string encoding = lower(request_.field("transfer-encoding"));
  if (!encoding.empty() && encoding != "chunked") {
    // Anything else would leave the length of the body a matter of opinion.
    return fail(501, text("the transfer encoding ", in_quotes(encoding), " is not supported"));
  }
  if (!encoding.empty() && !request_.http11) {
    return fail(400, "HTTP/1.0 has no transfer encodings");
  }
  if (!parse_target(view(message.target()), request_)) {
    return fail(400,
                text("the request target ", in_quotes(view(message.target())), " is malformed"));
  }
  const std::string expectation = lower(request_.field("expect"));
  if (!expectation.empty() && expectation != "100-continue") {
    return fail(417, text("the expectation ", in_quotes(expectation), " cannot be met"));
  }
  expects_continue_ = !expectation.empty() && request_.http11 && request_.has_body;
  state_ = request_.has_body ? state::head_done : state::done;
}

void http_parser::read_body() {
  TROUPE_CHECK(state_ == state::head_done);
  parts_->parser->eager(true);
  state_ = state::body;
}

size_t http_parser::body_bytes_expected() const {
  const auto announced = parts_->parser->content_length();
  return announced ? static_cast<size_t>(*announced) : limits_.body_bytes_max;
}

size_t http_parser::feed_body(std::string_view bytes) {
  if (bytes.empty()) return 0;
  // The end of a body in chunks has at least five bytes. The library may see it in pieces only if
  // the first piece is no shorter: it asserts that later.
  if (parts_->parser->chunked() && bytes.size() < chunk_end_bytes && bytes.front() == '0') return 0;
  boost::system::error_code ec;
  const size_t taken = parts_->parser->put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
  if (ec == http::error::body_limit || ec == http::error::buffer_overflow) {
    fail(413, text("the request body exceeds ", limits_.body_bytes_max, " bytes"));
  } else if (ec && ec != http::error::need_more) {
    fail(400, text("the request body is malformed: ", ec.message()));
  } else if (parts_->parser->is_done()) {
    request_.body = std::move(parts_->parser->get().body());
    state_ = state::done;
  } else if (bytes.size() - taken > chunk_head_bytes_max) {
    fail(400, text("the request body is malformed: a chunk's head exceeds ", chunk_head_bytes_max,
                   " bytes"));
  }
  return taken;
}

} // namespace troupe::server
