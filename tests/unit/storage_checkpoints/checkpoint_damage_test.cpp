// Bytes that change after they were written: found, named, never taken for a checkpoint.
#include "tests/unit/storage_checkpoints/sample_checkpoints.hpp"

#include "schemas/checksum.hpp"

#include <gtest/gtest.h>

#include <array>

namespace troupe::storage {
namespace {

using tests::checkpoint_machine;
using tests::sample;
using tests::state_of;

class checkpoint_damage : public testing::Test {
protected:
  checkpoint_damage() {
    for (const uint64_t step : {1, 2}) write(step);
  }
  void write(uint64_t step) {
    auto store = machine.store();
    const auto state = sample(step);
    ASSERT_TRUE(store.write(state.info(), state.views()).has_value());
  }
  std::vector<std::byte> bytes(const std::string& name) { return *machine.folder().read(name); }
  void put(const std::string& name, std::span<const std::byte> content) {
    ASSERT_TRUE(machine.folder().write(name, content).ok());
  }

  // What is restored is a checkpoint as it was, or nothing; whoever does not get the newest is told
  // of `damaged`. Returns the step, 0: none.
  uint64_t restored(const std::string& damaged) {
    auto store = machine.store();
    std::vector<status> passed;
    const auto found = store.read_newest(passed);
    const uint64_t step = found ? found->manifest.step : 0;
    if (found) {
      EXPECT_EQ(state_of(*found), sample(step));
    }
    EXPECT_EQ(passed.size(), 2 - step);
    for (const auto& why : passed)
      EXPECT_NE(why.why().find(damaged), std::string::npos) << why.why();
    return step;
  }

  checkpoint_machine machine;
};

TEST_F(checkpoint_damage, any_changed_bit_of_any_file_is_found) {
  std::array<size_t, 3> ends = {};
  const auto names = *machine.folder().list();
  for (const auto& name : names) {
    const auto whole = bytes(name);
    for (size_t bit = 0; bit < whole.size() * 8; bit += 3) {
      auto changed = whole;
      changed[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      put(name, changed);
      const uint64_t step = restored(name);
      ++ends[step];
      auto store = machine.store();
      const auto scrubbed = store.scrub();
      ASSERT_TRUE(scrubbed.has_value());
      ASSERT_EQ(scrubbed->damages.size(), 1u) << name << ", bit " << bit;
      EXPECT_NE(scrubbed->damages[0].why().find(name), std::string::npos);
      if (HasFailure()) return;
    }
    put(name, whole);
  }
  EXPECT_GT(ends[0], 100u); // what both share
  EXPECT_GT(ends[1], 100u); // the newest alone
  EXPECT_GT(ends[2], 100u); // the older one alone
}

TEST_F(checkpoint_damage, a_file_cut_off_or_gone_is_found) {
  const auto names = *machine.folder().list();
  for (const auto& name : names) {
    const auto whole = bytes(name);
    for (size_t length = 0; length < whole.size(); length += 7) {
      put(name, std::span(whole).first(length));
      (void)restored(name);
    }
    ASSERT_TRUE(machine.folder().remove(name).ok());
    if (name.starts_with("chunk-")) (void)restored(name);
    put(name, whole);
  }
}

// A write that has gone to another file's place: each is a whole file, only not the one it says.
TEST_F(checkpoint_damage, files_in_each_others_place_are_found) {
  const auto names = *machine.folder().list();
  for (const auto& a : names) {
    for (const auto& b : names) {
      if (a >= b) continue;
      const auto first = bytes(a), second = bytes(b);
      put(a, second);
      put(b, first);
      auto store = machine.store();
      std::vector<status> passed;
      const auto found = store.read_newest(passed);
      if (found) {
        EXPECT_EQ(state_of(*found), sample(found->manifest.step)) << a << ' ' << b;
      }
      EXPECT_FALSE(store.scrub()->damages.empty());
      put(a, first);
      put(b, second);
    }
  }
}

// A shared chunk that has rotted is written anew by the next checkpoint that has its bytes.
TEST_F(checkpoint_damage, a_damaged_chunk_is_healed_by_the_next_write) {
  auto store = machine.store();
  const auto entries = *store.list();
  const auto shared = to_file_name(entries[0].manifest->chunks[0].hash);
  ASSERT_EQ(entries[0].manifest->chunks[0], entries[1].manifest->chunks[0]);
  put(shared, tests::pattern(3, 9));
  EXPECT_EQ(restored(shared), 0u);
  write(3);
  EXPECT_TRUE(machine.store().scrub()->damages.empty());
}

// The same by a process that has trusted the chunk since it wrote it: within a bounded time.
TEST_F(checkpoint_damage, rot_under_a_running_process_is_healed_in_sixteen_writes) {
  auto store = machine.store();
  const auto three = sample(3);
  ASSERT_TRUE(store.write(three.info(), three.views()).has_value());
  const auto shared = to_file_name((*store.list())[0].manifest->chunks[0].hash);
  put(shared, tests::pattern(3, 9));
  for (uint64_t step = 4; step < 4 + 16; ++step) {
    const auto state = sample(step);
    ASSERT_TRUE(store.write(state.info(), state.views()).has_value());
  }
  EXPECT_TRUE(machine.store().scrub()->damages.empty());
}

TEST_F(checkpoint_damage, pruning_does_not_count_what_is_damaged) {
  auto store = machine.store();
  auto entries = *store.list();
  const auto moving = to_file_name(entries[1].manifest->chunks.back().hash); // of step 2 alone
  put(moving, tests::pattern(3, 9));
  auto fresh = machine.store();
  const auto pruned = fresh.prune({.last = 1});
  ASSERT_TRUE(pruned.has_value());
  EXPECT_TRUE(pruned->manifests.empty()) << "step 1 is the last good one";
  EXPECT_EQ(restored(moving), 1u);
}

TEST_F(checkpoint_damage, pruning_stops_at_a_manifest_of_another_version) {
  const auto entries = *machine.store().list();
  auto newer = bytes(entries[1].file);
  newer[16] = std::byte{9}; // its version; the checksum is made right
  const uint64_t sum = schemas::checksum_of(std::span(newer).subspan(16));
  for (size_t i = 0; i < 8; ++i) newer[8 + i] = static_cast<std::byte>(sum >> (8 * i));
  put(entries[1].file, newer);
  const auto before = *machine.folder().list();
  auto store = machine.store();
  const auto pruned = store.prune({.last = 1});
  ASSERT_FALSE(pruned.has_value());
  EXPECT_EQ(pruned.error().code(), status_code::unsupported);
  EXPECT_EQ(*machine.folder().list(), before) << "its chunks may be among what looks unused";
}

} // namespace
} // namespace troupe::storage
