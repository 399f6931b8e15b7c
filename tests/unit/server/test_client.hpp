// A blocking HTTP client that lets a test send exact bytes and look at exact bytes. Every wait is
// bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::server {

struct client_response {
  int status = 0;
  std::string head;
  std::map<std::string, std::string> fields; // names in lower case
  std::string body;                          // chunks joined
  bool complete = false;                     // the body ended as the head said it would
};

class test_client {
public:
  // receive_bytes: size of the receive buffer, to play a slow reader; 0: the system's.
  explicit test_client(uint16_t port, int receive_bytes = 0);
  ~test_client();
  test_client(test_client&& other) noexcept;
  test_client(const test_client&) = delete;
  test_client& operator=(const test_client&) = delete;

  bool connected() const { return fd_ >= 0; }
  // False when the server has closed.
  bool send(std::string_view bytes);
  void end_sending(); // half-close
  void close();
  void reset(); // close without a farewell

  // One response from the stream; status 0 when the connection ended first.
  client_response receive();
  // Reads until the text was seen, which is also taken out; what came up to and with it.
  std::string receive_until(std::string_view text);
  // True when the server closes the connection within the patience of the client; data is thrown
  // away.
  bool closed_by_server();

  client_response get(std::string_view path, std::string_view fields = "");
  client_response post(std::string_view path, std::string_view body, std::string_view fields = "");

private:
  bool fill(); // more bytes into buffer_
  bool take(size_t count, std::string& out);
  bool take_line(std::string& out);
  void read_body(client_response& response);

  int fd_ = -1;
  std::string buffer_;
};

std::string get_text(std::string_view path, std::string_view fields = "");
std::string post_text(std::string_view path, std::string_view body, std::string_view fields = "");

// The `data:` payloads of an event stream.
std::vector<std::string> data_of(std::string_view events);

} // namespace troupe::server
