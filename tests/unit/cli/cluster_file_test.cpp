// What a cluster file may say, what it means, and how what it may not say is refused.
#include "cli/cluster_file.hpp"

#include "cli/host_port.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

constexpr const char* three_nodes = R"([[node]]
name = "n0"
address = "127.0.0.1:7101"
[[node]]
name = "n1"
address = "127.0.0.1:7102"
http = "127.0.0.1:8002"
[[node]]
name = "n2"
address = "[::1]:7103"
)";

std::string why(const std::string& toml) {
  const auto parsed = parse_cluster_file(toml, "c.toml");
  return parsed ? "fine" : parsed.error().why();
}
std::string at_the_top(const std::string& lines) {
  return lines + "\n" + three_nodes;
}

TEST(cluster_file, three_nodes_are_enough_and_the_rest_has_defaults) {
  const auto parsed = parse_cluster_file(three_nodes, "c.toml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
  EXPECT_EQ(parsed->names(), (std::vector<std::string>{"n0", "n1", "n2"}));
  EXPECT_EQ(parsed->find("n1")->http, "127.0.0.1:8002");
  EXPECT_EQ(parsed->find("n3"), nullptr);
  EXPECT_EQ(parsed->voters, 3u);
  EXPECT_EQ(parsed->shard_copies, 2u);
  EXPECT_EQ(parsed->timing.timing().report_every, dataflow::cluster_timing().report_every);
  const auto layout = layout_of(*parsed, 6, 16);
  EXPECT_TRUE(dataflow::validate(layout).ok());
  EXPECT_EQ(layout.shards, 3u);
  EXPECT_EQ(layout_of(*parsed, 6, 2).shards, 2u); // no more than experts
}

TEST(cluster_file, the_state_is_kept_by_votes_or_in_etcd) {
  EXPECT_TRUE(parse_cluster_file(three_nodes, "c.toml")->votes());
  EXPECT_FALSE(parse_cluster_file(at_the_top("coordination = \"etcd://h:1\""), "c.toml")->votes());
  EXPECT_EQ(why(at_the_top("coordination = \"zookeeper\"")).find("c.toml:1:"), 0u);
  EXPECT_NE(why(at_the_top("coordination = \"etcd://\"")).find("coordination is"),
            std::string::npos);
}

TEST(cluster_file, everything_can_be_said_and_is_written_back) {
  const std::string all = at_the_top(R"(cluster = "tales"
model = "/models/with \"quotes\""
quantize = "int8"
coordination = "etcd://127.0.0.1:2379,[::1]:2380/tales"
voters = 1
stages = 2
shards = 5
shard_copies = 3
shard_copies_max = 4
secret_file = "secret"
spare = ["s0", "s1"])") + R"(
[timing]
report_every_ms = 50
suspect_phi = 6
pause_allowed_ms = 700
step_max_ms = 9000
rebalance_every_ms = 0
[engine]
max_model_len = 1024
kv-memory = "64M"
prefix_cache = false
)";
  const auto first = parse_cluster_file(all, "c.toml");
  ASSERT_TRUE(first.has_value()) << first.error().why();
  EXPECT_EQ(first->secret_file, "secret");
  EXPECT_EQ(first->engine.kv_memory.bytes, uint64_t{64} << 20);
  EXPECT_EQ(first->timing.timing().pause_allowed, std::chrono::milliseconds(700));

  const std::string text = render_cluster_file(*first);
  const auto again = parse_cluster_file(text, "again.toml");
  ASSERT_TRUE(again.has_value()) << again.error().why() << "\n" << text;
  EXPECT_EQ(render_cluster_file(*again), text);
  EXPECT_EQ(again->names(), first->names());
  EXPECT_EQ(again->model, first->model);
  EXPECT_EQ(again->quantize, "int8");
  EXPECT_EQ(again->voters, 1u);
  EXPECT_EQ(again->stages, 2u);
  EXPECT_EQ(again->shards, 5u);
  EXPECT_EQ(again->shard_copies, 3u);
  EXPECT_EQ(again->shard_copies_max, 4u);
  EXPECT_EQ(layout_of(*again, 8, 8).shard_copies_max, 4u);
  EXPECT_EQ(again->timing.timing().rebalance_every, duration(0));
  EXPECT_EQ(again->timing.suspect_phi, 6u);
  EXPECT_EQ(again->timing.step_max_ms, 9000u);
  EXPECT_EQ(again->engine.max_model_len, 1024u);
  EXPECT_FALSE(again->engine.prefix_cache);
  EXPECT_EQ(again->secret_file, ""); // means something on one machine only
}

TEST(cluster_file, names_what_is_wrong_and_where) {
  const std::string node = "[[node]]\nname = \"n9\"\naddress = \"h:1\"\n";
  const struct {
    std::string toml, message;
  } cases[] = {
      {"", "c.toml:1:1: there is no node; each is written as a [[node]] table"},
      {"cluster = ", "c.toml:1:"},
      {at_the_top("voterz = 1"),
       "c.toml:1:1: voterz is no setting of a cluster file; did you mean voters?"},
      {at_the_top("nodes = 3"),
       "c.toml:1:1: nodes is no setting of a cluster file; did you mean node?"},
      {at_the_top("stages = 0"), "c.toml:1:10: stages is \"0\"; it must be from 1 to 1024"},
      {at_the_top("stages = [1]"), "c.toml:1:10: stages takes one value, not a list"},
      {at_the_top("stages = 1979-05-27"),
       "c.toml:1:10: stages must be a number, a text, true or false"},
      {at_the_top("voters = 4"), "c.toml:1:1: voters is 4; there are 3 nodes"},
      {at_the_top("spare = [\"n1\"]"), "c.toml:1:1: two nodes are named \"n1\""},
      {at_the_top("spare = [\"../n\"]"), "c.toml:1:1: name is \"../n\"; it may have"},
      {at_the_top("cluster = \"a b\""), "c.toml:1:1: cluster is \"a b\"; it may have"},
      {at_the_top("quantize = \"int9\""),
       "c.toml:1:12: quantize is \"int9\"; it must be one of none|f32|bf16|f16|int8|int4; did you "
       "mean int8?"},
      {"node = 3", "c.toml:1:8: nodes are written as tables that begin with [[node]]"},
      {"[[node]]\naddress = \"h:1\"\n", "c.toml:1:1: this node has no name"},
      {"[[node]]\nname = \"n\"\n", "c.toml:1:1: node n has no address"},
      {"[[node]]\nname = \"n\"\nadress = \"h:1\"\n",
       "c.toml:3:1: adress is no setting of [[node]]; did you mean address?"},
      {"[[node]]\nname = \"n\"\naddress = \"h\"\n",
       "c.toml:1:1: address of node n is \"h\"; it must be HOST:PORT"},
      {"[[node]]\nname = \"n\"\naddress = \"h:0\"\n",
       "c.toml:1:1: address of node n is \"h:0\"; the others must know its port"},
      {"[[node]]\nname = \"n\"\naddress = \"h:70000\"\n",
       "c.toml:1:1: address of node n is \"h:70000\"; it must be HOST:PORT with a port from 0"},
      {"[[node]]\nname = \"n\"\naddress = \"h:1\"\nhttp = \"x\"\n",
       "c.toml:1:1: http of node n is \"x\"; it must be HOST:PORT"},
      {node + "[[node]]\nname = \"m\"\naddress = \"h:1\"\n",
       "c.toml:4:1: h:1 is used twice, also in line 1"},
      {node + node, "c.toml:4:1: two nodes are named \"n9\"; the other one is in line 1"},
      {node + "[timing]\nreport_every = 5\n",
       "c.toml:5:1: report_every is no setting of [timing]; did you mean report_every_ms?"},
      {node + "[timing]\nreport_every_ms = 0\n", "[timing]: report_every is 0 ns"},
      {node + "[timing]\nsilence_max_ms = 10\n", "[timing]: silence_max is"},
      {node + "[timing]\nsuspect_phi = 17\n",
       "c.toml:5:15: suspect_phi is \"17\"; it must be from 1 to 16"},
      {node + "[engine]\nexpert_shards = 2\n",
       "c.toml:5:1: expert_shards is no setting of [engine]"},
      {node + "[engine]\nkv_memory = \"lots\"\n", "c.toml:5:13: kv_memory is \"lots\"; it must be"},
      {node + "timing = 5\n", "c.toml:4:1: timing is no setting of [[node]]"},
      {"timing = 5\n" + node, "c.toml:1:10: timing must be a table: [timing]"},
  };
  for (const auto& [toml, message] : cases)
    EXPECT_NE(why(toml).find(message), std::string::npos) << toml << "\nsays: " << why(toml);
}

TEST(host_port, is_read_as_people_write_it) {
  EXPECT_EQ(to_string(parse_host_port("[::1]:80").value()), "[::1]:80");
  EXPECT_EQ(parse_host_port("[::1]:80")->host, "::1");
  EXPECT_EQ(parse_host_port("example.org:65535")->port, 65535);
  for (const char* wrong : {"", "80", ":80", "h:", "h:-1", "h:65536", "h:8x", "::1:80", "[::1]",
                            "[]:80", "http://h:80", "h :80"})
    EXPECT_FALSE(parse_host_port(wrong).has_value()) << wrong;
}

} // namespace
} // namespace troupe::cli
