// A real server on a free loopback port over an engine written by hand.
#pragma once

#include "server/http_server.hpp"
#include "tests/unit/server/byte_codec.hpp"
#include "tests/unit/server/fake_engine.hpp"
#include "tests/unit/server/test_client.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

namespace troupe::server {

class server_test : public ::testing::Test {
protected:
  using json = nlohmann::json;

  server_test() {
    options.served_model_name = "tiny";
    options.io_threads = 2; // so that a thread sanitizer has something to look at
  }

  void SetUp() override { restart(); }

  void restart() {
    server.reset();
    auto started = http_server::start({.engine = engine,
                                       .clock = clock,
                                       .codec = std::make_shared<byte_codec>(),
                                       .vocabulary = byte_vocabulary,
                                       .defaults = {},
                                       .seeds = [this] { return ++seeds; },
                                       .journal = journal},
                                      options);
    ASSERT_TRUE(started.has_value()) << started.error().why();
    server = std::move(*started);
  }

  test_client connect(int receive_bytes = 0) { return test_client(server->port(), receive_bytes); }
  client_response get(std::string_view path, std::string_view fields = "") {
    return connect().get(path, fields);
  }
  client_response post(std::string_view path, std::string_view body, std::string_view fields = "") {
    return connect().post(path, body, fields);
  }

  // Waits until the condition holds; every change of the server's counters is soon seen.
  template <class Condition>
  static bool eventually(Condition condition) {
    const system_clock clock;
    const time_point give_up = clock.now() + std::chrono::seconds(20);
    while (!condition()) {
      if (clock.now() > give_up) return false;
      std::this_thread::yield();
    }
    return true;
  }

  static constexpr std::string_view stream_body = R"({"prompt":"Hi","stream":true,"max_tokens":9})";
  static constexpr std::string_view whole_body = R"({"prompt":"Hi","max_tokens":9})";

  system_clock clock;
  fake_engine engine;
  server_options options;
  std::atomic<uint64_t> seeds = 0;
  std::shared_ptr<storage::request_journal> journal; // shared with the server; none: its own
  std::unique_ptr<http_server> server;               // last: it uses all of the above
};

} // namespace troupe::server
