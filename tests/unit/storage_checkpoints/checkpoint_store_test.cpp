// What is written is found again, and what is the same is written once.
#include "tests/unit/storage_checkpoints/sample_checkpoints.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

using tests::checkpoint_machine;
using tests::sample;
using tests::sample_state;
using tests::state_of;

checkpoint_written write(checkpoint_store& store, const sample_state& state) {
  const auto written = store.write(state.info(), state.views());
  EXPECT_TRUE(written.has_value());
  return written.value_or(checkpoint_written{});
}

TEST(checkpoint_store, what_was_written_is_read) {
  checkpoint_machine machine;
  auto store = machine.store();
  auto state = sample(5);
  auto info = state.info();
  info.score = 1.25;
  const auto written = store.write(info, state.views());
  ASSERT_TRUE(written.has_value());
  EXPECT_EQ(written->bytes, 393u);
  EXPECT_EQ(written->bytes, written->new_bytes);
  auto fresh = machine.store();
  const auto entries = *fresh.list();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].file, written->file);
  const auto found = fresh.read(entries[0]);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(state_of(*found), state);
  EXPECT_EQ(found->manifest.state_hash, 36u);
  EXPECT_EQ(found->manifest.score, 1.25);
  EXPECT_EQ(found->info().settings, info.settings);
}

TEST(checkpoint_store, parts_that_have_not_changed_cost_nothing) {
  checkpoint_machine machine;
  auto store = machine.store();
  write(store, sample(1));
  const auto second = write(store, sample(2));
  EXPECT_EQ(second.bytes, 393u);
  EXPECT_EQ(second.new_bytes, 178u) << "the parts that moved, of 170 and 8 bytes";
  const uint64_t before = machine.calls();
  const auto again = write(store, sample(2));
  EXPECT_EQ(again.new_chunks, 0u);
  EXPECT_LE(machine.calls() - before, 6u) << "a manifest, and a chunk looked at";
}

TEST(checkpoint_store, an_empty_folder_has_no_checkpoint) {
  checkpoint_machine machine;
  auto store = machine.store();
  std::vector<status> passed;
  const auto found = store.read_newest(passed);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), status_code::not_found);
  EXPECT_TRUE(store.list()->empty());
  EXPECT_TRUE(store.prune({}).has_value());
}

TEST(checkpoint_store, prunes_manifests_and_the_chunks_that_only_they_had) {
  checkpoint_machine machine;
  auto store = machine.store();
  for (uint64_t step = 1; step <= 6; ++step) write(store, sample(step));
  ASSERT_TRUE(machine.folder().write("chunk-12.new", {}).ok()); // of a write that was cut short
  ASSERT_TRUE(machine.folder().write("notes.txt", {}).ok());    // somebody's
  const auto pruned = store.prune({.last = 2, .every = 3});
  ASSERT_TRUE(pruned.has_value());
  EXPECT_EQ(pruned->manifests.size(), 3u); // 1, 2 and 4
  EXPECT_EQ(pruned->unfinished, 1u);
  std::vector<uint64_t> left;
  const auto entries = *store.list();
  for (const auto& entry : entries) left.push_back(entry.step);
  EXPECT_EQ(left, (std::vector<uint64_t>{3, 5, 6}));
  const auto scrubbed = store.scrub();
  EXPECT_EQ(scrubbed->orphans, 0u);
  EXPECT_TRUE(scrubbed->damages.empty());
  EXPECT_TRUE(machine.folder().read("notes.txt").has_value());
}

TEST(checkpoint_store, refuses_two_parts_of_one_name) {
  checkpoint_machine machine;
  auto store = machine.store();
  const auto bytes = tests::pattern(10, 1);
  const std::vector<checkpoint_part> parts = {{"a", bytes}, {"a", bytes}};
  const auto written = store.write({.step = 1}, parts);
  ASSERT_FALSE(written.has_value());
  EXPECT_NE(written.error().why().find("part 2, a, is there twice"), std::string::npos);
  EXPECT_TRUE(machine.folder().list()->empty());
}

TEST(checkpoint_store, names_of_manifests_are_read_back_only_as_written) {
  const manifest_name name{.step = 18446744073709551615u, .checksum = 0xab};
  const std::string file = to_file_name(name);
  EXPECT_EQ(file, "manifest-18446744073709551615-00000000000000ab");
  EXPECT_EQ(parse_manifest_name(file)->step, name.step);
  for (const char* wrong :
       {"manifest-", "manifest-1-ab", "manifest-18446744073709551616-00000000000000ab",
        "manifest-00000000000000000001-00000000000000AB",
        "manifest-00000000000000000001-00000000000000ab.new",
        "manifest-0000000000000000000x-00000000000000ab"})
    EXPECT_FALSE(parse_manifest_name(wrong).has_value()) << wrong;
}

} // namespace
} // namespace troupe::storage
