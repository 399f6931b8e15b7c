// What is set aside is there once, whatever broke, and nothing of it is thrown away.
#include "cli/quarantine.hpp"

#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

class quarantine_test : public ::testing::Test {
protected:
  static status put(quarantine& into, uint64_t offset, const std::string& text = "text") {
    const schemas::ingest_document document{.source = "s",
                                            .position = 7,
                                            .id = "i",
                                            .domain = "d",
                                            .text = text,
                                            .fault = {},
                                            .erases = false};
    const dataflow::rejection why{.reason = dataflow::rejection_reason::too_short,
                                  .detail = "2 characters"};
    return into.put({.offset = offset, .document = document, .why = why});
  }
  std::string content(const std::string& name) {
    const auto bytes = disk.read(name);
    if (!bytes) return bytes.error().why();
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }
  static std::string line(uint64_t offset, const std::string& text = "text") {
    return R"({"offset":)" + std::to_string(offset) +
           R"(,"reason":"too_short","detail":"2 characters","source":"s","position":7,"id":"i","domain":"d","text":")" +
           text + "\"}\n";
  }

  storage::crashing_disk disk;
};

TEST_F(quarantine_test, a_run_that_goes_on_adds_what_is_new) {
  quarantine first(disk);
  ASSERT_TRUE(put(first, 3).ok());
  ASSERT_TRUE(put(first, 5).ok());
  ASSERT_TRUE(first.sync().ok());
  quarantine second(disk);
  ASSERT_TRUE(second.resume().ok());
  for (const uint64_t offset : {3u, 5u, 9u}) ASSERT_TRUE(put(second, offset).ok());
  EXPECT_EQ(content("quarantine-1-1.jsonl"), line(3) + line(5) + line(9));
}

TEST_F(quarantine_test, a_run_from_the_beginning_has_files_of_its_own) {
  quarantine first(disk);
  ASSERT_TRUE(put(first, 3).ok());
  quarantine second(disk);
  ASSERT_TRUE(put(second, 1).ok());
  EXPECT_EQ(content("quarantine-1-1.jsonl"), line(3));
  EXPECT_EQ(content("quarantine-2-1.jsonl"), line(1));
}

TEST_F(quarantine_test, what_a_power_cut_has_torn_is_written_again) {
  quarantine first(disk);
  ASSERT_TRUE(put(first, 3).ok());
  ASSERT_TRUE(first.sync().ok());
  ASSERT_TRUE(put(first, 5).ok());
  auto bytes = *disk.read("quarantine-1-1.jsonl");
  bytes.resize(bytes.size() - 4);
  ASSERT_TRUE(disk.write("quarantine-1-1.jsonl", bytes).ok());
  quarantine second(disk);
  ASSERT_TRUE(second.resume().ok());
  ASSERT_TRUE(put(second, 5).ok());
  EXPECT_EQ(content("quarantine-1-1.jsonl"), line(3) + line(5));
}

TEST_F(quarantine_test, what_is_full_says_so_and_loses_nothing) {
  quarantine full(disk, 300);
  ASSERT_TRUE(put(full, 1).ok());
  ASSERT_TRUE(put(full, 2).ok());
  EXPECT_EQ(put(full, 3).code(), status_code::exhausted);
  EXPECT_EQ(content("quarantine-1-1.jsonl"), line(1) + line(2));
}

TEST_F(quarantine_test, bytes_that_are_no_utf8_are_shown_as_such) {
  quarantine into(disk);
  ASSERT_TRUE(put(into, 1, "caf\xE9").ok());
  EXPECT_EQ(content("quarantine-1-1.jsonl"), line(1, "caf\uFFFD"));
}

} // namespace
} // namespace troupe::cli
