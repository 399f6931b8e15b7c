// One client's connection: reads requests, has them answered in order, writes the answers. Internal
// to server/: it brings in Asio.
#pragma once

#include "server/api_error.hpp"
#include "server/http_parser.hpp"
#include "server/server_core.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <deque>

namespace troupe::server {

// Everything runs on the strand of its socket. Operations under way share ownership, so it lives
// until the last of them ends; answers under way refer to it weakly.
class http_connection final : public http_exchange,
                              public std::enable_shared_from_this<http_connection> {
public:
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;

  // The socket's executor must be a strand.
  http_connection(std::shared_ptr<server_core> core, tcp::socket socket);
  ~http_connection() override;

  void start();
  // Answers whatever comes with a refusal, and closes.
  void start_refusing(const api_error& why);
  // Closes as soon as nothing is being answered. Any thread.
  void close_soon();
  // Cuts the client off. Any thread.
  void close_now();

  void respond(http_response response) override;
  void begin_stream(http_response head) override;
  void send(std::string bytes) override;
  void finish() override;
  void listen(std::shared_ptr<exchange_listener> listener) override;
  void post(std::function<void()> task) override;
  void run_aside(std::function<void()> work, std::function<void()> then) override;

private:
  enum class phase : uint8_t {
    idle, // between requests; nothing of the next has arrived
    head, // a request is arriving
    body,
    answering, // a handler has the request
    flushing,  // the answer is complete but not yet written
    lingering, // the last answer is written; what still arrives is thrown away
    closed,
  };

  void read();
  void on_read(const error_code& error, size_t count);
  void on_input_end();
  void process_input();
  bool parse_some();
  void on_head();
  bool reserve_body(size_t bytes);
  void release_body();
  void dispatch();
  void reject(const api_error& why);

  void enqueue(std::string bytes);
  void write();
  void on_written(const error_code& error, size_t count);
  void complete_answer();
  void on_flushed();
  void begin_next();
  void linger();

  void enter(phase next, std::chrono::milliseconds timeout);
  void arm(std::chrono::milliseconds timeout);
  void on_timer();
  void on_answering_tick();
  void client_gone();
  void close();
  bool answering() const { return phase_ == phase::answering; }

  std::shared_ptr<server_core> core_;
  tcp::socket socket_;
  boost::asio::steady_timer timer_;
  uint64_t timer_number_ = 0;
  http_parser parser_;
  phase phase_ = phase::idle;
  std::shared_ptr<exchange_listener> listener_;

  std::array<char, 4096> chunk_;
  std::string in_; // read, not yet parsed
  size_t lingered_bytes_ = 0;
  size_t reserved_bytes_ = 0; // of core_->bodies_bytes
  bool reading_ = false;
  bool input_ended_ = false;

  std::deque<std::string> out_;
  size_t out_offset_ = 0; // of the first, already written
  size_t out_bytes_ = 0;
  bool writing_ = false;
  bool overrun_ = false; // the client does not read; being cut off
  time_point last_sent_;
  time_point last_progress_;

  bool head_only_ = false;
  bool http11_ = true;
  bool keep_alive_ = true;
  bool streaming_ = false;
  bool chunked_ = false;
};

} // namespace troupe::server
