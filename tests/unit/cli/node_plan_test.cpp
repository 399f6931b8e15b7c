// What a node decides from its settings and the cluster file, and what it refuses.
#include "cli/node.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

cluster_file example() {
  return parse_cluster_file(R"(spare = ["s0", "s1"]
voters = 1
secret_file = "keys/secret"
[[node]]
name = "n0"
address = "10.0.0.1:7000"
http = "10.0.0.1:8000"
[[node]]
name = "n1"
address = "10.0.0.2:7000"
)",
                            "c.toml")
      .value();
}

node_settings named(const std::string& name) {
  node_settings out;
  out.cluster = "/etc/troupe/c.toml";
  out.name = name;
  return out;
}

node_plan planned(const node_settings& settings) {
  return plan_node(settings, example(), "/etc/troupe/c.toml").value();
}

TEST(node_plan, memory_is_what_the_node_is_told_or_else_what_the_file_says) {
  auto cluster = example();
  cluster.nodes[0].memory.bytes = 500;
  auto settings = named("n0");
  EXPECT_EQ(plan_node(settings, cluster, "c.toml")->memory, 500u);
  settings.memory.bytes = 700;
  EXPECT_EQ(plan_node(settings, cluster, "c.toml")->memory, 700u);
  EXPECT_EQ(plan_node(named("n1"), cluster, "c.toml")->memory, 0u);
}

TEST(node_plan, a_listed_node_is_where_the_file_says) {
  const auto plan = planned(named("n0"));
  EXPECT_EQ(plan.self, 0u);
  EXPECT_TRUE(plan.voter);
  EXPECT_EQ(plan.listen, "10.0.0.1:7000");
  EXPECT_EQ(plan.advertise, "10.0.0.1:7000");
  EXPECT_EQ(to_string(plan.http), "10.0.0.1:8000");
  ASSERT_EQ(plan.peers.size(), 1u);
  EXPECT_EQ(plan.peers[0].first, "n1");
  EXPECT_EQ(plan.data_dir, "troupe-data/n0");
  EXPECT_EQ(plan.secret_file, "/etc/troupe/keys/secret");
  EXPECT_TRUE(plan.encrypt);
  EXPECT_FALSE(planned(named("n1")).voter);
}

TEST(node_plan, flags_are_stronger_than_the_file) {
  auto settings = named("n0");
  settings.listen = "0.0.0.0:7001";
  settings.http = "127.0.0.1:0";
  settings.data_dir = "/var/lib/troupe";
  settings.secret_file = "/run/secret";
  const auto plan = planned(settings);
  EXPECT_EQ(plan.listen, "0.0.0.0:7001");
  EXPECT_EQ(plan.advertise, "10.0.0.1:7000"); // still where others find it
  EXPECT_EQ(to_string(plan.http), "127.0.0.1:0");
  EXPECT_EQ(plan.data_dir, "/var/lib/troupe");
  EXPECT_EQ(plan.secret_file, "/run/secret");
}

TEST(node_plan, a_spare_node_listens_on_this_machine_alone_unless_told) {
  auto settings = named("s1");
  EXPECT_EQ(planned(settings).listen, "127.0.0.1:0");
  EXPECT_EQ(planned(settings).self, 3u);
  EXPECT_FALSE(planned(settings).voter);
  settings.listen = "0.0.0.0:7000";
  const auto refused = plan_node(settings, example(), "c.toml");
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().why().find("--advertise"), std::string::npos);
  settings.advertise = "10.0.0.9:7000";
  EXPECT_TRUE(plan_node(settings, example(), "c.toml").has_value());
}

TEST(node_plan, one_that_joins_dials_its_seed) {
  node_settings settings;
  settings.join = "10.0.0.2:7000";
  settings.name = "s0";
  const auto plan = plan_node(settings, example(), settings.join).value();
  ASSERT_EQ(plan.peers.size(), 3u);
  EXPECT_EQ(plan.peers.back(), (std::pair<std::string, std::string>("", "10.0.0.2:7000")));
}

TEST(node_plan, an_unknown_name_is_refused_with_the_nearest) {
  const auto refused = plan_node(named("n2"), example(), "c.toml");
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().why().find("c.toml: no node is called \"n2\"; did you mean n"),
            std::string::npos)
      << refused.error().why();
}

TEST(node_plan, settings_that_cannot_be_are_refused) {
  const auto why = [](auto change) {
    node_settings settings = named("n0");
    change(settings);
    const auto checked = check_node_settings(settings);
    return checked.ok() ? std::string("fine") : checked.why();
  };
  EXPECT_EQ(why([](node_settings&) {}), "fine");
  EXPECT_NE(why([](node_settings& s) { s.cluster.clear(); }).find("--join HOST:PORT"),
            std::string::npos);
  EXPECT_NE(why([](node_settings& s) { s.join = "h:1"; }).find("not both"), std::string::npos);
  EXPECT_NE(why([](node_settings& s) { s.name.clear(); }).find("--name"), std::string::npos);
  EXPECT_NE(why([](node_settings& s) { s.name = "a/b"; }).find("--name is"), std::string::npos);
  EXPECT_NE(why([](node_settings& s) { s.http = "80"; }).find("--http is 80; it must be"),
            std::string::npos);
  EXPECT_NE(why([](node_settings& s) { s.listen = "::1:80"; }).find("--listen"), std::string::npos);
  EXPECT_NE(why([](node_settings& s) { s.transport_encryption = "off"; }).find("--trusted-network"),
            std::string::npos);
  EXPECT_EQ(why([](node_settings& s) {
              s.transport_encryption = "off";
              s.trusted_network = true;
            }),
            "fine");
}

TEST(node_plan, spare_names_are_given_out_first) {
  EXPECT_EQ(free_name(example(), {}).value(), "s0");
  EXPECT_EQ(free_name(example(), {"s0", "n0"}).value(), "s1");
  EXPECT_EQ(free_name(example(), {"s0", "s1", "n0", "visitor-3"}).value(), "n1");
  EXPECT_EQ(free_name(example(), {"s0", "s1", "n0", "n1"}).error().code(), status_code::exhausted);
}

TEST(node_plan, what_all_nodes_share_is_no_flag_of_one) {
  for (const char* name : {"host", "port", "quantize", "kv-memory", "max-running", "page-tokens",
                           "attention-stages", "expert-shards", "kv-eviction", "persist-kv"})
    EXPECT_TRUE(is_of_serve_alone(name)) << name;
  for (const char* name : {"api-key", "drain-timeout", "threads", "actor-threads", "model"})
    EXPECT_FALSE(is_of_serve_alone(name)) << name;
}

} // namespace
} // namespace troupe::cli
