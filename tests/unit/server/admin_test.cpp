// What a server of a clustered node tells, and to whom.
#include "server/admin.hpp"

#include "tests/unit/server/server_fixture.hpp"

namespace troupe::server {
namespace {

actors::cluster_picture three_nodes() {
  actors::cluster_picture out;
  out.self = "n1";
  out.incarnation = 1764000000000;
  out.epoch = 7;
  out.kv_version = 3;
  out.serving = true;
  out.majority = true;
  out.members = {{"n0", 5, true, true, true, true, {"sequencer/0"}},
                 {"n1", 6, true, true, true, true, {"attention_stage/0"}},
                 {"n2", 0, true, false, false, false, {}}};
  out.sequencer = "n0";
  out.stages = {"n1"};
  out.shards = {{"n0", "n1"}, {"n1"}};
  out.shard_rows = {40, 2};
  out.members[0].speed = 8 * 20; // 2^20 a second
  out.members[0].memory = 1000;
  out.members[0].memory_roles = 70;
  out.recoveries = 1;
  out.last_recovery = {7, {"n2"}, std::chrono::microseconds(1500), 1764000001};
  out.last_recovery->served = time_point{} + std::chrono::nanoseconds(1234);
  out.gateway.resent = 9;
  out.transport.frames_sent = 11;
  return out;
}

class admin_test : public server_test {
protected:
  void SetUp() override {
    options.admin_keys = {"a-key"};
    options.api_keys = {"client-key"};
    server_test::SetUp();
  }
  void restart_in_a_cluster() {
    server.reset();
    auto started = http_server::start({.engine = engine,
                                       .clock = clock,
                                       .codec = std::make_shared<byte_codec>(),
                                       .vocabulary = byte_vocabulary,
                                       .defaults = {},
                                       .cluster = [] { return three_nodes(); }},
                                      options);
    ASSERT_TRUE(started.has_value()) << started.error().why();
    server = std::move(*started);
  }
  static constexpr std::string_view with_key = "Authorization: Bearer a-key\r\n";
};

TEST_F(admin_test, tells_the_cluster_as_the_node_knows_it) {
  restart_in_a_cluster();
  const auto response = get("/admin/cluster", with_key);
  ASSERT_EQ(response.status, 200) << response.body;
  const json body = json::parse(response.body);
  EXPECT_EQ(body["self"], "n1");
  EXPECT_EQ(body["incarnation"], 1764000000000);
  EXPECT_EQ(body["epoch"], 7);
  EXPECT_EQ(body["gave_up"], nullptr);
  ASSERT_EQ(body["members"].size(), 3u);
  EXPECT_EQ(body["members"][0]["roles"], json::array({"sequencer/0"}));
  EXPECT_EQ(body["members"][2]["present"], false);
  EXPECT_EQ(body["placement"]["sequencer"], "n0");
  EXPECT_EQ(body["placement"]["expert_shards"][0], json::array({"n0", "n1"}));
  EXPECT_EQ(body["placement"]["shard_rows"], json::array({40, 2}));
  EXPECT_TRUE(body["placement"]["no_room"].is_null());
  EXPECT_EQ(body["members"][0]["speed"], 1);
  EXPECT_EQ(body["members"][0]["memory"], 1000);
  EXPECT_EQ(body["members"][0]["memory_roles"], 70);
  EXPECT_EQ(body["members"][1]["speed"], 0);
  EXPECT_EQ(body["recoveries"]["count"], 1);
  EXPECT_EQ(body["recoveries"]["last"]["lost"], json::array({"n2"}));
  EXPECT_EQ(body["recoveries"]["last"]["took_ms"], 1.5);
  EXPECT_EQ(body["recoveries"]["last"]["moments_ns"]["served"], 1234);
  EXPECT_TRUE(body["recoveries"]["last"]["moments_ns"]["flowing"].is_null());
  EXPECT_EQ(body["gateway"]["resent"], 9);
  EXPECT_EQ(body["transport"]["frames_sent"], 11);
}

TEST_F(admin_test, only_the_admin_key_opens_admin_routes) {
  restart_in_a_cluster();
  EXPECT_EQ(get("/admin/cluster").status, 401);
  EXPECT_EQ(get("/admin/cluster", "Authorization: Bearer client-key\r\n").status, 401);
  EXPECT_EQ(get("/admin/other", with_key).status, 404);
  EXPECT_EQ(get("/v1/models", with_key).status, 401); // nor does it open the others
}

TEST_F(admin_test, without_an_admin_key_nobody_may) {
  options.admin_keys.clear();
  options.api_keys.clear();
  restart_in_a_cluster();
  const auto response = get("/admin/cluster", with_key);
  EXPECT_EQ(response.status, 403);
  EXPECT_NE(response.body.find("without an admin key"), std::string::npos);
}

TEST_F(admin_test, a_node_of_its_own_has_no_cluster_to_tell_of) {
  const auto response = get("/admin/cluster", with_key);
  EXPECT_EQ(response.status, 404);
  EXPECT_NE(response.body.find("belongs to no cluster"), std::string::npos);
}

TEST_F(admin_test, live_ready_and_progress_are_three_answers) {
  engine.set_serving(false);
  EXPECT_EQ(get("/health/live").status, 200);
  const auto ready = get("/health/ready");
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find("no epoch serves"), std::string::npos);
  EXPECT_EQ(get("/health/progress").status, 200);
  EXPECT_NE(get("/health/progress").body.find("\"idle\""), std::string::npos);
  engine.set_serving(true);
  EXPECT_EQ(get("/health/ready").status, 200);
  engine.set_streams_open(2);
  const json moving = json::parse(get("/health/progress").body);
  EXPECT_EQ(moving["status"], "moving");
  EXPECT_EQ(moving["streams_open"], 2);
  EXPECT_EQ(json::parse(get("/health/progress").body)["status"], "waiting");
  engine.set_healthy(false);
  EXPECT_EQ(get("/health/live").status, 503);
}

} // namespace
} // namespace troupe::server
