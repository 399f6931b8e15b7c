// The seam between a connection and what answers its requests. Free of sockets, so that answering
// can be tested without them.
#pragma once

#include "server/http_message.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::server {

// Hears what happens to the client while its request is being answered. Called on the exchange's
// strand.
class exchange_listener {
public:
  virtual ~exchange_listener() = default;
  // The client went away or was cut off. Nothing more can be sent; nothing is heard after this.
  virtual void client_gone() = 0;
  // Nothing was sent for a while: a chance to show that the server is still there.
  virtual void silent() = 0;
};

// One request and its answer. All calls are made on the exchange's strand, except post().
// After the answer is complete, and after client_gone(), further calls do nothing.
class http_exchange {
public:
  virtual ~http_exchange() = default;

  // The whole answer at once.
  virtual void respond(http_response response) = 0;
  // An answer in pieces: begin_stream, send as often as needed, finish.
  virtual void begin_stream(http_response head) = 0;
  virtual void send(std::string bytes) = 0;
  virtual void finish() = 0;

  // Shared with the exchange until the answer is complete or the client is gone.
  virtual void listen(std::shared_ptr<exchange_listener> listener) = 0;

  // Runs the task on the strand, later. Any thread. Dropped when the server is gone.
  virtual void post(std::function<void()> task) = 0;
  // Runs work that takes long on a thread that moves no bytes, then `then` on the strand.
  virtual void run_aside(std::function<void()> work, std::function<void()> then) = 0;
};

// Answers requests. Called on the strands of many connections, hence from several threads at once.
class http_handler {
public:
  virtual ~http_handler() = default;
  // Looks at a request whose body has not been read yet; an answer ends the connection unread.
  virtual std::optional<http_response> refuse_early(const http_request& head) = 0;
  // Must see to it that the exchange is answered, now or later.
  virtual void handle(http_request request, const std::shared_ptr<http_exchange>& exchange) = 0;
  // What the connection answers by itself: bytes that are no HTTP, timeouts, too many connections.
  virtual http_response connection_error(const struct api_error& error) = 0;
};

} // namespace troupe::server
