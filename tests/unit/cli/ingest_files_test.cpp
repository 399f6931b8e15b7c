// Files that grow, end in the middle of a line, are renamed, shortened or written anew.
#include "cli/ingest_files.hpp"

#include "storage/ingest_reader.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <unistd.h>

namespace troupe::cli {
namespace {

class ingest_files_test : public ::testing::Test {
protected:
  void SetUp() override {
    folder =
        std::filesystem::temp_directory_path() / ("ingest_files_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    restart();
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  // Another process, which knows the log alone.
  void restart() {
    files.reset();
    log = *storage::ingest_log::open(disk, {.limits = {}}, [] { return uint64_t{0}; });
    files = std::make_unique<ingest_files>(*log, options,
                                           [this](const std::string& line) { said += line; });
  }
  void add(const std::string& name, const std::string& content) {
    std::ofstream(folder / name, std::ios::app) << content;
  }
  void put(const std::string& name, const std::string& content) {
    std::ofstream(folder / name) << content;
  }
  void take(const std::string& name, bool whole = false) {
    const auto taken = files->take((folder / name).string(), whole);
    EXPECT_TRUE(taken.ok()) << taken.why();
  }
  // Texts, or "!" and the text where it could not be read.
  std::string content() {
    storage::ingest_reader reader(disk);
    std::string out;
    for (uint64_t offset = 0;; ++offset) {
      const auto read = reader.read(offset);
      if (!read || !*read) return out;
      out += ((*read)->fault.empty() ? "" : "!") + (*read)->text + ";";
    }
  }

  std::filesystem::path folder;
  storage::crashing_disk disk;
  ingest_file_options options;
  std::unique_ptr<storage::ingest_log> log;
  std::unique_ptr<ingest_files> files;
  std::string said;
};

TEST_F(ingest_files_test, lines_are_taken_once_as_they_come) {
  add("a.jsonl", "{\"text\":\"one\"}\n\n{\"text\":\"t");
  take("a.jsonl");
  take("a.jsonl");
  EXPECT_EQ(content(), "one;");
  add("a.jsonl", "wo\"}\r\n");
  restart();
  take("a.jsonl");
  EXPECT_EQ(content(), "one;two;");
  add("a.jsonl", "{\"text\":\"three\"}");
  take("a.jsonl");
  EXPECT_EQ(content(), "one;two;");
  take("a.jsonl", true);
  EXPECT_EQ(content(), "one;two;three;");
  EXPECT_EQ(said, "");
  storage::ingest_reader reader(disk);
  EXPECT_EQ(reader.read(1)->value().position, 16u);
  EXPECT_EQ(reader.read(1)->value().source, (folder / "a.jsonl").string());
}

TEST_F(ingest_files_test, a_line_that_holds_no_document_is_kept_with_what_is_wrong) {
  put("a.jsonl", "{\"text\":\"one\"}\n{\"txt\":1}\nnonsense\n{\"text\":\"two\"}\n");
  take("a.jsonl");
  EXPECT_EQ(content(), "one;!{\"txt\":1};!nonsense;two;");
  EXPECT_EQ(files->figures().unreadable, 2u);
  storage::ingest_reader reader(disk);
  EXPECT_EQ(reader.read(1)->value().fault, "text is missing; it holds the document");
}

TEST_F(ingest_files_test, a_file_keeps_its_place_under_a_new_name) {
  put("a.jsonl", "{\"text\":\"one\"}\n");
  take("a.jsonl");
  std::filesystem::rename(folder / "a.jsonl", folder / "a.1.jsonl");
  put("a.jsonl", "{\"text\":\"new\"}\n"); // the log writer begins another
  add("a.1.jsonl", "{\"text\":\"two\"}\n");
  restart();
  take("a.1.jsonl");
  take("a.jsonl");
  EXPECT_EQ(content(), "one;two;new;");
  EXPECT_EQ(said, "");
}

TEST_F(ingest_files_test, a_file_that_is_shortened_or_written_anew_is_read_again_and_said_so) {
  put("a.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
  take("a.jsonl");
  put("a.jsonl", "");
  take("a.jsonl");
  take("a.jsonl");
  EXPECT_EQ(said, (folder / "a.jsonl").string() + ": was shortened; read from its beginning");
  add("a.jsonl", "{\"text\":\"anew\"}\n");
  restart();
  take("a.jsonl");
  said.clear();
  put("a.jsonl", "{\"text\":\"four\"}\n{\"text\":\"five\"}\n"); // longer, with other bytes
  take("a.jsonl");
  EXPECT_NE(said.find("was written anew"), std::string::npos);
  EXPECT_EQ(content(), "one;two;anew;four;five;");
}

TEST_F(ingest_files_test, a_text_is_one_document_when_it_rests_or_is_cut_at_its_separators) {
  add("a.txt", "once\n");
  take("a.txt");
  EXPECT_EQ(content(), "");
  add("a.txt", "more");
  take("a.txt");
  EXPECT_EQ(content(), "");
  take("a.txt");
  EXPECT_EQ(content(), "once\nmore;");
  options = {.domain = "tales", .separator = "%%"};
  restart();
  add("b.txt", "one\n%%\ntwo%%%%thr");
  take("b.txt");
  EXPECT_EQ(content(), "once\nmore;one;two;");
  take("b.txt", true);
  EXPECT_EQ(content(), "once\nmore;one;two;thr;");
  storage::ingest_reader reader(disk);
  EXPECT_EQ(reader.read(1)->value().domain, "tales");
}

// Whatever operation of the disk is the last, and wherever the process stops: each line once.
TEST_F(ingest_files_test, every_line_is_taken_once_whenever_the_power_goes) {
  std::string expected;
  for (int at = 0; at < 12; ++at) {
    disk = storage::crashing_disk();
    restart();
    expected.clear();
    std::filesystem::remove(folder / "a.jsonl");
    disk.plan(storage::crashing_disk::trouble::crashes_after, at);
    for (int i = 0; i < 5; ++i) {
      add("a.jsonl", "{\"text\":\"" + std::to_string(i) + "\"}\n");
      expected += std::to_string(i) + ";";
      while (!files->take((folder / "a.jsonl").string(), false).ok()) {
        disk.restart({storage::lost_power::contents::kept, true});
        restart();
      }
    }
    if (disk.crashed()) disk.restart({storage::lost_power::contents::kept, true});
    disk.plan(storage::crashing_disk::trouble::none, 0);
    EXPECT_EQ(content(), expected) << at;
  }
}

TEST_F(ingest_files_test, long_files_are_taken_window_by_window) {
  std::string line = "{\"text\":\"" + std::string(100'000, 'x') + "\"}\n";
  std::string all;
  for (int i = 0; i < 120; ++i) all += line;
  put("a.jsonl", all);
  put("endless.jsonl", std::string((33 << 20), 'y') + "\n" + "{\"text\":\"after\"}\n");
  take("a.jsonl");
  EXPECT_EQ(files->figures().documents, 120u);
  EXPECT_EQ(files->figures().bytes, all.size());
  take("endless.jsonl");
  EXPECT_EQ(files->figures().unreadable, 2u); // the window, and the rest of the line
  EXPECT_EQ(files->figures().documents, 123u);
  EXPECT_TRUE(content().ends_with("after;"));
}

TEST_F(ingest_files_test, what_is_no_file_is_named) {
  EXPECT_EQ(files->take((folder / "none").string(), true).code(), status_code::not_found);
  const auto refused = files->take(folder.string(), true);
  EXPECT_EQ(refused.code(), status_code::invalid_argument);
  EXPECT_EQ(refused.why(), folder.string() + ": is not a regular file");
}

} // namespace
} // namespace troupe::cli
