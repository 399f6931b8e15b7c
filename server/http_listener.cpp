// Accepts connections up to a limit.
#include "server/http_listener.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "server/http_connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

namespace troupe::server {
namespace {

namespace asio = boost::asio;

// Connections over the limit that are told so at the same time; beyond that they are just closed.
constexpr uint32_t refusing_max = 256;
constexpr std::chrono::milliseconds pause_after_error{50};

api_error too_many_connections(uint32_t connections_max) {
  api_error error;
  error.http_status = 503;
  error.type = "service_unavailable_error";
  error.code = "too_many_connections";
  error.message =
      text("this server already has ", connections_max, " connections; try again later");
  error.retry_after_s = 1;
  return error;
}

} // namespace

result<std::shared_ptr<http_listener>> http_listener::open(std::shared_ptr<server_core> core,
                                                           const std::string& address,
                                                           uint16_t port,
                                                           uint32_t connections_max) {
  auto listener = std::make_shared<http_listener>(std::move(core), connections_max);
  if (status done = listener->listen(address, port); !done.ok()) return fail(std::move(done));
  return listener;
}

http_listener::http_listener(std::shared_ptr<server_core> core, uint32_t connections_max)
    : core_(std::move(core)),
      acceptor_(asio::make_strand(core_->io)),
      pause_(acceptor_.get_executor()),
      connections_max_(connections_max) {}

status http_listener::listen(const std::string& address, uint16_t port) {
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) {
    return {status_code::invalid_argument,
            text("address '", address, "' is not an IP address: ", error.message())};
  }
  const tcp::endpoint endpoint(ip, port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) endpoint_ = acceptor_.local_endpoint(error);
  if (!error) return {};
  return {status_code::unavailable,
          text("cannot listen on ", address, " port ", port, ": ", error.message())};
}

void http_listener::start() {
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] { self->accept(); });
}

void http_listener::stop() {
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    boost::system::error_code ignored;
    self->acceptor_.close(ignored);
    self->pause_.cancel();
  });
}

void http_listener::accept() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_accept(
      asio::make_strand(core_->io),
      [self = shared_from_this()](const boost::system::error_code& error, tcp::socket socket) {
        self->on_accept(error, std::move(socket));
      });
}

void http_listener::on_accept(const boost::system::error_code& error, tcp::socket socket) {
  if (!acceptor_.is_open()) return;
  if (error && error != asio::error::connection_aborted) {
    // Out of descriptors, most likely: trying again at once would only burn the processor.
    if (!failing_) {
      log::warn(text("cannot accept connections, trying again: ", error.message()));
    }
    failing_ = true;
    pause_.expires_after(pause_after_error);
    pause_.async_wait(
        [self = shared_from_this()](const boost::system::error_code&) { self->accept(); });
    return;
  }
  failing_ = false;
  if (!error) {
    const uint64_t open = core_->counters.connections_open.load();
    core_->counters.connections_total.fetch_add(1);
    if (open < connections_max_) {
      std::make_shared<http_connection>(core_, std::move(socket))->start();
    } else {
      core_->counters.connections_refused.fetch_add(1);
      if (open < uint64_t{connections_max_} + refusing_max) {
        std::make_shared<http_connection>(core_, std::move(socket))
            ->start_refusing(too_many_connections(connections_max_));
      }
    }
  }
  accept();
}

} // namespace troupe::server
