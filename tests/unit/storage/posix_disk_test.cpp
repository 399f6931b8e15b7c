// The disk of the machine, and what it says when it cannot.
#include "storage/posix_disk.hpp"

#include "storage/vote_store.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace troupe::storage {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> bytes_of(std::string_view content) {
  const auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

class posix_disk_test : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "troupe_disk_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    folder_ = root_ / "node" / "data"; // not there yet
  }
  void TearDown() override { fs::remove_all(root_); }

  std::unique_ptr<posix_disk> open() {
    auto disk = posix_disk::open(folder_.string());
    EXPECT_TRUE(disk.has_value()) << disk.error().why();
    return std::move(*disk);
  }

  fs::path root_, folder_;
};

TEST_F(posix_disk_test, keeps_what_is_written) {
  const auto disk = open();
  ASSERT_TRUE(disk->write("a", bytes_of("a longer content")).ok());
  ASSERT_TRUE(disk->write("a", bytes_of("short")).ok());
  ASSERT_TRUE(disk->append("a", bytes_of(" and more")).ok());
  ASSERT_TRUE(disk->append("b", bytes_of("new")).ok());
  ASSERT_TRUE(disk->write("empty", {}).ok());
  EXPECT_TRUE(disk->sync("a").ok());
  EXPECT_TRUE(disk->sync_directory().ok());
  EXPECT_EQ(*disk->read("a"), bytes_of("short and more"));
  EXPECT_EQ(*disk->read("b"), bytes_of("new"));
  EXPECT_TRUE(disk->read("empty")->empty());
  EXPECT_EQ(*disk->list(), (std::vector<std::string>{"a", "b", "empty"}));
}

TEST_F(posix_disk_test, renames_over_and_removes) {
  const auto disk = open();
  ASSERT_TRUE(disk->write("old", bytes_of("1")).ok());
  ASSERT_TRUE(disk->write("new", bytes_of("2")).ok());
  ASSERT_TRUE(disk->rename("new", "old").ok());
  EXPECT_EQ(*disk->read("old"), bytes_of("2"));
  EXPECT_TRUE(disk->remove("old").ok());
  EXPECT_TRUE(disk->list()->empty());
}

TEST_F(posix_disk_test, files_are_for_their_owner_only) {
  const auto disk = open();
  ASSERT_TRUE(disk->write("votes", bytes_of("1")).ok());
  EXPECT_EQ(fs::status(folder_ / "votes").permissions() & fs::perms(077), fs::perms::none);
}

TEST_F(posix_disk_test, what_is_not_there_is_not_found) {
  const auto disk = open();
  const std::string why = (folder_ / "x").string();
  for (const status& said :
       {disk->read("x").error(), disk->sync("x"), disk->rename("x", "y"), disk->remove("x")}) {
    EXPECT_EQ(said.code(), status_code::not_found);
    EXPECT_EQ(said.why().rfind(why + ": cannot ", 0), 0u) << said.why();
    EXPECT_NE(said.why().find("No such file or directory"), std::string::npos) << said.why();
  }
}

TEST_F(posix_disk_test, names_stay_within_the_folder) {
  const auto disk = open();
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("../up"),
        std::string("a/b"), std::string("/etc/passwd"), std::string("a\0b", 3)}) {
    EXPECT_EQ(disk->write(name, {}).code(), status_code::invalid_argument) << name;
    EXPECT_EQ(disk->append(name, {}).code(), status_code::invalid_argument) << name;
    EXPECT_EQ(disk->read(name).error().code(), status_code::invalid_argument) << name;
    EXPECT_EQ(disk->sync(name).code(), status_code::invalid_argument) << name;
    EXPECT_EQ(disk->rename(name, "a").code(), status_code::invalid_argument) << name;
    EXPECT_EQ(disk->rename("a", name).code(), status_code::invalid_argument) << name;
    EXPECT_EQ(disk->remove(name).code(), status_code::invalid_argument) << name;
  }
  EXPECT_TRUE(disk->list()->empty());
}

TEST_F(posix_disk_test, a_folder_has_one_user) {
  auto first = open();
  const auto second = posix_disk::open(folder_.string());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), status_code::unavailable);
  EXPECT_EQ(second.error().why(), folder_.string() + ": another process uses this folder");
  first.reset();
  EXPECT_TRUE(posix_disk::open(folder_.string()).has_value());
}

TEST_F(posix_disk_test, a_full_disk_is_exhausted) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  const auto disk = open();
  fs::create_symlink("/dev/full", folder_ / "votes.new");
  const auto said = vote_store(*disk).store({});
  EXPECT_EQ(said.code(), status_code::exhausted);
  EXPECT_EQ(said.why(),
            (folder_ / "votes.new").string() + ": cannot write: No space left on device");
}

// As after ulimit -f. Ends the process, which would else keep the limit.
void write_more_than_allowed(posix_disk& to) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const status said = to.write("large", std::vector<std::byte>(200));
  std::cerr << said.why();
  std::_Exit(said.code() == status_code::exhausted ? 0 : 1);
}

TEST_F(posix_disk_test, a_file_that_may_not_grow_is_exhausted) {
  const auto disk = open();
  EXPECT_EXIT(write_more_than_allowed(*disk), testing::ExitedWithCode(0),
              "large: cannot write: File too large");
}

TEST_F(posix_disk_test, what_is_no_file_is_unavailable) {
  const auto disk = open();
  fs::create_directory(folder_ / "votes");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(disk->read("votes").error().code(), status_code::unavailable);
  EXPECT_EQ(disk->write("votes", {}).code(), status_code::unavailable);
  EXPECT_EQ(disk->remove("votes").code(), status_code::unavailable);
  EXPECT_EQ(disk->read("pipe").error().why(),
            (folder_ / "pipe").string() + ": is not a regular file");
}

TEST_F(posix_disk_test, a_file_in_place_of_the_folder_is_an_error) {
  fs::create_directories(folder_.parent_path());
  std::ofstream(folder_) << "x";
  const auto disk = posix_disk::open(folder_.string());
  ASSERT_FALSE(disk.has_value());
  EXPECT_NE(disk.error().why().find("Not a directory"), std::string::npos) << disk.error().why();
}

// Root may write anywhere, so another process tries as nobody.
TEST_F(posix_disk_test, a_folder_that_is_read_only_is_said_to_be_so) {
  fs::create_directories(folder_);
  fs::permissions(root_, fs::perms(0755));
  fs::permissions(folder_, fs::perms(0555));
  const auto attempt = [this] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) std::exit(2);
    const auto disk = posix_disk::open(folder_.string());
    if (!disk) std::cerr << disk.error().why() << "\n";
    std::exit(disk.has_value() ? 1 : 0);
  };
  EXPECT_EXIT(attempt(), testing::ExitedWithCode(0),
              "node/data: cannot write in this folder: Permission denied");
  fs::permissions(folder_, fs::perms(0755));
}

TEST_F(posix_disk_test, votes_are_there_after_a_restart) {
  schemas::acceptor_state state;
  state.promised = {.round = 9, .proposer = 2};
  state.value.epoch = 4;
  ASSERT_TRUE(vote_store(*open()).store(state).ok());
  EXPECT_EQ(*vote_store(*open()).load(), state);
  EXPECT_EQ(*open()->list(), (std::vector<std::string>{"votes"}));
}

TEST_F(posix_disk_test, damaged_votes_are_corrupt_by_name) {
  const auto disk = open();
  ASSERT_TRUE(vote_store(*disk).store({}).ok());
  ASSERT_TRUE(disk->append("votes", bytes_of("x")).ok());
  const auto found = vote_store(*disk).load();
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), status_code::corrupt);
  EXPECT_EQ(found.error().why().rfind("votes: the checksum does not match", 0), 0u)
      << found.error().why();
}

} // namespace
} // namespace troupe::storage
