// Finding the model that comes with the program.
#include "cli/built_in_model.hpp"

#include "storage/memory_file_system.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(built_in_model, is_found_in_the_source_tree) {
  storage::memory_file_system files;
  files.put("/home/me/troupe/models/tales/config.json", "{}");
  EXPECT_EQ(*find_built_in_model(files, "/home/me/troupe/build/release/bin/troupe"),
            "/home/me/troupe/models/tales");
}

TEST(built_in_model, is_found_where_it_is_installed) {
  storage::memory_file_system files;
  files.put("/usr/share/troupe/models/tales/config.json", "{}");
  EXPECT_EQ(*find_built_in_model(files, "/usr/bin/troupe"), "/usr/share/troupe/models/tales");
}

TEST(built_in_model, says_where_it_looked) {
  const storage::memory_file_system files;
  const auto found = find_built_in_model(files, "/opt/t/bin/troupe");
  ASSERT_FALSE(found.has_value());
  EXPECT_NE(found.error().why().find("/opt/t/share/troupe/models/tales"), std::string::npos)
      << found.error().why();
  EXPECT_NE(found.error().why().find("--model"), std::string::npos);
}

TEST(built_in_model, the_executable_knows_its_path) {
  EXPECT_TRUE(executable_path().ends_with("/test_cli"));
}

} // namespace
} // namespace troupe::cli
