// What all connections of one server share. Internal to server/: it brings in Asio.
#pragma once

#include "base/clock.hpp"
#include "server/http_exchange.hpp"
#include "server/limits.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace troupe::server {

class http_connection;

// Counters of the transport; any thread.
struct connection_counters {
  std::atomic<uint64_t> connections_total = 0;
  std::atomic<uint64_t> connections_refused = 0;
  std::atomic<uint64_t> connections_open = 0;
  std::atomic<uint64_t> streams_open = 0;
  std::atomic<uint64_t> clients_gone = 0; // while their request was being answered
  std::atomic<uint64_t> slow_readers = 0; // of those, cut off by us
  std::atomic<uint64_t> bad_messages = 0; // bytes that were no HTTP, timeouts, too large
};

// Owned jointly by the server and its connections: a connection that outlives the server by a
// moment, held by an engine thread, still finds the reactor its socket belongs to.
struct server_core {
  server_core(const clock& clock_in, connection_limits limits_in, int threads)
      : clock(clock_in), limits(limits_in), io(threads) {}

  const class clock& clock;
  const connection_limits limits;
  boost::asio::io_context io;
  boost::asio::thread_pool aside{1};
  std::shared_ptr<http_handler> handler;
  connection_counters counters;
  std::atomic<bool> stopping = false;
  std::atomic<size_t> bodies_bytes = 0; // promised to bodies that arrive or wait to be parsed

  // Connections that are open, so that stop() can reach them.
  void add(const std::shared_ptr<http_connection>& connection);
  void remove(http_connection* connection);
  std::vector<std::shared_ptr<http_connection>> connections();
  // True when all were gone in time.
  bool wait_for_no_connections(std::chrono::nanoseconds at_most);

private:
  std::mutex mutex_;
  std::condition_variable none_left_;
  std::unordered_map<http_connection*, std::weak_ptr<http_connection>> connections_;
};

} // namespace troupe::server
