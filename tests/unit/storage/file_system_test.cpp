// One suite for every file system: what the seam promises.
#include "storage/memory_file_system.hpp"
#include "storage/posix_file_system.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace troupe::storage {
namespace {

// Gives each implementation the same three files under root().
class posix_fixture {
public:
  posix_fixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe_XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~posix_fixture() { std::filesystem::remove_all(root_); }
  void put(const std::string& name, const std::string& content) {
    const std::filesystem::path path = std::filesystem::path(root_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  const file_system& files() const { return files_; }
  std::string root() const { return root_; }

private:
  posix_file_system files_;
  std::string root_;
};

class memory_fixture {
public:
  void put(const std::string& name, const std::string& content) {
    files_.put("/m/" + name, content);
  }
  const file_system& files() const { return files_; }
  std::string root() const { return "/m"; }

private:
  memory_file_system files_;
};

template <class Fixture>
class file_system_test : public testing::Test {
protected:
  void SetUp() override {
    fixture.put("a.txt", std::string("one\0two", 7));
    fixture.put("empty", "");
    fixture.put("sub/b.txt", "b");
  }
  std::string at(const std::string& name) const { return fixture.root() + "/" + name; }
  Fixture fixture;
};

using fixtures = testing::Types<posix_fixture, memory_fixture>;
TYPED_TEST_SUITE(file_system_test, fixtures);

TYPED_TEST(file_system_test, maps_the_exact_bytes_also_of_an_empty_file) {
  const auto file = this->fixture.files().map(this->at("a.txt"));
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ((*file)->bytes().size(), 7u);
  EXPECT_EQ((*file)->bytes()[3], std::byte{0});
  const auto empty = this->fixture.files().map(this->at("empty"));
  ASSERT_TRUE(empty.has_value());
  EXPECT_TRUE((*empty)->bytes().empty());
}

TYPED_TEST(file_system_test, reads_text_up_to_a_bound) {
  EXPECT_EQ(this->fixture.files().read_text(this->at("a.txt"), 7).value().size(), 7u);
  const auto over = this->fixture.files().read_text(this->at("a.txt"), 6);
  ASSERT_FALSE(over.has_value());
  EXPECT_EQ(over.error().code(), status_code::exhausted);
  EXPECT_NE(over.error().why().find("a.txt: has 7 bytes"), std::string::npos);
}

TYPED_TEST(file_system_test, a_missing_file_is_named) {
  for (const auto& why : {this->fixture.files().map(this->at("no")).error(),
                          this->fixture.files().read_text(this->at("no"), 9).error()}) {
    EXPECT_EQ(why.code(), status_code::not_found);
    EXPECT_NE(why.why().find(this->at("no") + ": cannot open: No such file"), std::string::npos);
  }
  EXPECT_FALSE(this->fixture.files().exists(this->at("no")));
}

TYPED_TEST(file_system_test, a_directory_is_not_a_file) {
  const auto mapped = this->fixture.files().map(this->at("sub"));
  ASSERT_FALSE(mapped.has_value());
  EXPECT_EQ(mapped.error().code(), status_code::invalid_argument);
  EXPECT_FALSE(this->fixture.files().exists(this->at("sub")));
}

TYPED_TEST(file_system_test, lists_names_in_order) {
  EXPECT_EQ(this->fixture.files().list(this->fixture.root()).value(),
            (std::vector<std::string>{"a.txt", "empty", "sub"}));
  EXPECT_EQ(this->fixture.files().list(this->at("no")).error().code(), status_code::not_found);
}

TEST(memory_file_system_test, a_mapping_outlives_the_removal_of_its_file) {
  memory_file_system files;
  files.put("/x", "abc");
  const auto mapped = files.map("/x").value();
  files.remove("/x");
  EXPECT_EQ(mapped->bytes().size(), 3u);
}

} // namespace
} // namespace troupe::storage
