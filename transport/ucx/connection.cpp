// Reads and writes of a control connection.
#include "transport/ucx/connection.hpp"

#include "base/text.hpp"
#include "transport/session/control_record.hpp"
#include "transport/session/handshake.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::transport {
namespace {

constexpr size_t unsent_bytes_max = 1 << 20;
constexpr size_t read_bytes = 32 << 10;
constexpr size_t reads_max = 8; // in one go, so that one peer does not keep the thread
constexpr size_t stranger_record_bytes_max = handshake_message_bytes_max;

status lost(std::string_view doing, int error) {
  return status(status_code::unavailable,
                text(doing, ": ", std::string_view(strerrordesc_np(error))));
}

} // namespace

result<connection> connection::dial(const socket_address& address) {
  file_handle made(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return fail(lost("no socket", errno));
  connection out(std::move(made));
  if (::connect(out.fd(), address.raw(), address.bytes) == 0) return out;
  if (errno != EINPROGRESS) return fail(lost("cannot connect", errno));
  out.connecting_ = true;
  return out;
}

connection::connection(file_handle socket)
    : socket_(std::move(socket)), in_(stranger_record_bytes_max) {
  const int on = 1;
  setsockopt(socket_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

status connection::on_writable() {
  if (connecting_) {
    int error = 0;
    socklen_t bytes = sizeof error;
    getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &bytes);
    if (error != 0) return lost("cannot connect", error);
    connecting_ = false;
  }
  return flush();
}

status connection::flush() {
  while (!connecting_ && unsent() > 0) {
    const ssize_t written =
        ::send(fd(), out_.data() + out_taken_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {};
      return lost("cannot send", errno);
    }
    out_taken_ += static_cast<size_t>(written);
  }
  if (unsent() == 0) {
    out_.clear();
    out_taken_ = 0;
  }
  return {};
}

status connection::on_readable() {
  std::array<std::byte, read_bytes> buffer;
  for (size_t i = 0; i < reads_max; ++i) {
    const ssize_t got = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      in_.add(std::span(buffer).first(static_cast<size_t>(got)));
      if (static_cast<size_t>(got) < buffer.size()) return {};
      continue;
    }
    if (got == 0) return status(status_code::unavailable, "the peer has closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {};
    return lost("connection lost", errno);
  }
  return {};
}

void connection::secure(aead_key out, aead_key in) {
  sealer_.emplace(std::move(out));
  opener_.emplace(std::move(in));
  in_.allow(control_record_bytes_max);
}

status connection::send(std::span<const std::byte> record) {
  if (unsent() + record.size() > unsent_bytes_max)
    return status(status_code::exhausted,
                  text("the peer does not read: ", unsent(), " bytes of control records wait"));
  if (out_taken_ > unsent_bytes_max) {
    out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(out_taken_));
    out_taken_ = 0;
  }
  if (sealer_) {
    append_record(out_, sealer_->seal(record));
  } else {
    append_record(out_, record);
  }
  return flush();
}

result<std::optional<std::vector<std::byte>>> connection::next() {
  auto record = in_.next();
  if (!record || !record->has_value() || !opener_) return record;
  auto plain = opener_->open(**record);
  if (!plain) return fail(std::move(plain.error()));
  return std::optional<std::vector<std::byte>>(std::move(*plain));
}

} // namespace troupe::transport
