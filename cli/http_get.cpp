// HTTP/1.0, so that the answer ends where the connection does.
#include "cli/http_get.hpp"

#include "base/text.hpp"
#include "cli/option_value.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace troupe::cli {
namespace {

constexpr size_t answer_bytes_max = 16 << 20;

struct socket_address {
  sockaddr_storage bytes = {};
  socklen_t size = 0;
};

result<socket_address> address_of(const host_port& from) {
  socket_address out;
  const std::string host = from.host == "localhost" ? "127.0.0.1" : from.host;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.bytes);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.bytes);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(from.port);
    out.size = sizeof(sockaddr_in);
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(from.port);
    out.size = sizeof(sockaddr_in6);
  } else {
    return fail(status_code::invalid_argument, text(host, " is no IP address"));
  }
  return out;
}

class conversation_socket {
public:
  conversation_socket(const clock& time, const http_question& ask)
      : time_(time), where_(to_string(ask.server)), deadline_(time.now() + ask.timeout) {}
  conversation_socket(const conversation_socket&) = delete;
  conversation_socket& operator=(const conversation_socket&) = delete;
  ~conversation_socket() {
    if (fd_ >= 0) ::close(fd_);
  }

  status connect(const socket_address& to) {
    fd_ = ::socket(to.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return refused("make a socket", errno);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to.bytes), to.size) == 0) return {};
    if (errno != EINPROGRESS) return refused("connect", errno);
    TROUPE_RETURN_IF_ERROR(wait(POLLOUT));
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? status() : refused("connect", error);
  }

  status send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put > 0) {
        bytes.remove_prefix(static_cast<size_t>(put));
      } else if (errno == EAGAIN || errno == EINTR) {
        TROUPE_RETURN_IF_ERROR(wait(POLLOUT));
      } else {
        return refused("send", errno);
      }
    }
    return {};
  }

  result<std::string> receive_all() {
    std::string out;
    char chunk[4096];
    for (;;) {
      const ssize_t got = ::recv(fd_, chunk, sizeof(chunk), 0);
      if (got == 0) return out;
      if (got > 0) {
        out.append(chunk, static_cast<size_t>(got));
        if (out.size() > answer_bytes_max)
          return fail(status_code::exhausted, text(where_, ": the answer is too long"));
      } else if (errno == EAGAIN || errno == EINTR) {
        if (auto waited = wait(POLLIN); !waited.ok()) return fail(std::move(waited));
      } else {
        return fail(refused("receive", errno));
      }
    }
  }

private:
  status refused(const char* action, int error) const {
    return status(status_code::unavailable,
                  text(where_, ": cannot ", action, ": ", std::generic_category().message(error)));
  }

  status wait(short events) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - time_.now());
    pollfd what = {fd_, events, 0};
    if (left.count() > 0 && ::poll(&what, 1, static_cast<int>(left.count())) > 0) return {};
    if (left.count() > 0 && errno == EINTR) return {};
    return status(status_code::timed_out, text(where_, ": does not answer in time"));
  }

  const clock& time_;
  std::string where_;
  time_point deadline_;
  int fd_ = -1;
};

} // namespace

result<http_answer> parse_http_answer(const std::string& bytes) {
  const auto corrupt = [] { return fail(status_code::corrupt, "the answer is no HTTP"); };
  const size_t space = bytes.find(' ');
  const size_t body = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.") || space == std::string::npos || body == std::string::npos)
    return corrupt();
  http_answer out;
  uint32_t code = 0;
  if (!parse_value(std::string_view(bytes).substr(space + 1, 3), code).ok() || code < 100)
    return corrupt();
  out.status = static_cast<int>(code);
  out.body = bytes.substr(body + 4);
  return out;
}

result<http_answer> http_get(const clock& time, const http_question& ask) {
  const auto address = address_of(ask.server);
  if (!address) return fail(address.error());
  conversation_socket socket(time, ask);
  if (auto s = socket.connect(*address); !s.ok()) return fail(std::move(s));
  const std::string key = ask.key.empty() ? "" : text("Authorization: Bearer ", ask.key, "\r\n");
  if (auto s = socket.send(text("GET ", ask.path, " HTTP/1.0\r\nHost: ", to_string(ask.server),
                                "\r\n", key, "\r\n"));
      !s.ok())
    return fail(std::move(s));
  const auto bytes = socket.receive_all();
  if (!bytes) return fail(bytes.error());
  auto answer = parse_http_answer(*bytes);
  if (!answer) return fail(answer.error().within(to_string(ask.server)));
  return answer;
}

} // namespace troupe::cli
