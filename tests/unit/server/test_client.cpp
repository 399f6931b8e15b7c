// A blocking HTTP client for tests.
#include "tests/unit/server/test_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace troupe::server {
namespace {

constexpr int patience_s = 20;

} // namespace

test_client::test_client(uint16_t port, int receive_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return;
  const timeval patience{.tv_sec = patience_s, .tv_usec = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (receive_bytes > 0) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) close();
}

test_client::~test_client() {
  close();
}

test_client::test_client(test_client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}

bool test_client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void test_client::end_sending() {
  ::shutdown(fd_, SHUT_WR);
}

void test_client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void test_client::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close();
}

bool test_client::fill() {
  char chunk[16384];
  const ssize_t count = ::recv(fd_, chunk, sizeof(chunk), 0);
  if (count <= 0) return false;
  buffer_.append(chunk, static_cast<size_t>(count));
  return true;
}

bool test_client::take(size_t count, std::string& out) {
  while (buffer_.size() < count) {
    if (!fill()) return false;
  }
  out.append(buffer_, 0, count);
  buffer_.erase(0, count);
  return true;
}

bool test_client::take_line(std::string& out) {
  size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!fill()) return false;
  }
  out = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return true;
}

std::string test_client::receive_until(std::string_view text) {
  size_t at = 0;
  while ((at = buffer_.find(text)) == std::string::npos) {
    if (!fill()) return {};
  }
  std::string out;
  take(at + text.size(), out);
  return out;
}

client_response test_client::receive() {
  client_response out;
  out.head = receive_until("\r\n\r\n");
  if (out.head.size() < 12) return out;
  out.status = std::atoi(out.head.c_str() + 9);
  size_t line = out.head.find("\r\n") + 2;
  while (line < out.head.size() - 2) {
    const size_t end = out.head.find("\r\n", line);
    const size_t colon = out.head.find(": ", line);
    std::string name = out.head.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return std::tolower(c); });
    out.fields[name] = out.head.substr(colon + 2, end - colon - 2);
    line = end + 2;
  }
  if (out.status != 100) read_body(out);
  return out;
}

void test_client::read_body(client_response& response) {
  if (response.fields.count("content-length") != 0) {
    response.complete = take(std::stoul(response.fields["content-length"]), response.body);
    return;
  }
  if (response.fields.count("transfer-encoding") == 0) {
    while (fill()) {
    }
    response.body = std::exchange(buffer_, {});
    response.complete = true;
    return;
  }
  std::string line;
  while (take_line(line)) {
    const size_t size = std::stoul(line, nullptr, 16);
    if (!take(size, response.body) || !take_line(line)) return;
    if (size == 0) {
      response.complete = true;
      return;
    }
  }
}

bool test_client::closed_by_server() {
  char chunk[16384];
  while (true) {
    const ssize_t count = ::recv(fd_, chunk, sizeof(chunk), 0);
    if (count == 0) return true;
    if (count < 0) return errno == ECONNRESET || errno == EPIPE;
  }
}

client_response test_client::get(std::string_view path, std::string_view fields) {
  send(get_text(path, fields));
  return receive();
}

client_response test_client::post(std::string_view path, std::string_view body,
                                  std::string_view fields) {
  send(post_text(path, body, fields));
  return receive();
}

std::string get_text(std::string_view path, std::string_view fields) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(fields) + "\r\n";
}

std::string post_text(std::string_view path, std::string_view body, std::string_view fields) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" +
         "Content-Length: " + std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}

std::vector<std::string> data_of(std::string_view events) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at < events.size()) {
    size_t end = events.find("\n\n", at);
    if (end == std::string_view::npos) end = events.size();
    std::string_view block = events.substr(at, end - at);
    if (const size_t data = block.find("data: "); data == 0 || block.starts_with("id: ")) {
      out.emplace_back(block.substr(data + 6));
    }
    at = end + 2;
  }
  return out;
}

} // namespace troupe::server
