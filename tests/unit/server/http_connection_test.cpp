// Connections at their edges: clients that leave, dawdle, do not read, send garbage, or come in
// crowds.
#include "tests/unit/server/server_fixture.hpp"

#include <sys/resource.h>

#include <random>

namespace troupe::server {
namespace {

using std::chrono::milliseconds;

class http_connection_test : public server_test {
protected:
  bool all_closed() {
    return eventually([this] { return server->connections_open() == 0; });
  }
};

TEST_F(http_connection_test, cancels_when_the_client_leaves_a_stream) {
  auto client = connect();
  client.send(post_text("/v1/completions", R"({"prompt":["a","b"],"stream":true})"));
  engine.wait_for_requests(2);
  engine.text(1, "x");
  client.receive_until("\"text\":\"x\"");
  EXPECT_EQ(server->streams_open(), 1u);
  client.close();
  EXPECT_TRUE(engine.wait_for_cancel(1));
  EXPECT_TRUE(engine.wait_for_cancel(2));
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(server->streams_open(), 0u);
}

TEST_F(http_connection_test, cancels_when_the_client_leaves_before_the_first_token) {
  for (const auto body : {stream_body, whole_body}) {
    auto client = connect();
    client.send(post_text("/v1/completions", body));
    const auto id = engine.wait_for_requests(body == stream_body ? 1 : 2).size();
    client.close();
    EXPECT_TRUE(engine.wait_for_cancel(id));
  }
}

TEST_F(http_connection_test, cancels_when_the_client_resets) {
  auto client = connect();
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  client.reset();
  EXPECT_TRUE(engine.wait_for_cancel(1));
  EXPECT_TRUE(all_closed());
}

TEST_F(http_connection_test, takes_a_half_closed_client_for_gone_while_it_generates) {
  auto client = connect();
  client.send(post_text("/v1/completions", whole_body));
  engine.wait_for_requests(1);
  client.end_sending();
  EXPECT_TRUE(engine.wait_for_cancel(1));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(http_connection_test, answers_a_half_closed_client_what_needs_no_generation) {
  auto client = connect();
  client.send(get_text("/health") + get_text("/metrics") + get_text("/version"));
  client.end_sending();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.receive().status, 200);
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(http_connection_test, drops_events_that_come_after_the_client) {
  auto client = connect();
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  client.close();
  ASSERT_TRUE(engine.wait_for_cancel(1));
  engine.text(1,
              "too late"); // the fake has forgotten it after its completion: must not crash either
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(http_connection_test, answers_pipelined_requests_in_order) {
  engine.answer_at_once();
  auto client = connect();
  client.send(get_text("/version") + post_text("/v1/completions", whole_body) +
              get_text("/nowhere") + post_text("/v1/completions", stream_body) +
              get_text("/health"));
  EXPECT_NE(client.receive().body.find("version"), std::string::npos);
  EXPECT_NE(client.receive().body.find("text_completion"), std::string::npos);
  EXPECT_EQ(client.receive().status, 404);
  EXPECT_NE(client.receive().body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(http_connection_test, keeps_a_pipelined_request_until_the_first_is_answered) {
  auto client = connect();
  client.send(post_text("/v1/completions", whole_body));
  engine.wait_for_requests(1);
  client.send(get_text("/version"));
  engine.finish(1);
  engine.complete(1);
  EXPECT_NE(client.receive().body.find("text_completion"), std::string::npos);
  EXPECT_NE(client.receive().body.find("version"), std::string::npos);
}

TEST_F(http_connection_test, stops_reading_ahead_of_a_busy_connection) {
  options.connection.pipelined_bytes_max = 4096;
  restart();
  auto client = connect();
  client.send(post_text("/v1/completions", whole_body));
  engine.wait_for_requests(1);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += get_text("/version");
  std::thread sender([&client, &many] { client.send(many); });
  engine.finish(1);
  engine.complete(1);
  for (int i = 0; i < 2001; ++i) ASSERT_EQ(client.receive().status, 200) << i;
  sender.join();
}

TEST_F(http_connection_test, honours_connection_close_and_http_1_0) {
  auto client = connect();
  const auto closing = client.get("/version", "Connection: close\r\n");
  EXPECT_EQ(closing.fields.at("connection"), "close");
  EXPECT_TRUE(client.closed_by_server());

  auto old = connect();
  old.send("GET /version HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.receive().fields.at("connection"), "close");
  EXPECT_TRUE(old.closed_by_server());

  auto kept = connect();
  kept.send("GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.receive().fields.at("connection"), "keep-alive");
  EXPECT_EQ(kept.get("/version").status, 200);
}

TEST_F(http_connection_test, streams_to_http_1_0_until_the_end) {
  engine.answer_at_once();
  auto client = connect();
  const std::string body(stream_body);
  client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  const auto response = client.receive();
  EXPECT_EQ(response.fields.count("transfer-encoding"), 0u);
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(http_connection_test, takes_chunked_bodies) {
  engine.answer_at_once();
  auto client = connect();
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;ext=1\r\n{\"pro\r\n");
  client.send("a\r\nmpt\":\"Hi\"}\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(client.receive().status, 200);
  EXPECT_EQ(client.get("/version").status, 200);
}

TEST_F(http_connection_test, says_continue_before_the_body) {
  engine.answer_at_once();
  auto client = connect();
  const std::string body(whole_body);
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.receive().status, 100);
  client.send(body);
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(http_connection_test, refuses_before_the_body_what_it_will_not_read) {
  options.api_keys = {"key"};
  restart();
  for (const auto expect : {"", "Expect: 100-continue\r\n"}) {
    auto client = connect();
    client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n" +
                std::string(expect) + "\r\n");
    EXPECT_EQ(client.receive().status, 401);
    EXPECT_TRUE(client.closed_by_server());
  }
}

TEST_F(http_connection_test, refuses_bodies_that_are_too_large) {
  options.connection.body_bytes_max = 1 << 20;
  restart();
  auto announced = connect();
  announced.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
  EXPECT_EQ(announced.receive().status, 413);

  // The client hears why although it is still sending: nothing resets the connection under the
  // answer.
  auto sending = connect();
  sending.send(post_text("/v1/completions", std::string(3 << 20, ' ')));
  const auto refused = sending.receive();
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(json::parse(refused.body)["error"]["code"], "request_too_large");

  auto chunked = connect();
  chunked.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 2; ++i) chunked.send("100000\r\n" + std::string(1 << 20, ' ') + "\r\n");
  EXPECT_EQ(chunked.receive().status, 413);

  auto fitting = connect();
  EXPECT_EQ(fitting.post("/v1/completions", std::string((1 << 20) - 2, ' ') + "{}").status, 400);
}

TEST_F(http_connection_test, bounds_the_memory_of_all_bodies_together) {
  options.connection.bodies_bytes_max = 1 << 20;
  restart();
  const std::string head = "POST /tokenize HTTP/1.1\r\nContent-Length: 600000\r\n";
  auto first = connect();
  first.send(head + "Expect: 100-continue\r\n\r\n");
  ASSERT_EQ(first.receive().status, 100);
  auto second = connect();
  second.send(head + "\r\n");
  EXPECT_EQ(second.receive().status, 503);
  EXPECT_EQ(post("/tokenize", R"({"prompt":"small"})").status, 200);
  first.close();
  EXPECT_TRUE(eventually([&] {
    auto next = connect();
    next.send(head + "Expect: 100-continue\r\n\r\n");
    return next.receive().status == 100;
  }));
}

TEST_F(http_connection_test, refuses_heads_that_are_too_large) {
  for (const auto& head : {"GET /version HTTP/1.1\r\nA: " + std::string(64 << 10, 'a') + "\r\n\r\n",
                           "GET /" + std::string(64 << 10, 'a') + " HTTP/1.1\r\n\r\n"}) {
    auto client = connect();
    client.send(head);
    EXPECT_EQ(client.receive().status, 431);
    EXPECT_TRUE(client.closed_by_server());
  }
  auto many = connect();
  std::string fields;
  for (int i = 0; i < 4000; ++i) fields += "A" + std::to_string(i) + ": x\r\n";
  many.send(get_text("/version", fields));
  EXPECT_EQ(many.receive().status, 431);
}

TEST_F(http_connection_test, refuses_what_is_not_http) {
  for (const std::string sent :
       {"hello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nbad field\r\n\r\n", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03 this is TLS",
        "POST /tokenize HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nContent-Length: 10\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /%zz HTTP/1.1\r\n\r\n", "GET version HTTP/1.1\r\n\r\n"}) {
    auto client = connect();
    client.send(sent);
    const auto response = client.receive();
    EXPECT_GE(response.status, 400) << sent;
    EXPECT_EQ(response.fields.at("connection"), "close") << sent;
    EXPECT_FALSE(json::parse(response.body)["error"]["message"].empty());
    EXPECT_TRUE(client.closed_by_server()) << sent;
  }
}

TEST_F(http_connection_test, survives_random_bytes) {
  std::mt19937 random(1); // NOLINT: the same bytes in every run
  const std::string good = post_text("/v1/completions", whole_body);
  engine.answer_at_once();
  for (int i = 0; i < 200; ++i) {
    std::string bytes = good;
    for (int j = 0; j < 4; ++j) bytes[random() % bytes.size()] = static_cast<char>(random());
    auto client = connect();
    client.send(bytes);
    client.end_sending();
    EXPECT_TRUE(client.closed_by_server());
  }
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(http_connection_test, gives_slow_heads_and_bodies_a_limited_time) {
  options.connection.header_timeout = milliseconds(60);
  options.connection.body_timeout = milliseconds(60);
  restart();
  auto silent = connect();
  EXPECT_TRUE(silent.closed_by_server());
  auto head = connect();
  head.send("GET /version HTT");
  EXPECT_EQ(head.receive().status, 408);
  auto body = connect();
  body.send("POST /tokenize HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(body.receive().status, 408);
}

TEST_F(http_connection_test, does_not_let_single_bytes_extend_the_time_of_a_head) {
  options.connection.header_timeout = milliseconds(100);
  options.connection.linger_timeout = milliseconds(100);
  restart();
  auto client = connect();
  const time_point begin = clock.now();
  const std::string field = "GET /version HTTP/1.1\r\nA: " + std::string(4000, 'a');
  // One byte at a time, as fast as the connection takes them without ever ending the head.
  size_t sent = 0;
  while (client.send(field.substr(sent % field.size(), 1)) && server->connections_open() > 0) {
    ++sent;
    if (clock.now() - begin > std::chrono::seconds(15)) break;
    if (sent >= field.size()) sent = field.size() - 1;
  }
  EXPECT_LT(clock.now() - begin, std::chrono::seconds(15));
}

TEST_F(http_connection_test, closes_idle_connections) {
  options.connection.idle_timeout = milliseconds(50);
  restart();
  auto client = connect();
  EXPECT_EQ(client.get("/version").status, 200);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(all_closed());
}

TEST_F(http_connection_test, pings_while_a_stream_is_silent) {
  options.connection.ping_interval = milliseconds(20);
  restart();
  auto client = connect();
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  EXPECT_NE(client.receive_until(": ping\n\n").find("200 OK"), std::string::npos);
  client.receive_until(": ping\n\n");
  engine.text(1, "late");
  client.receive_until("\"text\":\"late\"");
  engine.finish(1);
  engine.complete(1);
  EXPECT_FALSE(client.receive_until("[DONE]").empty());
}

TEST_F(http_connection_test, cuts_off_a_client_that_does_not_read) {
  options.connection.write_queue_bytes_max = 256 << 10;
  restart();
  auto client = connect(4096);
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  const std::string much(64 << 10, 'x');
  for (int i = 0; i < 400 && engine.cancelled_count() == 0; ++i) engine.text(1, much);
  EXPECT_TRUE(engine.wait_for_cancel(1));
  EXPECT_TRUE(all_closed());
  EXPECT_NE(get("/metrics").body.find("troupe_http_slow_readers_total 1\n"), std::string::npos);
}

TEST_F(http_connection_test, cuts_off_a_client_that_stopped_reading) {
  options.connection.write_timeout = milliseconds(60);
  options.connection.ping_interval = milliseconds(20);
  options.connection.write_queue_bytes_max = 64 << 20;
  restart();
  auto client = connect(4096);
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  dataflow::stream_event much;
  much.text = std::string(16 << 20, 'x'); // more than the system buffers
  engine.event(1, much);
  EXPECT_TRUE(engine.wait_for_cancel(1));
}

TEST_F(http_connection_test, refuses_connections_over_the_limit) {
  options.connections_max = 2;
  options.connection.linger_timeout = milliseconds(100);
  restart();
  auto first = connect();
  auto second = connect();
  EXPECT_EQ(first.get("/version").status, 200);
  EXPECT_EQ(second.get("/version").status, 200);
  auto third = connect();
  const auto refused = third.get("/version");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.fields.at("retry-after"), "1");
  EXPECT_TRUE(third.closed_by_server());
  first.close();
  EXPECT_TRUE(eventually([this] { return get("/version").status == 200; }));
}

TEST_F(http_connection_test, holds_a_thousand_streams_at_once) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2200) GTEST_SKIP() << "only " << limit.rlim_cur << " file descriptors";
  constexpr size_t count = 1000;
  std::vector<test_client> clients;
  for (size_t i = 0; i < count; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().connected()) << i;
    clients.back().send(post_text("/v1/completions", stream_body));
  }
  ASSERT_EQ(engine.wait_for_requests(count).size(), count);
  for (size_t i = 0; i < count; ++i) engine.text(engine.handle_of(i), "x");
  EXPECT_TRUE(eventually([this] { return server->streams_open() == count; }));
  for (size_t i = 0; i < count / 2; ++i) {
    engine.finish(engine.handle_of(i));
    engine.complete(engine.handle_of(i));
  }
  // The fake numbers requests by arrival, so it is not known which client got which; the sum is.
  EXPECT_TRUE(eventually([this] { return server->streams_open() == count / 2; }));
  clients.clear();
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(engine.cancelled_count(), count / 2);
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(http_connection_test, lets_streams_finish_when_it_stops) {
  auto client = connect();
  auto idle = connect();
  EXPECT_EQ(idle.get("/version").status, 200);
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  engine.text(1, "x");
  client.receive_until("\"text\":\"x\"");
  const uint16_t port = server->port();
  std::thread stopping([this] { server->stop(std::chrono::seconds(20)); });
  EXPECT_TRUE(idle.closed_by_server());
  EXPECT_TRUE(eventually([&] { return !test_client(port).connected(); }));
  engine.finish(1);
  engine.complete(1);
  EXPECT_FALSE(client.receive_until("[DONE]").empty());
  EXPECT_TRUE(client.closed_by_server());
  stopping.join();
  EXPECT_EQ(engine.cancelled_count(), 0u);
}

TEST_F(http_connection_test, cuts_streams_off_after_the_deadline_of_a_stop) {
  auto client = connect();
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  server->stop(milliseconds(10));
  EXPECT_TRUE(engine.wait_for_cancel(1));
  EXPECT_TRUE(client.closed_by_server());
  engine.text(1, "after the end"); // the engine may still call
}

TEST_F(http_connection_test, survives_events_from_many_threads_while_clients_come_and_go) {
  std::atomic<bool> done = false;
  std::vector<std::thread> speakers;
  for (size_t part = 0; part < 2; ++part) {
    speakers.emplace_back([this, part, &done] {
      for (size_t i = part; !done; i += 2) {
        const auto id = engine.handle_of(i % 200);
        engine.text(id, "x");
        if (i % 7 == part) {
          engine.finish(id);
          engine.complete(id);
        }
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    auto client = connect();
    client.send(post_text("/v1/completions", i % 2 == 0 ? stream_body : whole_body));
    engine.wait_for_requests(static_cast<size_t>(i) + 1);
    if (i % 3 == 0) client.reset();
  }
  done = true;
  for (auto& speaker : speakers) speaker.join();
  EXPECT_TRUE(all_closed());
}

} // namespace
} // namespace troupe::server
