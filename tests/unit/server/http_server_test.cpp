// The server over real sockets: routes, framing, streams, errors, keys, ids.
#include "tests/unit/server/server_fixture.hpp"

namespace troupe::server {
namespace {

using dataflow::finish_reason;
using http_server_test = server_test;

TEST_F(http_server_test, answers_a_completion) {
  auto client = connect();
  client.send(post_text("/v1/completions", whole_body));
  engine.wait_for_requests(1);
  engine.text(1, "wor");
  engine.text(1, "ld");
  engine.finish(1, finish_reason::length);
  engine.complete(1);
  const auto response = client.receive();
  EXPECT_EQ(response.status, 200);
  const json body = json::parse(response.body);
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["system_fingerprint"], "fp_test");
  EXPECT_EQ(body["choices"][0]["text"], "world");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3); // with the token before a text
  EXPECT_EQ(body["usage"]["completion_tokens"], 5);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 1);
}

TEST_F(http_server_test, passes_the_request_on) {
  auto client = connect();
  client.send(
      post_text("/v1/completions",
                R"({"model":"tiny","prompt":"ab","max_tokens":7,"temperature":0.5,"top_k":-1,
                            "seed":12,"n":2,"stop":"x","priority":-3,"cache_salt":"s"})",
                "X-Request-Id: r-1\r\nX-Request-Deadline-Ms: 5000\r\n"));
  const auto request = engine.wait_for_requests(1).at(0);
  EXPECT_EQ(request.id, "cmpl-r-1");
  EXPECT_EQ(request.prompt, (std::vector<int32_t>{byte_bos, 'a', 'b'}));
  EXPECT_EQ(request.tokens_max, 7u);
  EXPECT_FLOAT_EQ(request.sampling.temperature, 0.5f);
  EXPECT_EQ(request.sampling.top_k, 0u);
  EXPECT_EQ(request.sampling.seed, 12u);
  EXPECT_EQ(request.choices, 2u);
  EXPECT_EQ(request.stop_texts, std::vector<std::string>{"x"});
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.cache_salt, "s");
  ASSERT_TRUE(request.deadline.has_value());
  EXPECT_LE(*request.deadline, clock.now() + std::chrono::seconds(5));
}

TEST_F(http_server_test, streams_a_completion) {
  auto client = connect();
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  engine.text(1, "one");
  EXPECT_NE(client.receive_until("\"text\":\"one\"").find("200 OK"), std::string::npos);
  engine.text(1, " two");
  client.receive_until("\"text\":\" two\"");
  engine.finish(1);
  engine.complete(1);
  EXPECT_FALSE(client.receive_until("data: [DONE]\n\n\r\n0\r\n\r\n").empty());
  EXPECT_EQ(client.get("/version").status, 200) << "the connection goes on";
}

TEST_F(http_server_test, streams_the_very_text_it_would_answer_as_a_whole) {
  engine.answer_at_once();
  const auto whole = json::parse(post("/v1/completions", R"({"prompt":["abc","d"],"n":2})").body);
  const auto stream = post("/v1/completions", R"({"prompt":["abc","d"],"n":2,"stream":true})");
  EXPECT_TRUE(stream.complete);
  EXPECT_EQ(stream.fields.at("content-type"), "text/event-stream; charset=utf-8");
  auto data = data_of(stream.body);
  ASSERT_EQ(data.back(), "[DONE]");
  data.pop_back();
  std::map<int, std::string> texts;
  for (const auto& event : data) {
    const json chunk = json::parse(event);
    texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"];
  }
  ASSERT_EQ(texts.size(), 4u);
  for (const auto& choice : whole["choices"]) EXPECT_EQ(texts[choice["index"]], choice["text"]);
}

TEST_F(http_server_test, streams_a_chat) {
  engine.answer_at_once();
  const auto response = post("/v1/chat/completions",
                             R"({"messages":[{"role":"user","content":"Hi"}],"stream":true,
                                 "stream_options":{"include_usage":true}})");
  const auto data = data_of(response.body);
  ASSERT_GE(data.size(), 5u);
  const json first = json::parse(data.front());
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"]["role"], "assistant");
  std::string text;
  for (size_t i = 0; i + 1 < data.size(); ++i) {
    const json chunk = json::parse(data[i]);
    EXPECT_EQ(chunk["id"], first["id"]);
    EXPECT_EQ(chunk["created"], first["created"]);
    if (!chunk["choices"].empty()) text += chunk["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(text, std::to_string(std::string("[user]Hi[end][assistant]").size()));
  const json finish = json::parse(data[data.size() - 3]);
  EXPECT_EQ(finish["choices"][0]["finish_reason"], "stop");
  const json usage = json::parse(data[data.size() - 2]);
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_EQ(usage["usage"]["completion_tokens"], 2);
  EXPECT_EQ(engine.wait_for_requests(1)[0].tokens_max, 2048u - 24u) << "up to the context's end";
}

TEST_F(http_server_test, reports_a_failure_in_mid_stream) {
  auto client = connect();
  client.send(post_text("/v1/completions", stream_body));
  engine.wait_for_requests(1);
  engine.text(1, "one");
  engine.fail_request(1, status(status_code::device_lost, "node 3 is gone"));
  const auto response = client.receive();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.complete);
  const auto data = data_of(response.body);
  EXPECT_EQ(json::parse(data.back())["error"]["message"], "node 3 is gone");
  EXPECT_EQ(response.body.find("[DONE]"), std::string::npos);
}

struct refusal_case {
  status_code code;
  int http_status;
  bool retry_after;
};

TEST_F(http_server_test, gives_an_honest_status_when_the_engine_refuses) {
  for (const refusal_case& expected : {refusal_case{status_code::exhausted, 429, true},
                                       refusal_case{status_code::unavailable, 503, true},
                                       refusal_case{status_code::invalid_argument, 400, false},
                                       refusal_case{status_code::corrupt, 500, false}}) {
    engine.refuse_with(status(expected.code, "no"));
    for (const auto body : {stream_body, whole_body}) {
      const auto response = post("/v1/completions", body);
      EXPECT_EQ(response.status, expected.http_status);
      EXPECT_EQ(response.fields.count("retry-after"), expected.retry_after ? 1u : 0u);
      EXPECT_EQ(json::parse(response.body)["error"]["message"], "no");
    }
  }
}

TEST_F(http_server_test, gives_an_honest_status_when_a_request_fails_before_its_first_token) {
  for (const auto body : {stream_body, whole_body}) {
    auto client = connect();
    client.send(post_text("/v1/completions", body));
    const size_t count = engine.wait_for_requests(body == stream_body ? 1 : 2).size();
    engine.finish(engine.handle_of(count - 1), finish_reason::deadline);
    const auto response = client.receive();
    EXPECT_EQ(response.status, 504);
    EXPECT_EQ(response.fields.at("x-should-retry"), "false");
  }
}

TEST_F(http_server_test, cancels_all_prompts_when_one_fails) {
  auto client = connect();
  client.send(post_text("/v1/completions", R"({"prompt":["a","b","c"]})"));
  engine.wait_for_requests(3);
  engine.fail_request(2, status(status_code::corrupt, "broken"));
  EXPECT_EQ(client.receive().status, 500);
  EXPECT_TRUE(engine.wait_for_cancel(1));
  EXPECT_TRUE(engine.wait_for_cancel(3));
}

TEST_F(http_server_test, lists_its_model) {
  const json list = json::parse(get("/v1/models").body);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["max_model_len"], 2048);
  EXPECT_EQ(json::parse(get("/v1/models/tiny").body)["object"], "model");
  EXPECT_EQ(json::parse(get("/v1/models/%74iny").body)["id"], "tiny");
  const auto other = get("/v1/models/huge");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(json::parse(other.body)["error"]["code"], "model_not_found");
}

TEST_F(http_server_test, tells_its_health) {
  for (const auto path : {"/health", "/health/live", "/health/ready"})
    EXPECT_EQ(get(path).status, 200);
  engine.begin_drain();
  EXPECT_EQ(get("/health/live").status, 200);
  EXPECT_EQ(get("/health/ready").status, 503);
  EXPECT_EQ(json::parse(get("/health").body)["status"], "draining");
  engine.set_healthy(false);
  EXPECT_EQ(get("/health/live").status, 503);
  EXPECT_EQ(json::parse(get("/health/ready").body)["status"], "unhealthy");
}

TEST_F(http_server_test, tokenizes_and_detokenizes) {
  const json tokens =
      json::parse(post("/tokenize", R"({"prompt":"ab","return_token_strs":true})").body);
  EXPECT_EQ(tokens["tokens"], json({byte_bos, 'a', 'b'}));
  EXPECT_EQ(tokens["count"], 3);
  EXPECT_EQ(tokens["token_strs"], json({"<s>", "a", "b"}));
  const json chat =
      json::parse(post("/tokenize", R"({"messages":[{"role":"u","content":"x"}]})").body);
  EXPECT_EQ(chat["count"], std::string("[u]x[end][assistant]").size());
  EXPECT_EQ(json::parse(post("/detokenize", R"({"tokens":[97,98]})").body)["prompt"], "ab");
  EXPECT_EQ(post("/detokenize", R"({"tokens":[999]})").status, 400);
}

TEST_F(http_server_test, serves_metrics) {
  get("/version");
  get("/nowhere");
  const auto response = get("/metrics");
  EXPECT_EQ(response.fields.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const auto line : {"troupe_http_requests_total{route=\"/version\",code=\"200\"} 1\n",
                          "troupe_http_requests_total{route=\"other\",code=\"404\"} 1\n",
                          "vllm:num_requests_running{model_name=\"tiny\"} 0\n"}) {
    EXPECT_NE(response.body.find(line), std::string::npos) << line;
  }
}

TEST_F(http_server_test, asks_for_a_key) {
  options.api_keys = {"first", "second"};
  options.metrics_need_key = true;
  restart();
  for (const auto path : {"/v1/models", "/v1/nothing", "/metrics"}) {
    const auto response = get(path);
    EXPECT_EQ(response.status, 401) << path;
    EXPECT_EQ(json::parse(response.body)["error"]["code"], "invalid_api_key");
  }
  EXPECT_EQ(post("/tokenize", R"({"prompt":"x"})").status, 401);
  for (const auto key : {"", "firs", "firstt", "first second", "First"}) {
    EXPECT_EQ(get("/v1/models", "Authorization: Bearer " + std::string(key) + "\r\n").status, 401)
        << key;
  }
  EXPECT_EQ(get("/v1/models", "Authorization: Basic first\r\n").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer second\r\n").status, 200);
  EXPECT_EQ(get("/v1/models", "authorization: bearer first\r\n").status, 200);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/version").status, 200);
}

TEST_F(http_server_test, echoes_or_invents_request_ids) {
  EXPECT_EQ(get("/health", "X-Request-Id: abc-123\r\n").fields.at("x-request-id"), "abc-123");
  EXPECT_EQ(get("/nowhere", "X-Request-Id: abc\r\n").fields.at("x-request-id"), "abc");
  const std::string first = get("/health").fields.at("x-request-id");
  EXPECT_EQ(first.size(), 32u);
  EXPECT_NE(get("/health").fields.at("x-request-id"), first);
  const std::string spaced = get("/health", "X-Request-Id: a b\r\n").fields.at("x-request-id");
  EXPECT_EQ(spaced.size(), 32u);
  const std::string much(200, 'x');
  EXPECT_NE(get("/health", "X-Request-Id: " + much + "\r\n").fields.at("x-request-id"), much);
}

TEST_F(http_server_test, answers_wrong_routes_and_methods) {
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/v1/modelsx").status, 404);
  EXPECT_EQ(json::parse(get("/nowhere").body)["error"]["type"], "not_found_error");
  const auto wrong = get("/v1/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.fields.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(post("/health", "{}").fields.at("allow"), "GET, HEAD, OPTIONS");
  auto client = connect();
  client.send("OPTIONS /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(client.receive_until("\r\n\r\n").find("204"), std::string::npos);
}

TEST_F(http_server_test, answers_head_without_a_body) {
  auto client = connect();
  client.send("HEAD /version HTTP/1.1\r\nHost: x\r\n\r\n" + get_text("/version"));
  const std::string head = client.receive_until("\r\n\r\n");
  EXPECT_NE(head.find("200 OK"), std::string::npos);
  EXPECT_NE(head.find("Content-Length: 19"), std::string::npos);
  EXPECT_EQ(client.receive().body.size(), 19u) << "the next answer follows at once";
}

TEST_F(http_server_test, answers_pages_of_other_origins_only_when_told_to) {
  EXPECT_EQ(get("/version").fields.count("access-control-allow-origin"), 0u);
  options.cors_origin = "*";
  restart();
  EXPECT_EQ(get("/version").fields.at("access-control-allow-origin"), "*");
}

TEST_F(http_server_test, parses_large_bodies_aside) {
  engine.answer_at_once();
  options.aside_bytes_min = 1;
  restart();
  EXPECT_EQ(post("/v1/completions", whole_body).status, 200);
  EXPECT_EQ(post("/v1/completions", "{").status, 400);
  EXPECT_EQ(post("/tokenize", R"({"prompt":"x"})").status, 200);
  EXPECT_TRUE(post("/v1/completions", stream_body).complete);
}

TEST_F(http_server_test, refuses_options_out_of_range) {
  const auto fails = [&](auto change) {
    server_options bad = options;
    change(bad);
    return !http_server::start({.engine = engine,
                                .clock = clock,
                                .codec = std::make_shared<byte_codec>(),
                                .vocabulary = byte_vocabulary,
                                .defaults = {},
                                .seeds = entropy_seed},
                               bad)
                .has_value();
  };
  EXPECT_TRUE(fails([](server_options& o) { o.io_threads = 0; }));
  EXPECT_TRUE(fails([](server_options& o) { o.connections_max = 0; }));
  EXPECT_TRUE(fails([](server_options& o) { o.address = "not an address"; }));
  EXPECT_TRUE(fails([](server_options& o) { o.address = "192.0.2.1"; })) << "of another machine";
  EXPECT_TRUE(fails([](server_options& o) { o.served_model_name = ""; }));
  EXPECT_TRUE(fails([](server_options& o) { o.api_keys = {""}; }));
  EXPECT_TRUE(fails([&](server_options& o) { o.port = server->port(); })) << "taken";
}

} // namespace
} // namespace troupe::server
