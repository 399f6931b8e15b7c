// Accepts connections up to a limit. Internal to server/: it brings in Asio.
#pragma once

#include "base/status.hpp"
#include "server/server_core.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string>

namespace troupe::server {

// Runs on a strand of its own; lives as long as it accepts.
class http_listener : public std::enable_shared_from_this<http_listener> {
public:
  using tcp = boost::asio::ip::tcp;

  static result<std::shared_ptr<http_listener>> open(std::shared_ptr<server_core> core,
                                                     const std::string& address, uint16_t port,
                                                     uint32_t connections_max);

  http_listener(std::shared_ptr<server_core> core, uint32_t connections_max);

  void start();
  void stop(); // any thread
  tcp::endpoint endpoint() const { return endpoint_; }

private:
  status listen(const std::string& address, uint16_t port);
  void accept();
  void on_accept(const boost::system::error_code& error, tcp::socket socket);

  std::shared_ptr<server_core> core_;
  tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  uint32_t connections_max_;
  tcp::endpoint endpoint_;
  bool failing_ = false; // the last accept failed, and that was said
};

} // namespace troupe::server
