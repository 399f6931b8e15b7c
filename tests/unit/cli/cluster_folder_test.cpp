// A development cluster on disk: made once, found again, with nodes that come and go.
#include "cli/cluster_folder.hpp"

#include "cli/private_file.hpp"
#include "storage/posix_file_system.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <set>

namespace troupe::cli {
namespace {

class cluster_folder_test : public ::testing::Test {
protected:
  cluster_folder_test() : folder(testing::TempDir() + "troupe_folder_XXXXXX") {
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
  }
  ~cluster_folder_test() override { std::filesystem::remove_all(folder); }

  cluster_folder made(new_cluster plan = {}) {
    auto out = cluster_folder::make(files, folder, plan);
    EXPECT_TRUE(out.has_value()) << out.error().why();
    return std::move(*out);
  }
  mode_t mode_of(const std::string& name) {
    struct stat facts = {};
    EXPECT_EQ(::stat((folder + name).c_str(), &facts), 0) << name;
    return facts.st_mode & 07777;
  }

  std::string folder;
  storage::posix_file_system files;
};

TEST_F(cluster_folder_test, holds_a_cluster_file_and_two_secrets) {
  const auto cluster = made({.nodes = 4, .spare = 2, .shard_copies = 3});
  EXPECT_EQ(cluster.cluster().names(),
            (std::vector<std::string>{"n0", "n1", "n2", "n3", "n4", "n5"}));
  EXPECT_EQ(cluster.cluster().voters, 3u);
  EXPECT_EQ(cluster.cluster().shard_copies, 3u);
  EXPECT_EQ(cluster.admin_key().size(), 64u);
  EXPECT_EQ(mode_of("/secret"), 0600u);
  EXPECT_EQ(mode_of("/admin.key"), 0600u);
  EXPECT_NE(read_private_file(folder + "/secret", 100).value(),
            read_private_file(folder + "/admin.key", 100).value());
  const auto again = cluster_folder::open(files, folder);
  ASSERT_TRUE(again.has_value()) << again.error().why();
  EXPECT_EQ(again->admin_key(), cluster.admin_key());
  EXPECT_EQ(again->cluster().secret_file, "secret");
}

TEST_F(cluster_folder_test, no_cluster_is_found_where_none_was_made) {
  const auto none = cluster_folder::open(files, folder);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), status_code::not_found);
  EXPECT_NE(none.error().why().find("troupe cluster up"), std::string::npos);
}

TEST_F(cluster_folder_test, what_cannot_be_is_not_made) {
  const auto refused = cluster_folder::make(files, folder, {.nodes = 2, .voters = 3});
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().why().find("voters is 3"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(cluster_folder_test, listed_nodes_start_where_the_file_says_and_spare_ones_on_free_ports) {
  const auto cluster = made();
  const auto listed = cluster.plan_start("n1", 2).value();
  EXPECT_EQ(listed.http, cluster.cluster().find("n1")->http);
  EXPECT_FALSE(listed.joined);
  EXPECT_TRUE(cluster.plan_start("n4", 2)->joined);
  EXPECT_TRUE(cluster.started().empty());
  const auto unknown = cluster.find("n1");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().why().find("no node called \"n1\" was started"), std::string::npos);
}

TEST_F(cluster_folder_test, notes_of_nodes_are_read_as_written) {
  started_node node;
  node.name = "n4";
  node.joined = true;
  node.listen = "127.0.0.1:1";
  node.http = "127.0.0.1:2";
  node.threads = 3;
  node.process = {77, 12345678901, "boot-1"};
  const auto read = parse_started_node(to_text(node)).value();
  EXPECT_EQ(to_text(read), to_text(node));
  EXPECT_EQ(read.process, node.process);
  for (const std::string& wrong : {std::string(), std::string("name n4\n"), std::string("\0\0", 2),
                                   "name ../x" + to_text(node).substr(7)})
    EXPECT_FALSE(parse_started_node(wrong).has_value()) << wrong;
}

TEST_F(cluster_folder_test, it_is_formed_until_it_has_served) {
  const auto cluster = made();
  EXPECT_FALSE(cluster.has_served());
  EXPECT_TRUE(cluster.note_served().ok());
  EXPECT_TRUE(cluster.note_served().ok());
  EXPECT_TRUE(cluster_folder::open(files, folder)->has_served());
}

TEST(free_ports, are_all_different) {
  const auto ports = free_ports(20).value();
  EXPECT_EQ(std::set<uint16_t>(ports.begin(), ports.end()).size(), 20u);
  EXPECT_FALSE(free_ports(1 << 20).has_value());
}

} // namespace
} // namespace troupe::cli
