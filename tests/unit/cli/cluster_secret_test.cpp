// A secret comes from where only its owner can read it, is long enough, and is never repeated.
#include "cli/cluster_secret.hpp"

#include "cli/private_file.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace troupe::cli {
namespace {

const std::string digits(64, 'a');

class cluster_secret_test : public ::testing::Test {
protected:
  cluster_secret_test() : folder(testing::TempDir() + "troupe_secret_XXXXXX") {
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
  }
  ~cluster_secret_test() override { std::filesystem::remove_all(folder); }

  std::string file(const std::string& content, mode_t mode) {
    const std::string path = folder + "/secret";
    std::ofstream(path) << content;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  std::string folder;
};

TEST_F(cluster_secret_test, digits_mean_the_bytes_they_write_and_text_means_itself) {
  EXPECT_EQ(parse_secret(digits + "\n", "x")->size(), 32u);
  EXPECT_EQ(parse_secret(std::string(40, '!'), "x")->size(), 40u);
  EXPECT_EQ(parse_secret(digits + "0", "x")->size(), 65u); // an odd number of them is a text
}

TEST_F(cluster_secret_test, a_short_one_is_refused_and_not_repeated) {
  for (const std::string& content :
       {std::string(""), std::string("hunter2"), std::string(62, 'b'), std::string(31, '?')}) {
    const auto parsed = parse_secret(content, "the file");
    ASSERT_FALSE(parsed.has_value()) << content.size();
    EXPECT_NE(parsed.error().why().find("the file: the secret has"), std::string::npos);
    EXPECT_TRUE(content.empty() || parsed.error().why().find(content) == std::string::npos);
  }
}

TEST_F(cluster_secret_test, a_file_that_others_can_read_is_refused) {
  EXPECT_TRUE(read_private_file(file(digits, 0600), 100).has_value());
  EXPECT_TRUE(read_private_file(file(digits, 0400), 100).has_value());
  for (const mode_t mode : {0640, 0604, 0620, 0644}) {
    const auto read = read_private_file(file(digits, mode), 100);
    ASSERT_FALSE(read.has_value()) << mode;
    EXPECT_NE(read.error().why().find("chmod 600"), std::string::npos) << read.error().why();
  }
}

TEST_F(cluster_secret_test, what_is_no_file_of_a_size_is_refused) {
  EXPECT_EQ(read_private_file(folder + "/none", 100).error().code(), status_code::not_found);
  EXPECT_NE(read_private_file(folder, 100).error().why().find("not a regular file"),
            std::string::npos);
  EXPECT_NE(read_private_file(file(digits, 0600), 63).error().why().find("larger than 63"),
            std::string::npos);
}

TEST_F(cluster_secret_test, a_new_file_is_private_and_replaces_none) {
  const std::string path = folder + "/new";
  ASSERT_TRUE(write_private_file(path, "x").ok());
  struct stat facts = {};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_FALSE(write_private_file(path, "y").ok());
  EXPECT_EQ(read_private_file(path, 10).value(), "x");
}

} // namespace
} // namespace troupe::cli
