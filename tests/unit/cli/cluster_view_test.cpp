// Pages of nodes become one picture, also when some do not answer or know less than others.
#include "cli/cluster_view.hpp"

#include "actors/cluster_picture.hpp"
#include "cli/http_get.hpp"
#include "server/admin.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

actors::cluster_picture picture(const std::string& self, uint64_t epoch, bool serving) {
  actors::cluster_picture out;
  out.self = self;
  out.incarnation = 5;
  out.epoch = epoch;
  out.serving = serving;
  out.majority = true;
  out.members.resize(2);
  out.members[0].name = "n0";
  out.members[0].present = out.members[0].serving = out.members[0].connected = true;
  out.members[0].roles = {"sequencer/0", "kv_cache_manager/0", "expert_shard/0", "expert_shard/2"};
  out.members[1].name = "n1";
  out.members[1].present = out.members[1].serving = out.members[1].connected = true;
  out.members[1].roles = {"attention_stage/1", "gating_router/1"};
  return out;
}

node_view answered(const actors::cluster_picture& from, uint64_t tokens = 0) {
  actors::engine_metrics engine;
  engine.expert_tokens = {{1, 2}, {3, 4}};
  engine.generated_tokens = tokens;
  engine.pages_total = 100;
  node_view out;
  out.name = from.self;
  out.url = "http://127.0.0.1:1";
  auto answer = parse_node_answer(server::cluster_json({from, engine, 6}));
  EXPECT_TRUE(answer.has_value()) << answer.error().why();
  out.answer = std::move(*answer);
  return out;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(cluster_view, reads_what_a_node_tells) {
  auto from = picture("n0", 9, true);
  from.recoveries = 2;
  from.last_recovery.emplace();
  from.last_recovery->lost = {"n1"};
  from.last_recovery->took = std::chrono::milliseconds(35);
  from.last_recovery->wall_seconds = 1000;
  const auto view = answered(from, 70);
  EXPECT_EQ(view.answer->epoch, 9u);
  EXPECT_EQ(view.answer->streams_open, 6u);
  EXPECT_EQ(view.answer->generated_tokens, 70u);
  EXPECT_EQ(view.answer->last_lost, std::vector<std::string>{"n1"});
  EXPECT_EQ(view.answer->last_took_ms, 35.0);
  EXPECT_EQ(view.answer->members[1].roles.size(), 2u);
  EXPECT_EQ(state_of(view), "serving");
}

TEST(cluster_view, shows_speed_memory_and_load_per_shard) {
  auto from = picture("n0", 9, true);
  from.members[0].speed = 8 * 30;
  from.members[1].speed = 8 * 29;
  from.members[0].memory = uint64_t{4} << 30;
  from.members[0].memory_roles = uint64_t{1} << 30;
  from.shards = {{"n0"}, {"n1", "n0"}};
  from.shard_rows = {10, 70};
  cluster_view view;
  view.nodes = {answered(from)};
  EXPECT_EQ(view.nodes[0].answer->members[0].speed, 1073u);
  const std::string top = top_text(view, nullptr);
  EXPECT_TRUE(has(top, "100%")) << top;
  EXPECT_TRUE(has(top, "49%") || has(top, "50%")) << top;
  EXPECT_TRUE(has(top, "1.00 GiB/4.00 GiB") || has(top, "1 GiB/4 GiB") ||
              has(top, "1.0 GiB/4.0 GiB"))
      << top;
  EXPECT_TRUE(has(top, "  1  70  ########################  n1 n0")) << top;
  EXPECT_FALSE(has(top, "no room"));
  from.no_room = "5 bytes are missing in all";
  view.nodes = {answered(from)};
  EXPECT_TRUE(has(top_text(view, nullptr), "no room: 5 bytes are missing in all\n"));
  EXPECT_TRUE(has(status_text(view), "no room: 5 bytes are missing in all\n"));
}

TEST(cluster_view, refuses_what_is_no_page) {
  for (const char* wrong : {"", "{}", "[]", "{\"self\":5}", "<html>"})
    EXPECT_FALSE(parse_node_answer(wrong).has_value()) << wrong;
}

TEST(cluster_view, believes_the_node_that_serves_the_latest_epoch) {
  cluster_view view;
  EXPECT_EQ(view.newest(), nullptr);
  EXPECT_TRUE(has(status_text(view), "no node answers"));
  view.nodes = {answered(picture("n0", 8, true)), answered(picture("n1", 9, true)),
                answered(picture("n2", 10, false))};
  EXPECT_EQ(view.newest()->self, "n1");
}

TEST(cluster_view, says_how_every_node_is) {
  auto node = answered(picture("n0", 1, true));
  node.answer->draining = true;
  EXPECT_EQ(state_of(node), "draining");
  node.answer->drained = true;
  EXPECT_EQ(state_of(node), "drained");
  node.answer->gave_up = "because";
  EXPECT_EQ(state_of(node), "gave up");
  node = answered(picture("n0", 1, false));
  EXPECT_EQ(state_of(node), "waiting");
  node.answer->majority = false;
  EXPECT_EQ(state_of(node), "cut off");
  node.answer.reset();
  EXPECT_EQ(state_of(node), "silent");
  node.ended = true;
  EXPECT_EQ(state_of(node), "ended");
}

TEST(cluster_view, tables_have_roles_in_few_words_and_problems_in_full) {
  cluster_view view;
  node_view silent;
  silent.name = "n1";
  silent.problem = "connection refused";
  view.nodes = {answered(picture("n0", 4, true)), silent};
  const std::string text = status_text(view);
  EXPECT_TRUE(has(text, "epoch 4 serves; 2 nodes take part, 2 of them work")) << text;
  EXPECT_TRUE(has(text, "sequencer, shards 0,2")) << text;
  EXPECT_TRUE(has(text, "connection refused")) << text;
  const std::string json = status_json(view);
  EXPECT_TRUE(has(json, "\"state\": \"silent\"")) << json;
  EXPECT_TRUE(has(json, "\"attention_stage/1\"")) << json; // as the others know it
}

TEST(cluster_view, top_counts_between_two_looks_of_the_same_life) {
  cluster_view before, now;
  before.nodes = {answered(picture("n0", 4, true), 100)};
  now.nodes = {answered(picture("n0", 4, true), 150)};
  now.taken = before.taken + std::chrono::milliseconds(500);
  EXPECT_TRUE(has(top_text(now, &before), "100.0"));
  EXPECT_TRUE(has(top_text(now, &before), "stage 1")); // n1, which nobody has asked
  EXPECT_TRUE(has(top_text(now, &before), "load per expert, all layers: 10 rows"));
  before.nodes[0].answer->incarnation = 4;
  EXPECT_FALSE(has(top_text(now, &before), "100.0"));
}

TEST(http_get, reads_answers_and_refuses_what_is_none) {
  const auto answer = parse_http_answer("HTTP/1.1 503 Busy\r\nA: b\r\n\r\nbody\r\n\r\nrest");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "body\r\n\r\nrest");
  for (const char* wrong :
       {"", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 2x0 \r\n\r\n", "HTTP/1.1\r\n\r\n"})
    EXPECT_FALSE(parse_http_answer(wrong).has_value()) << wrong;
}

TEST(http_get, says_when_nobody_is_there) {
  const system_clock time;
  const auto nobody = http_get(time, {.server = {"127.0.0.1", 1}, .path = "/"});
  ASSERT_FALSE(nobody.has_value());
  EXPECT_TRUE(has(nobody.error().why(), "127.0.0.1:1: cannot connect")) << nobody.error().why();
  EXPECT_FALSE(http_get(time, {.server = {"no.such.name", 1}, .path = "/"}).has_value());
}

} // namespace
} // namespace troupe::cli
