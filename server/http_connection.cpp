// One client's connection. The reading side parses, waits for the end of the input while an answer
// is under way, or throws away what follows a refusal; the writing side is one bounded queue.
#include "server/http_connection.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace troupe::server {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr size_t buffers_per_write = 32;
constexpr size_t kept_capacity = 16 << 10; // of the input buffer of an idle connection

std::string hex(size_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return {digits.data(), end};
}

api_error timed_out(std::string_view what) {
  api_error error;
  error.http_status = 408;
  error.message = text(what, " took too long to arrive");
  error.code = "request_timeout";
  return error;
}

api_error too_many_bodies() {
  api_error error;
  error.http_status = 503;
  error.type = "service_unavailable_error";
  error.code = "server_busy";
  error.message = "too many large requests are arriving at once; try again later";
  error.retry_after_s = 1;
  return error;
}

} // namespace

http_connection::http_connection(std::shared_ptr<server_core> core, tcp::socket socket)
    : core_(std::move(core)),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      parser_({.header_bytes_max = core_->limits.header_bytes_max,
               .body_bytes_max = core_->limits.body_bytes_max}) {
  core_->counters.connections_open.fetch_add(1);
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
}

http_connection::~http_connection() {
  if (streaming_) core_->counters.streams_open.fetch_sub(1);
  core_->counters.connections_open.fetch_sub(1);
  core_->remove(this);
}

void http_connection::start() {
  core_->add(shared_from_this());
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    // A client that says nothing at first is as suspect as one that stops half-way.
    self->enter(phase::idle, self->core_->limits.header_timeout);
    self->read();
  });
}

void http_connection::start_refusing(const api_error& why) {
  core_->add(shared_from_this());
  asio::post(socket_.get_executor(), [self = shared_from_this(), why] { self->reject(why); });
}

void http_connection::close_soon() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->phase_ == phase::idle || self->phase_ == phase::lingering) self->close();
  });
}

void http_connection::close_now() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->client_gone(); });
}

// ---- reading

void http_connection::read() {
  if (reading_ || input_ended_ || phase_ == phase::closed) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(chunk_),
                          [self = shared_from_this()](const error_code& error, size_t count) {
                            self->on_read(error, count);
                          });
}

void http_connection::on_read(const error_code& error, size_t count) {
  reading_ = false;
  if (phase_ == phase::closed) return;
  if (error == asio::error::eof) return on_input_end();
  if (error) return client_gone();
  if (phase_ == phase::lingering) {
    lingered_bytes_ += count;
    return lingered_bytes_ > core_->limits.linger_bytes_max ? close() : read();
  }
  in_.append(chunk_.data(), count);
  process_input();
}

// The client will send nothing more. While it waits for an answer in the making that means it left:
// the sockets API of most clients closes both directions at once, and nothing tells the difference.
void http_connection::on_input_end() {
  input_ended_ = true;
  if (answering() && listener_ != nullptr) return client_gone();
  if (answering() || phase_ == phase::flushing) return; // soon over, then closed
  close();
}

void http_connection::process_input() {
  while (phase_ == phase::idle || phase_ == phase::head || phase_ == phase::body) {
    if (phase_ == phase::idle && !in_.empty()) enter(phase::head, core_->limits.header_timeout);
    if (!parse_some()) return input_ended_ ? close() : read();
  }
  // What arrives meanwhile is the next request, or the end; too much of it stays with the sender.
  if (answering() && in_.size() < core_->limits.pipelined_bytes_max) read();
}

// One step of parsing; false when more bytes are needed for the next.
bool http_connection::parse_some() {
  const auto before = parser_.at();
  in_.erase(0, parser_.feed(in_));
  switch (parser_.at()) {
    case http_parser::state::head:
    case http_parser::state::body:
      return false;
    case http_parser::state::head_done:
      on_head();
      return true;
    case http_parser::state::done:
      if (before == http_parser::state::head) {
        if (auto refusal = core_->handler->refuse_early(parser_.request())) {
          http11_ = parser_.request().http11;
          keep_alive_ = parser_.request().keep_alive;
          head_only_ = parser_.request().method == "HEAD";
          phase_ = phase::answering;
          respond(std::move(*refusal));
          return true;
        }
      }
      dispatch();
      return true;
    case http_parser::state::failed:
      reject(parser_.error());
      return true;
  }
  return true;
}

void http_connection::on_head() {
  const http_request& request = parser_.request();
  http11_ = request.http11;
  if (auto refusal = core_->handler->refuse_early(request)) {
    // The body stays unread: whatever it is, nobody will look at it.
    keep_alive_ = false;
    phase_ = phase::answering;
    return respond(std::move(*refusal));
  }
  if (!reserve_body(parser_.body_bytes_expected())) return reject(too_many_bodies());
  enter(phase::body, core_->limits.body_timeout);
  if (parser_.expects_continue()) enqueue("HTTP/1.1 100 Continue\r\n\r\n");
  parser_.read_body();
}

// Takes its share of the memory for bodies; given back when the request has been answered.
bool http_connection::reserve_body(size_t bytes) {
  if (bytes <= core_->limits.body_bytes_small) return true;
  reserved_bytes_ = bytes;
  if (core_->bodies_bytes.fetch_add(bytes) + bytes <= core_->limits.bodies_bytes_max) return true;
  release_body();
  return false;
}

void http_connection::release_body() {
  core_->bodies_bytes.fetch_sub(std::exchange(reserved_bytes_, 0));
}

void http_connection::dispatch() {
  http_request request = std::move(parser_.request());
  http11_ = request.http11;
  keep_alive_ = request.keep_alive;
  head_only_ = request.method == "HEAD";
  if (in_.capacity() > kept_capacity && in_.size() < kept_capacity) in_.shrink_to_fit();
  last_sent_ = core_->clock.now();
  enter(phase::answering, core_->limits.ping_interval);
  core_->handler->handle(std::move(request), shared_from_this());
}

// Answers by itself and closes.
void http_connection::reject(const api_error& why) {
  core_->counters.bad_messages.fetch_add(1);
  keep_alive_ = false;
  head_only_ = false;
  phase_ = phase::answering;
  respond(core_->handler->connection_error(why));
}

// ---- answering

void http_connection::respond(http_response response) {
  if (!answering() || streaming_) return;
  if (core_->stopping.load()) keep_alive_ = false;
  std::string bytes = response_head(response, {.http11 = http11_,
                                               .keep_alive = keep_alive_,
                                               .framing = body_framing::length,
                                               .wall_seconds = core_->clock.wall_seconds()});
  if (!head_only_) bytes += response.body;
  complete_answer(); // first: the answer may be longer than what a stream may leave waiting
  enqueue(std::move(bytes));
}

void http_connection::begin_stream(http_response head) {
  if (!answering() || streaming_) return;
  streaming_ = true;
  core_->counters.streams_open.fetch_add(1);
  if (core_->stopping.load() || !http11_) keep_alive_ = false;
  chunked_ = http11_;
  enqueue(
      response_head(head, {.http11 = http11_,
                           .keep_alive = keep_alive_,
                           .framing = chunked_ ? body_framing::chunked : body_framing::until_close,
                           .wall_seconds = core_->clock.wall_seconds()}));
}

void http_connection::send(std::string bytes) {
  if (!answering() || !streaming_ || bytes.empty() || overrun_) return;
  enqueue(chunked_ ? text(hex(bytes.size()), "\r\n", bytes, "\r\n") : std::move(bytes));
  if (out_bytes_ <= core_->limits.write_queue_bytes_max) return;
  // The caller may be in the middle of something: it hears of it in a moment.
  overrun_ = true;
  core_->counters.slow_readers.fetch_add(1);
  close_now();
}

void http_connection::finish() {
  if (!answering() || !streaming_) return;
  streaming_ = false;
  core_->counters.streams_open.fetch_sub(1);
  if (core_->stopping.load()) keep_alive_ = false;
  const bool chunked = chunked_;
  complete_answer();
  if (chunked) {
    enqueue("0\r\n\r\n");
  } else if (!writing_) {
    on_flushed();
  }
}

void http_connection::listen(std::shared_ptr<exchange_listener> listener) {
  if (!answering()) return;
  release_body(); // whoever listens has taken from it what it needs
  listener_ = std::move(listener);
  if (input_ended_) close_now(); // it left while the answer was being prepared
}

void http_connection::post(std::function<void()> task) {
  asio::post(socket_.get_executor(), std::move(task));
}

void http_connection::run_aside(std::function<void()> work, std::function<void()> then) {
  asio::post(core_->aside,
             [weak = weak_from_this(), work = std::move(work), then = std::move(then)]() mutable {
               work();
               if (auto self = weak.lock()) self->post(std::move(then));
             });
}

// ---- writing

void http_connection::enqueue(std::string bytes) {
  last_sent_ = core_->clock.now();
  if (!writing_ && out_.empty()) last_progress_ = last_sent_;
  out_bytes_ += bytes.size();
  out_.push_back(std::move(bytes));
  if (!writing_) write();
}

void http_connection::write() {
  writing_ = true;
  std::array<asio::const_buffer, buffers_per_write> buffers;
  const size_t count = std::min(out_.size(), buffers.size());
  for (size_t i = 0; i < count; ++i) buffers[i] = asio::buffer(out_[i]);
  buffers[0] += out_offset_;
  socket_.async_write_some(buffers, // those beyond count are empty
                           [self = shared_from_this()](const error_code& error, size_t written) {
                             self->on_written(error, written);
                           });
}

void http_connection::on_written(const error_code& error, size_t count) {
  writing_ = false;
  if (phase_ == phase::closed) return;
  if (error) return client_gone();
  last_progress_ = core_->clock.now();
  out_bytes_ -= count;
  while (count > 0) {
    const size_t left = out_.front().size() - out_offset_;
    if (count < left) {
      out_offset_ += count;
      break;
    }
    count -= left;
    out_offset_ = 0;
    out_.pop_front();
  }
  if (!out_.empty()) return write();
  if (phase_ == phase::flushing) on_flushed();
}

// Nothing follows: what is queued goes out, then the next request has its turn.
void http_connection::complete_answer() {
  listener_.reset();
  release_body();
  enter(phase::flushing, core_->limits.write_timeout);
}

void http_connection::on_flushed() {
  if (input_ended_ && in_.empty()) return close();
  if (!keep_alive_ || core_->stopping.load()) return linger();
  begin_next();
}

void http_connection::begin_next() {
  parser_.next();
  streaming_ = false;
  chunked_ = false;
  enter(phase::idle, core_->limits.idle_timeout);
  process_input();
}

// Closing at once would make the system answer unread input with a reset, which may overtake our
// answer.
void http_connection::linger() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  if (input_ended_) return close();
  in_.clear();
  enter(phase::lingering, core_->limits.linger_timeout);
  read();
}

// ---- time

void http_connection::enter(phase next, milliseconds timeout) {
  phase_ = next;
  arm(timeout);
}

void http_connection::arm(milliseconds timeout) {
  timer_.expires_after(timeout);
  // A wait that ended just before it was replaced still calls back; the number tells it apart.
  timer_.async_wait([self = shared_from_this(), number = ++timer_number_](const error_code& error) {
    if (!error && number == self->timer_number_) self->on_timer();
  });
}

void http_connection::on_timer() {
  switch (phase_) {
    case phase::idle:
    case phase::lingering:
      return close();
    case phase::head:
      return reject(timed_out("the head of the request"));
    case phase::body:
      return reject(timed_out("the body of the request"));
    case phase::answering:
      return on_answering_tick();
    case phase::flushing: {
      const auto waited = core_->clock.now() - last_progress_;
      if (waited >= core_->limits.write_timeout) return client_gone();
      return arm(core_->limits.write_timeout);
    }
    case phase::closed:
      return;
  }
}

void http_connection::on_answering_tick() {
  const time_point now = core_->clock.now();
  if (writing_ && now - last_progress_ >= core_->limits.write_timeout) {
    core_->counters.slow_readers.fetch_add(1);
    return client_gone();
  }
  const milliseconds interval = core_->limits.ping_interval;
  const auto silence = std::chrono::duration_cast<milliseconds>(now - last_sent_);
  if (silence < interval) return arm(interval - silence + milliseconds(1));
  last_sent_ = now;
  arm(interval);
  if (listener_ != nullptr) {
    const auto listener = listener_; // it may end the answer and with it our share
    listener->silent();
  }
}

void http_connection::client_gone() {
  if (phase_ == phase::closed) return;
  if (answering() && listener_ != nullptr) {
    core_->counters.clients_gone.fetch_add(1);
    const auto listener = std::move(listener_);
    close();
    listener->client_gone();
    return;
  }
  close();
}

void http_connection::close() {
  if (phase_ == phase::closed) return;
  phase_ = phase::closed;
  listener_.reset();
  release_body();
  if (streaming_) core_->counters.streams_open.fetch_sub(1);
  streaming_ = false;
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
  out_.clear();
  out_bytes_ = 0;
  in_.clear();
}

} // namespace troupe::server
