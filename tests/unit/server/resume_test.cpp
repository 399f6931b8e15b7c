// Clients that come back for the rest of a stream, over real sockets.
#include "tests/unit/server/server_fixture.hpp"

#include "storage/posix_io_worker.hpp"

#include <future>

namespace troupe::server {
namespace {

class resume_test : public server_test {
protected:
  void SetUp() override {
    engine.answer_at_once();
    server_test::SetUp();
  }

  static std::vector<std::string> events_of(const std::string& bytes) {
    std::vector<std::string> out;
    for (size_t at = 0, end = 0; at < bytes.size(); at = end) {
      end = std::min(bytes.find("\n\n", at), bytes.size() - 2) + 2;
      out.push_back(bytes.substr(at, end - at));
    }
    return out;
  }
  static std::string id_of(const std::string& event) {
    EXPECT_TRUE(event.starts_with("id: ")) << event;
    return event.substr(4, event.find('\n') - 4);
  }
  static std::string field(const std::string& id) { return "Last-Event-ID: " + id + "\r\n"; }
  static std::string response_id(const std::string& stream) {
    return json::parse(data_of(stream).at(0))["id"];
  }
  static void expect_error(const client_response& got, int status, const std::string& code) {
    EXPECT_EQ(got.status, status) << got.body;
    EXPECT_EQ(json::parse(got.body)["error"]["code"], code) << got.body;
  }

  static constexpr std::string_view path = "/v1/completions";
  static constexpr std::string_view body =
      R"({"prompt":["Hello, world","x"],"n":2,"stream":true,"max_tokens":9})";
};

TEST_F(resume_test, goes_on_after_any_event_by_the_request_or_by_its_id) {
  const auto chat = R"({"messages":[{"role":"user","content":"Hello"}],"stream":true,"n":2,
                        "stream_options":{"include_usage":true}})";
  for (const auto& [to, what] :
       {std::pair<std::string, std::string>(path, body),
        std::pair<std::string, std::string>("/v1/chat/completions", chat)}) {
    const auto first = post(to, what);
    ASSERT_EQ(first.status, 200) << first.body;
    EXPECT_EQ(first.fields.at("x-stream-resume"), "memory");
    const std::string whole = first.body;
    const std::string by_id = to + "/" + response_id(whole);
    EXPECT_EQ(get(by_id).body, whole);
    EXPECT_EQ(get(by_id).fields.at("content-type"), "text/event-stream; charset=utf-8");
    std::string had;
    for (const auto& event : events_of(whole)) {
      had += event;
      const std::string rest = had == whole ? event : whole.substr(had.size());
      EXPECT_EQ(post(to, what, field(id_of(event))).body, rest);
      EXPECT_EQ(get(by_id, field(id_of(event))).body, rest);
      EXPECT_EQ(get(by_id + "?after=" + id_of(event)).body, rest);
    }
  }
}

TEST_F(resume_test, another_server_gives_the_rest_without_having_known_the_request) {
  const std::string whole = post(path, body, "X-Request-Id: mine\r\n").body;
  const auto seed = engine.wait_for_requests(2).at(1).sampling.seed;
  EXPECT_NE(seed, engine.wait_for_requests(2).at(0).sampling.seed);
  seeds = 1000; // another server draws others
  restart();
  const auto events = events_of(whole);
  const auto rest = post(path, body, field(id_of(events[2])));
  EXPECT_EQ(events[0] + events[1] + events[2] + rest.body, whole);
  EXPECT_EQ(engine.wait_for_requests(4).at(3).sampling.seed, seed);
  EXPECT_EQ(engine.wait_for_requests(4).at(3).id, "cmpl-mine-1");
  EXPECT_EQ(engine.received().at(2).at(0).tokens, 2u);
  // And now it knows it too.
  EXPECT_EQ(get("/v1/completions/cmpl-mine").body, whole);
}

TEST_F(resume_test, what_the_client_has_is_not_computed_for_it_again) {
  const auto events = events_of(post(path, body).body);
  const auto last_of_first = events[events.size() / 2 - 1]; // of four choices, two are finished
  post(path, body, field(id_of(last_of_first)));
  const auto received = engine.received();
  ASSERT_EQ(received.size(), 4u);
  EXPECT_TRUE(received[2][0].finished);
  EXPECT_EQ(received[2][0].tokens, 2u);
}

TEST_F(resume_test, refuses_what_does_not_fit_and_says_why) {
  const std::string whole = post(path, body, "X-Request-Id: a\r\n").body;
  const std::string id = id_of(events_of(whole)[1]);
  expect_error(post(path, body, field("7")), 400, "invalid_value");
  expect_error(post(path, body, field(id + "A")), 400, "invalid_value");
  expect_error(post(path, R"({"prompt":["Hello, world","y"],"n":2,"stream":true,"max_tokens":9})",
                    field(id)),
               409, "request_mismatch");
  expect_error(post(path, R"({"prompt":["Hello, world","x"],"n":2,"max_tokens":9})", field(id)),
               400, "invalid_value");
  expect_error(post("/v1/chat/completions",
                    R"({"messages":[{"role":"user","content":"x"}],"stream":true})", field(id)),
               409, "request_mismatch");
  expect_error(get("/v1/completions/cmpl-a", field("nonsense")), 400, "invalid_value");
  expect_error(get("/v1/completions/cmpl-b", field(id)), 409, "response_mismatch");
  expect_error(get("/v1/completions/cmpl-b"), 404, "response_not_found");
  expect_error(get("/v1/chat/completions/cmpl-a"), 404, "response_not_found");
  EXPECT_EQ(post("/v1/completions/cmpl-a", body).status, 405);
  EXPECT_NE(
      json::parse(post(path, body, field("7")).body)["error"]["message"].get<std::string>().find(
          "Last-Event-ID"),
      std::string::npos);
}

TEST_F(resume_test, a_name_that_is_used_again_does_not_mix_answers) {
  const auto named = "X-Request-Id: again\r\n";
  const std::string first = post(path, body, named).body;
  const std::string second = post(path, body, named).body;
  const std::string by_id = "/v1/completions/cmpl-again";
  EXPECT_EQ(get(by_id).body, second) << "the newest";
  const auto event = events_of(first)[0];
  EXPECT_EQ(event + get(by_id, field(id_of(event))).body, first);
  EXPECT_NE(id_of(event), id_of(events_of(second)[0])) << "without a seed they are two answers";
}

TEST_F(resume_test, an_answer_is_given_again_only_to_its_key) {
  options.api_keys = {"one", "two"};
  restart();
  const auto key = [](const std::string& name) { return "Authorization: Bearer " + name + "\r\n"; };
  const std::string whole = post(path, body, key("one")).body;
  const std::string by_id = "/v1/completions/" + response_id(whole);
  EXPECT_EQ(get(by_id, key("one")).body, whole);
  expect_error(get(by_id, key("two")), 404, "response_not_found");
  EXPECT_EQ(get(by_id).status, 401);
}

TEST_F(resume_test, where_no_key_is_needed_none_is_looked_at) {
  const std::string whole = post(path, body, "Authorization: Bearer unused\r\n").body;
  EXPECT_EQ(get("/v1/completions/" + response_id(whole)).body, whole);
}

TEST_F(resume_test, what_is_no_longer_kept_is_gone) {
  storage::journal_options small;
  small.entries_max = 1;
  journal = std::make_shared<storage::request_journal>(clock, small);
  restart();
  const std::string whole = post(path, body, "X-Request-Id: first\r\n").body;
  post(path, body, "X-Request-Id: second\r\n");
  expect_error(get("/v1/completions/cmpl-first"), 410, "response_gone");
  const auto event = events_of(whole)[0];
  EXPECT_EQ(event + post(path, body, field(id_of(event))).body, whole);
}

TEST_F(resume_test, ids_can_be_switched_off) {
  const auto off = R"({"prompt":"x","stream":true,"stream_options":{"include_event_ids":false}})";
  EXPECT_EQ(post(path, off).body.find("id: "), std::string::npos);
  options.event_ids = false;
  restart();
  EXPECT_EQ(post(path, body).body.find("id: "), std::string::npos);
  const auto on = R"({"prompt":"x","stream":true,"stream_options":{"include_event_ids":true}})";
  EXPECT_TRUE(post(path, on).body.starts_with("id: "));
}

TEST_F(resume_test, a_whole_answer_is_not_kept) {
  const auto whole = post(path, R"({"prompt":"x"})", "X-Request-Id: w\r\n");
  EXPECT_EQ(whole.fields.count("x-stream-resume"), 0u);
  expect_error(get("/v1/completions/cmpl-w"), 404, "response_not_found");
}

TEST_F(resume_test, a_head_request_computes_nothing) {
  post(path, body, "X-Request-Id: h\r\n");
  auto client = connect();
  client.send("HEAD /v1/completions/cmpl-h HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_NE(client.receive_until("\r\n\r\n").find("200 OK"), std::string::npos);
  EXPECT_EQ(engine.wait_for_requests(2).size(), 2u);
}

TEST_F(resume_test, counts_what_went_on) {
  const auto event = events_of(post(path, body).body)[0];
  post(path, body, field(id_of(event)));
  const auto page = get("/metrics").body;
  EXPECT_NE(page.find("troupe_streams_resumed_total 1\n"), std::string::npos) << page;
  EXPECT_NE(page.find("troupe_journal_entries 1\n"), std::string::npos);
}

// A disk that answers when the test says so.
class held_worker final : public storage::io_worker {
public:
  status submit(job work, completion done) override {
    const std::lock_guard lock(mutex_);
    held_.push_back([work = std::move(work), done = std::move(done)] { done(work()); });
    return {};
  }
  bool release() {
    std::vector<std::function<void()>> jobs;
    {
      const std::lock_guard lock(mutex_);
      jobs.swap(held_);
    }
    for (const auto& job : jobs) job();
    return !jobs.empty();
  }

private:
  std::mutex mutex_;
  std::vector<std::function<void()>> held_;
};

// Keeps nothing and says so.
class full_disk final : public storage::disk {
public:
  result<std::vector<std::byte>> read(const std::string&) override { return fail(full()); }
  status write(const std::string&, std::span<const std::byte>) override { return no_room(); }
  status append(const std::string&, std::span<const std::byte>) override { return no_room(); }
  status sync(const std::string&) override { return no_room(); }
  status rename(const std::string&, const std::string&) override { return no_room(); }
  status remove(const std::string&) override { return {}; }
  status sync_directory() override { return no_room(); }
  result<std::vector<std::string>> list() override { return std::vector<std::string>(); }

  std::atomic<bool> is_full = true;

private:
  static status full() { return status(status_code::exhausted, "no space left"); }
  status no_room() const { return is_full ? full() : status(); }
};

class resume_disk_test : public resume_test {
protected:
  ~resume_disk_test() override {
    while (worker.release()) {
    }
    server.reset();
    journal.reset();
  }
  void SetUp() override {
    journal = storage::request_journal::open(disk, worker, clock).value();
    resume_test::SetUp();
  }

  full_disk disk;
  held_worker worker;
};

TEST_F(resume_disk_test, no_byte_is_sent_before_the_request_is_on_the_disk) {
  disk.is_full = false;
  auto client = connect();
  client.send(post_text(path, body));
  engine.wait_for_requests(2);
  std::promise<client_response> promise;
  auto answer = promise.get_future();
  std::thread reader([&] { promise.set_value(client.receive()); });
  EXPECT_EQ(answer.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_TRUE(eventually([&] { return worker.release(); }));
  reader.join();
  const auto got = answer.get();
  EXPECT_EQ(got.fields.at("x-stream-resume"), "disk");
  EXPECT_TRUE(got.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(resume_disk_test, a_full_disk_costs_durability_and_no_answer) {
  auto client = connect();
  client.send(post_text(path, body));
  EXPECT_TRUE(eventually([&] { return worker.release(); }));
  const auto got = client.receive();
  EXPECT_EQ(got.fields.at("x-stream-resume"), "memory");
  EXPECT_EQ(get("/v1/completions/" + response_id(got.body)).body, got.body);
  EXPECT_EQ(journal->counters().write_failures, 1u);
}

TEST_F(resume_disk_test, a_disk_that_hangs_holds_nobody_up_for_long) {
  options.connection.ping_interval = std::chrono::milliseconds(50);
  restart();
  const auto got = post(path, body);
  EXPECT_EQ(got.fields.at("x-stream-resume"), "request");
  EXPECT_TRUE(got.body.ends_with("data: [DONE]\n\n"));
}

} // namespace
} // namespace troupe::server
