// POST /v1/data over a real connection: answered when the documents are on the disk, once however
// often they are sent, and to holders of the key alone.
#include "server/ingest_body.hpp"
#include "storage/ingest_queue.hpp"
#include "storage/ingest_reader.hpp"
#include "storage/posix_io_worker.hpp"
#include "tests/unit/server/server_fixture.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

namespace troupe::server {
namespace {

TEST(ingest_body, reads_objects_and_lines) {
  const auto one = parse_ingest_body(R"( {"text": "a\nb", "domain": "d", "id": 7, "more": [1]} )",
                                     "application/json");
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ((*one)[0], (schemas::ingest_document{.source = "http",
                                                 .position = 1,
                                                 .id = "7",
                                                 .domain = "d",
                                                 .text = "a\nb",
                                                 .fault = {},
                                                 .erases = false}));
  const auto lines = parse_ingest_body("{\"text\":\"a\"}\r\n\n{\"id\":\"x\",\"delete\":true}",
                                       "application/x-ndjson");
  ASSERT_TRUE(lines.has_value());
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[1].position, 3u);
  EXPECT_TRUE((*lines)[1].erases);
}

TEST(ingest_body, sees_lines_whatever_the_type_says) {
  EXPECT_EQ(parse_ingest_body("\n{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "application/json")->size(),
            2u);
  EXPECT_EQ(parse_ingest_body("{\"text\":\"a\"}\n\n", "")->size(), 1u);
  EXPECT_EQ(parse_ingest_body("{\n\"text\":\n\"a\"}\n", "application/json")->size(), 1u);
}

TEST(ingest_body, names_what_is_wrong_and_in_which_line) {
  const auto message = [](std::string_view body) {
    const auto read = parse_ingest_body(body, "application/x-ndjson; charset=utf-8");
    return read ? std::string() : read.error().message;
  };
  EXPECT_EQ(message("{\"text\":\"a\"}\n{\"text\":1}"), "line 2: text must be a string, got 1");
  EXPECT_EQ(message("{\"domain\":\"a\"}"), "line 1: text is missing; it holds the document");
  EXPECT_EQ(message("{\"delete\":true}"), "line 1: id is missing; it says what to delete");
  EXPECT_NE(
      message("{\"text\":\"a\"").find("line 1: the request body is not valid JSON, at byte 12"),
      std::string::npos);
  EXPECT_NE(message("").find("there is no document"), std::string::npos);
  EXPECT_NE(message("{\"text\":\"\xFF\"}").find("UTF-8"), std::string::npos);
}

class data_routes_test : public server_test {
protected:
  void SetUp() override {
    options.ingest_keys = {"teach"};
    options.api_keys = {"ask"};
    open();
  }
  void open() {
    server.reset();
    queue.reset();
    auto log = storage::ingest_log::open(folder, log_options, [] { return uint64_t{0}; });
    ASSERT_TRUE(log.has_value()) << log.error().why();
    queue = std::make_shared<storage::ingest_queue>(std::move(*log), worker);
    auto started = http_server::start({.engine = engine,
                                       .clock = clock,
                                       .codec = std::make_shared<byte_codec>(),
                                       .vocabulary = byte_vocabulary,
                                       .defaults = {},
                                       .ingest = queue},
                                      options);
    ASSERT_TRUE(started.has_value()) << started.error().why();
    server = std::move(*started);
  }
  client_response send(std::string_view body, uint64_t sequence = 0,
                       std::string_view key = "teach") {
    std::string fields =
        "Authorization: Bearer " + std::string(key) + "\r\nContent-Type: application/x-ndjson\r\n";
    if (sequence > 0)
      fields += "X-Client-Id: me\r\nX-Sequence: " + std::to_string(sequence) + "\r\n";
    return post("/v1/data", body, fields);
  }
  std::string content() {
    server.reset();
    queue.reset(); // the log rests
    storage::ingest_reader reader(folder);
    std::string out;
    for (uint64_t offset = 0;; ++offset) {
      const auto read = reader.read(offset);
      if (!read || !*read) return out;
      out += (*read)->text + ";";
    }
  }

  storage::crashing_disk folder;
  storage::ingest_log_options log_options;
  storage::posix_io_worker worker;
  std::shared_ptr<storage::ingest_queue> queue; // shared with the server
};

TEST_F(data_routes_test, answers_with_where_the_documents_are) {
  const auto first = send("{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(json::parse(first.body),
            json::parse(R"({"object":"data.receipt","first":0,"count":2,"repeated":false})"));
  EXPECT_EQ(json::parse(send("{\"text\":\"c\"}").body)["first"], 2);
  const auto metrics = get("/metrics").body;
  EXPECT_NE(metrics.find("troupe_ingest_documents_total 3"), std::string::npos);
  EXPECT_NE(metrics.find("troupe_ingest_log_end 3"), std::string::npos);
  EXPECT_EQ(content(), "a;b;c;");
}

TEST_F(data_routes_test, a_repeated_request_is_kept_once) {
  EXPECT_EQ(json::parse(send("{\"text\":\"a\"}", 1).body)["repeated"], false);
  const auto again = json::parse(send("{\"text\":\"a\"}", 1).body);
  EXPECT_EQ(again["repeated"], true);
  EXPECT_EQ(again["first"], 0);
  EXPECT_EQ(json::parse(send("{\"text\":\"b\"}", 2).body)["repeated"], false);
  EXPECT_EQ(content(), "a;b;");
}

// The power goes while a request is being kept, at every operation; the client asks again.
TEST_F(data_routes_test, nothing_is_kept_twice_or_lost_when_the_power_goes_before_the_answer) {
  for (const auto what : {storage::crashing_disk::trouble::crashes_before,
                          storage::crashing_disk::trouble::crashes_after})
    for (int at = 0; at < 12; ++at) {
      server.reset();
      queue.reset();
      folder = storage::crashing_disk();
      open();
      folder.plan(what, at);
      for (uint64_t i = 1; i <= 3; ++i) {
        const std::string body = "{\"text\":\"" + std::to_string(i) + "\"}";
        while (true) {
          const auto answer = send(body, i);
          if (answer.status == 200) break;
          ASSERT_EQ(answer.status, 503) << answer.body;
          ASSERT_EQ(answer.fields.count("retry-after"), 1u);
          server.reset();
          queue.reset();
          folder.restart({storage::lost_power::contents::kept, true});
          open();
        }
      }
      if (folder.crashed()) folder.restart({storage::lost_power::contents::lost, false});
      folder.plan(storage::crashing_disk::trouble::none, 0);
      ASSERT_EQ(content(), "1;2;3;") << at;
    }
}

TEST_F(data_routes_test, a_full_log_says_to_come_again) {
  log_options.bytes_max = 4000;
  open();
  client_response answer;
  for (int i = 0; i < 40; ++i) {
    answer = send("{\"text\":\"" + std::string(200, 'x') + "\"}");
    if (answer.status != 200) break;
  }
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.fields["retry-after"], "1");
  EXPECT_NE(answer.body.find("nobody has learnt from yet"), std::string::npos);
}

TEST_F(data_routes_test, only_holders_of_the_key_may_teach) {
  EXPECT_EQ(send("{\"text\":\"a\"}", 0, "ask").status, 401);
  EXPECT_EQ(post("/v1/data", "{\"text\":\"a\"}").status, 401);
  EXPECT_EQ(get("/v1/models", "Authorization: Bearer teach\r\n").status, 401);
  EXPECT_EQ(connect().get("/v1/data", "Authorization: Bearer teach\r\n").status, 405);
  queue.reset();
  restart(); // a server that takes nothing in
  const auto off = post("/v1/data", "{\"text\":\"a\"}", "Authorization: Bearer teach\r\n");
  EXPECT_EQ(off.status, 403);
  EXPECT_NE(off.body.find("ingest_disabled"), std::string::npos);
}

TEST_F(data_routes_test, refuses_what_it_cannot_read_and_keeps_nothing_of_it) {
  EXPECT_EQ(send("{\"text\":\"a\"}\n{\"txt\":1}").status, 400);
  const auto half =
      post("/v1/data", "{\"text\":\"a\"}", "Authorization: Bearer teach\r\nX-Client-Id: me\r\n");
  EXPECT_EQ(half.status, 400);
  EXPECT_NE(half.body.find("go together"), std::string::npos);
  EXPECT_EQ(post("/v1/data", "{\"text\":\"a\"}",
                 "Authorization: Bearer teach\r\nX-Client-Id: me\r\nX-Sequence: 0\r\n")
                .status,
            400);
  EXPECT_EQ(content(), "");
}

} // namespace
} // namespace troupe::server
