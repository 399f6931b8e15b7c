// The log of ingest: every document that was promised is there once, whatever broke and whoever
// asked again; damage is named, and room is made only of what was learnt from.
#include "storage/ingest_log.hpp"

#include "storage/ingest_commit.hpp"
#include "storage/ingest_reader.hpp"
#include "storage/ingest_segment.hpp"
#include "storage/posix_disk.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include <unistd.h>

namespace troupe::storage {
namespace {

using trouble = crashing_disk::trouble;

schemas::ingest_batch batch(uint64_t sequence, size_t documents = 2, size_t bytes = 60) {
  schemas::ingest_batch out{
      .client = "c", .sequence = sequence, .mark = 0, .begins_anew = false, .documents = {}};
  for (size_t i = 0; i < documents; ++i)
    out.documents.push_back(
        {.source = "test",
         .position = i,
         .id = {},
         .domain = {},
         .text = std::to_string(sequence) + "." + std::to_string(i) + std::string(bytes, 'x'),
         .fault = {},
         .erases = false});
  return out;
}

class ingest_log_test : public ::testing::Test {
protected:
  result<std::unique_ptr<ingest_log>> try_open() {
    return ingest_log::open(folder, options, [this] { return committed; });
  }
  std::unique_ptr<ingest_log> open() {
    auto made = try_open();
    EXPECT_TRUE(made.has_value()) << made.error().why();
    return std::move(*made);
  }
  static result<ingest_receipt> append(ingest_log& log, const schemas::ingest_batch& what) {
    auto receipts = log.append(std::span(&what, 1));
    if (!receipts) return fail(receipts.error());
    return receipts->front();
  }
  // The beginnings of all texts, in order.
  std::string content(uint64_t from = 0) {
    ingest_reader reader(folder);
    std::string out;
    for (uint64_t offset = from;; ++offset) {
      const auto read = reader.read(offset);
      if (!read) return out + read.error().why();
      if (!*read) return out;
      out += (*read)->text.substr(0, (*read)->text.find('x')) + " ";
    }
  }

  crashing_disk folder;
  uint64_t committed = 0;
  ingest_log_options options{.bytes_max = 1 << 20, .segment_bytes = 1200, .limits = {}};
};

TEST_F(ingest_log_test, documents_keep_their_offsets_across_restarts) {
  std::string expected;
  for (uint64_t i = 1; i <= 20; ++i) {
    const auto log = open();
    const auto receipt = append(*log, batch(i));
    ASSERT_TRUE(receipt.has_value());
    EXPECT_EQ(receipt->first, 2 * (i - 1));
    EXPECT_EQ(receipt->count, 2u);
    EXPECT_FALSE(receipt->repeated);
    expected += std::to_string(i) + ".0 " + std::to_string(i) + ".1 ";
    EXPECT_EQ(content(), expected);
    EXPECT_EQ(log->counters().end, 2 * i);
  }
  EXPECT_GT(folder.list()->size(), 3u);
  EXPECT_EQ(content(37), "19.1 20.0 20.1 ");
}

TEST_F(ingest_log_test, what_was_kept_is_not_kept_again) {
  auto log = open();
  ASSERT_TRUE(append(*log, batch(5)).has_value());
  for (int restart = 0; restart < 2; ++restart) {
    const auto again = append(*log, batch(5));
    EXPECT_TRUE(again->repeated);
    EXPECT_EQ(again->first, 0u);
    EXPECT_EQ(again->count, 2u);
    EXPECT_TRUE(append(*log, batch(4))->repeated);
    log = open();
  }
  auto anew = batch(1);
  anew.begins_anew = true;
  EXPECT_FALSE(append(*log, anew)->repeated);
  EXPECT_FALSE(append(*log, batch(2))->repeated);
  auto nobody = batch(0);
  nobody.client = "";
  EXPECT_FALSE(append(*log, nobody)->repeated);
  EXPECT_FALSE(append(*log, nobody)->repeated);
  EXPECT_EQ(content(), "5.0 5.1 1.0 1.1 2.0 2.1 0.0 0.1 0.0 0.1 ");
}

TEST_F(ingest_log_test, several_batches_wait_for_the_disk_once) {
  const auto log = open();
  const std::vector<schemas::ingest_batch> batches = {batch(1), batch(1), batch(2), batch(3)};
  folder.plan(trouble::none, 0);
  const auto receipts = log->append(batches);
  ASSERT_TRUE(receipts.has_value());
  EXPECT_EQ(folder.operations(), 4); // write, sync, rename, sync of the folder
  EXPECT_TRUE((*receipts)[1].repeated);
  EXPECT_EQ((*receipts)[1].first, 0u);
  EXPECT_EQ((*receipts)[3].first, 4u);
  EXPECT_EQ(content(), "1.0 1.1 2.0 2.1 3.0 3.1 ");
}

// A client sends six batches and repeats each until it hears that it was kept. Whatever operation
// fails or is the last before the power goes, and whatever of the unsynced bytes is left, every
// document is in the log once, and the reader never saw anything else.
TEST_F(ingest_log_test, every_document_is_there_once_whichever_operation_breaks) {
  int broken = 0;
  for (const auto what : {trouble::fails, trouble::crashes_before, trouble::crashes_after}) {
    for (const auto bytes :
         {lost_power::contents::lost, lost_power::contents::torn, lost_power::contents::kept}) {
      for (const bool names_kept : {false, true}) {
        for (int at = 0;; ++at) {
          folder = crashing_disk();
          auto log = open();
          folder.plan(what, at);
          ingest_reader reader(folder);
          std::vector<std::string> seen;
          const auto look = [&] {
            for (;;) {
              const auto read = reader.read(seen.size());
              if (!read || !*read) return;
              seen.push_back((*read)->text);
            }
          };
          bool hit = false;
          for (uint64_t i = 1; i <= 6; ++i) {
            for (int attempt = 0;; ++attempt) {
              ASSERT_LT(attempt, 4);
              const auto receipt = append(*log, batch(i));
              look();
              if (receipt) break;
              hit = true;
              if (!folder.crashed()) continue;
              folder.restart({bytes, names_kept});
              log = open();
            }
          }
          const bool beyond = !hit && folder.operations() <= at;
          if (folder.crashed()) {
            folder.restart({bytes, names_kept});
            log = open();
          }
          folder.plan(trouble::none, 0);
          look();
          ASSERT_EQ(content(), "1.0 1.1 2.0 2.1 3.0 3.1 4.0 4.1 5.0 5.1 6.0 6.1 ")
              << static_cast<int>(what) << " at " << at;
          ASSERT_EQ(seen.size(), 12u);
          for (size_t i = 0; i < seen.size(); ++i)
            ASSERT_EQ(seen[i], batch(i / 2 + 1).documents[i % 2].text);
          broken += hit ? 1 : 0;
          if (beyond) break;
        }
      }
    }
  }
  EXPECT_GT(broken, 100);
}

TEST_F(ingest_log_test, a_torn_end_is_cut_off_at_any_byte) {
  for (size_t cut = 1; cut < 400; cut += 7) {
    folder = crashing_disk();
    auto log = open();
    ASSERT_TRUE(append(*log, batch(1)).has_value());
    const std::string name = ingest_segment_name(0);
    const auto before = folder.read(name)->size();
    ASSERT_TRUE(append(*log, batch(2)).has_value());
    auto bytes = *folder.read(name);
    if (before + cut >= bytes.size()) break;
    bytes.resize(before + cut);
    ASSERT_TRUE(folder.write(name, bytes).ok());
    log = open();
    EXPECT_EQ(log->counters().torn_bytes, cut);
    EXPECT_EQ(folder.read(name)->size(), before);
    ASSERT_TRUE(append(*log, batch(2)).has_value());
    EXPECT_EQ(content(), "1.0 1.1 2.0 2.1 ");
  }
}

TEST_F(ingest_log_test, damage_to_what_was_finished_is_refused_by_name) {
  auto log = open();
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(append(*log, batch(i)).has_value());
  const std::string name = ingest_segment_name(0);
  const auto whole = *folder.read(name);
  for (size_t i = 0; i < whole.size() * 2 / 3; i += 5) {
    auto bytes = whole;
    bytes[i] ^= std::byte{4};
    ASSERT_TRUE(folder.write(name, bytes).ok());
    const auto opened = try_open();
    ASSERT_FALSE(opened.has_value()) << i;
    EXPECT_NE(opened.error().why().find(name), std::string::npos);
    EXPECT_NE(content().find(name), std::string::npos) << i;
  }
}

TEST_F(ingest_log_test, room_is_made_only_of_what_was_learnt_from) {
  options.bytes_max = 4000;
  auto log = open();
  uint64_t kept = 0;
  while (append(*log, batch(kept + 1))) ++kept;
  EXPECT_GT(kept, 5u);
  EXPECT_EQ(append(*log, batch(kept + 1)).error().code(), status_code::exhausted);
  EXPECT_EQ(log->counters().full, 2u);
  EXPECT_LE(log->counters().bytes, options.bytes_max);

  committed = 2 * kept;
  EXPECT_TRUE(append(*log, batch(kept + 1)).has_value());
  EXPECT_GT(log->counters().begin, 0u);
  EXPECT_NE(content().find("document 0 has gone from the log"), std::string::npos);
  log = open(); // clients are remembered though the segments with their batches are gone
  EXPECT_EQ(log->counters().end, 2 * (kept + 1));
  EXPECT_TRUE(append(*log, batch(1))->repeated);
}

TEST_F(ingest_log_test, a_batch_beyond_the_limits_is_refused) {
  options.limits.batch_bytes_max = 500;
  const auto log = open();
  EXPECT_EQ(append(*log, batch(1, 2, 600)).error().code(), status_code::invalid_argument);
  EXPECT_TRUE(append(*log, batch(1, 1, 60)).has_value());
}

TEST_F(ingest_log_test, clients_beyond_the_bound_are_forgotten_the_oldest_first) {
  options.limits.clients_max = 3;
  const auto log = open();
  for (const char* const name : {"a", "b", "c", "a", "d"}) {
    auto each = batch(log->counters().end + 1, 1);
    each.client = name;
    ASSERT_TRUE(append(*log, each).has_value());
  }
  EXPECT_FALSE(log->find_client("b").has_value());
  EXPECT_EQ(log->find_client("a")->first, 3u);
  EXPECT_EQ(log->counters().clients_forgotten, 1u);
}

TEST_F(ingest_log_test, another_process_reads_what_is_written) {
  const auto path =
      std::filesystem::temp_directory_path() / ("ingest_log_" + std::to_string(::getpid()));
  std::filesystem::remove_all(path);
  {
    auto disk = posix_disk::open(path);
    ASSERT_TRUE(disk.has_value());
    auto other = posix_disk::open_to_read(path);
    ASSERT_TRUE(other.has_value());
    ingest_reader reader(**other);
    EXPECT_EQ(reader.end().value(), 0u);
    auto log = ingest_log::open(**disk, options, [] { return uint64_t{0}; });
    ASSERT_TRUE(log.has_value());
    for (uint64_t i = 1; i <= 30; ++i) {
      ASSERT_TRUE(append(**log, batch(i, 1)).has_value());
      ASSERT_EQ(reader.read(i - 1)->value().text, batch(i, 1).documents[0].text);
      ASSERT_FALSE(reader.read(i)->has_value());
      ASSERT_EQ(reader.end().value(), i);
    }
    EXPECT_EQ(reader.read(3)->value().text, batch(4, 1).documents[0].text);
  }
  std::filesystem::remove_all(path);
}

TEST_F(ingest_log_test, how_far_was_learnt_is_old_or_new) {
  EXPECT_EQ(read_ingest_commit(folder).value(), 0u);
  ASSERT_TRUE(write_ingest_commit(folder, 5).ok());
  for (int at = 0; at < 4; ++at) {
    folder.plan(trouble::crashes_before, at);
    EXPECT_FALSE(write_ingest_commit(folder, 6).ok());
    folder.restart({lost_power::contents::torn, false});
    EXPECT_EQ(read_ingest_commit(folder).value(), 5u);
  }
  ASSERT_TRUE(write_ingest_commit(folder, 6).ok());
  EXPECT_EQ(read_ingest_commit(folder).value(), 6u);
  ASSERT_TRUE(folder.write("committed", {}).ok());
  EXPECT_EQ(read_ingest_commit(folder).error().code(), status_code::corrupt);
}

} // namespace
} // namespace troupe::storage
