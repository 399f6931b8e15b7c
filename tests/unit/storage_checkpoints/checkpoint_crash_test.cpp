// A crash at every single call of a write, a removal and both together, with everything that a
// disk may make of it; and a disk that is full, fails or lies at every call.
#include "tests/unit/storage_checkpoints/sample_checkpoints.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>

namespace troupe::storage {
namespace {

using simulations::crash_fate;
using tests::all_fates;
using tests::checkpoint_machine;
using tests::sample;
using tests::sample_state;
using tests::state_of;

// Of what a crash tears and reorders; the other fates leave nothing to chance.
uint64_t seeds_of(crash_fate fate) {
  return fate == crash_fate::tear || fate == crash_fate::reorder ? 12 : 1;
}

status write_sample(checkpoint_store& store, uint64_t step) {
  const auto state = sample(step);
  const auto parts = state.views();
  const auto written = store.write(state.info(), parts);
  return written ? status() : written.error();
}

status keep_last(checkpoint_store& store, size_t count) {
  const auto pruned = store.prune({.last = count});
  return pruned ? status() : pruned.error();
}

// Something that a process does with checkpoints 1 and 2 on its disk.
struct errand {
  const char* name;
  std::function<status(checkpoint_store&)> run;
  std::set<uint64_t> newest; // what may be the newest checkpoint if it ends half-way
  uint64_t newest_done;      // and if it does not
  size_t left_done;          // checkpoints then
};

std::vector<errand> errands() {
  return {
      {"write", [](auto& store) { return write_sample(store, 3); }, {2, 3}, 3, 3},
      {"write the same again", [](auto& store) { return write_sample(store, 2); }, {2}, 2, 2},
      {"prune", [](auto& store) { return keep_last(store, 1); }, {2}, 2, 1},
      {"write and prune",
       [](auto& store) {
         TROUPE_RETURN_IF_ERROR(write_sample(store, 3));
         return keep_last(store, 1);
       },
       {2, 3},
       3,
       1},
      {"remove the newest",
       [](auto& store) -> status {
         const auto entries = store.list();
         if (!entries) return entries.error();
         const std::vector<std::string> files{entries->back().file};
         const auto gone = store.remove(files);
         return gone ? status() : gone.error();
       },
       {1, 2},
       1,
       1},
  };
}

void prepare(checkpoint_machine& machine) {
  auto store = machine.store();
  ASSERT_TRUE(write_sample(store, 1).ok());
  ASSERT_TRUE(write_sample(store, 2).ok());
}

// The newest checkpoint, after having looked at it byte by byte.
uint64_t newest_step(checkpoint_store store, std::vector<status>* passed = nullptr) {
  std::vector<status> damaged;
  const auto found = store.read_newest(damaged);
  if (passed != nullptr) *passed = damaged;
  if (!found) {
    ADD_FAILURE() << found.error().why();
    return 0;
  }
  EXPECT_EQ(state_of(*found), sample(found->manifest.step)) << "a mix";
  return found->manifest.step;
}

// And then it is done once more and ends well.
void expect_goes_on(checkpoint_machine& machine, const errand& what) {
  auto store = machine.store();
  if (what.newest_done == 1 && newest_step(machine.store()) == 1) return; // was removed already
  ASSERT_TRUE(what.run(store).ok());
  EXPECT_EQ(newest_step(machine.store()), what.newest_done);
  ASSERT_TRUE(keep_last(store, 1).ok());
  const auto scrubbed = store.scrub();
  ASSERT_TRUE(scrubbed.has_value());
  EXPECT_EQ(scrubbed->checkpoints, 1u);
  EXPECT_TRUE(scrubbed->damages.empty());
  EXPECT_EQ(scrubbed->orphans, 0u);
  EXPECT_EQ(machine.folder().list()->size(), 1 + scrubbed->chunks) << "something is left over";
}

TEST(checkpoint_crash, at_every_call_leaves_the_old_or_the_new_checkpoint) {
  for (const auto& what : errands()) {
    for (const auto fate : all_fates) {
      for (uint64_t seed = 0; seed < seeds_of(fate); ++seed) {
        uint64_t call = 1;
        for (bool died = true; died; ++call) {
          SCOPED_TRACE(testing::Message() << what.name << ", fate " << static_cast<int>(fate)
                                          << ", seed " << seed << ", call " << call);
          checkpoint_machine machine(seed);
          prepare(machine);
          machine.die_at(call);
          auto store = machine.store();
          const bool done = what.run(store).ok();
          died = machine.restart(fate);
          ASSERT_NE(done, died);
          const uint64_t newest = newest_step(machine.store());
          EXPECT_TRUE(done ? newest == what.newest_done : what.newest.contains(newest)) << newest;
          // Nothing that is listed is broken: an honest disk needs no checksum.
          auto after = machine.store();
          const auto scrubbed = after.scrub();
          ASSERT_TRUE(scrubbed.has_value());
          EXPECT_TRUE(scrubbed->damages.empty()) << scrubbed->damages.front().why();
          if (done) {
            EXPECT_EQ(scrubbed->checkpoints, what.left_done);
          }
          expect_goes_on(machine, what);
          if (testing::Test::HasFailure()) return;
        }
        ASSERT_GT(call, 5u) << what.name << " is more calls than that";
      }
    }
  }
}

// The first checkpoint of all: nothing or it.
TEST(checkpoint_crash, at_every_call_of_the_first_write_leaves_it_or_nothing) {
  for (const auto fate : all_fates) {
    for (uint64_t seed = 0; seed < seeds_of(fate); ++seed) {
      bool died = true;
      for (uint64_t call = 1; died; ++call) {
        checkpoint_machine machine(seed);
        machine.die_at(call);
        auto store = machine.store();
        const bool done = write_sample(store, 1).ok();
        died = machine.restart(fate);
        auto after = machine.store();
        std::vector<status> passed;
        const auto found = after.read_newest(passed);
        EXPECT_TRUE(found ? state_of(*found) == sample(1)
                          : !done && found.error().code() == status_code::not_found);
        EXPECT_TRUE(passed.empty());
        EXPECT_TRUE(write_sample(after, 1).ok());
        EXPECT_EQ(newest_step(machine.store()), 1u);
      }
    }
  }
}

// What syncs only in words loses the new checkpoint; that shows, and the old one is found.
TEST(checkpoint_crash, a_lying_disk_is_found_out_and_the_older_checkpoint_used) {
  size_t fell_back = 0, seen_damaged = 0;
  for (const bool folder_lies : {false, true}) {
    for (const auto fate : all_fates) {
      for (uint64_t seed = 0; seed < 3 * seeds_of(fate); ++seed) {
        SCOPED_TRACE(testing::Message() << "folder " << folder_lies << ", fate "
                                        << static_cast<int>(fate) << ", seed " << seed);
        checkpoint_machine machine(seed);
        prepare(machine);
        machine.quality().sync_lies = true;
        machine.quality().sync_directory_lies = folder_lies;
        auto store = machine.store();
        ASSERT_TRUE(write_sample(store, 3).ok());
        machine.restart(fate);
        machine.quality() = {};
        std::vector<status> passed;
        const uint64_t newest = newest_step(machine.store(), &passed);
        EXPECT_TRUE(newest == 2 || newest == 3) << newest;
        if (fate == crash_fate::keep_all) {
          EXPECT_EQ(newest, 3u);
        }
        fell_back += newest == 2 ? 1 : 0;
        for (const auto& why : passed) {
          ++seen_damaged;
          EXPECT_NE(why.why().find("manifest-00000000000000000003-"), std::string::npos)
              << why.why();
        }
        // Written again it is whole, whatever lay there under the names of its chunks.
        auto after = machine.store();
        ASSERT_TRUE(write_sample(after, 3).ok());
        machine.restart(crash_fate::drop_unsynced);
        EXPECT_EQ(newest_step(machine.store()), 3u);
      }
    }
  }
  EXPECT_GT(fell_back, 30u);
  EXPECT_GT(seen_damaged, 10u);
}

// A disk whose n-th change and all later ones find no space, half of the bytes being written.
class filling_disk final : public disk {
public:
  filling_disk(disk& below, uint64_t room) : below_(below), room_(room) {}
  bool was_full() const { return was_full_; }

  result<std::vector<std::byte>> read(const std::string& name) override {
    return below_.read(name);
  }
  status write(const std::string& name, std::span<const std::byte> bytes) override {
    if (room_ > 0) return --room_, below_.write(name, bytes);
    was_full_ = true;
    EXPECT_TRUE(below_.write(name, bytes.first(bytes.size() / 2)).ok());
    return {status_code::exhausted, name + ": no space"};
  }
  status append(const std::string& name, std::span<const std::byte> bytes) override {
    return below_.append(name, bytes);
  }
  status sync(const std::string& name) override { return below_.sync(name); }
  status rename(const std::string& from, const std::string& to) override {
    return below_.rename(from, to);
  }
  status remove(const std::string& name) override { return below_.remove(name); }
  status sync_directory() override { return below_.sync_directory(); }
  result<std::vector<std::string>> list() override { return below_.list(); }

private:
  disk& below_;
  uint64_t room_;
  bool was_full_ = false;
};

TEST(checkpoint_crash, a_disk_full_at_any_write_leaves_what_was_there) {
  for (uint64_t room = 0;; ++room) {
    checkpoint_machine machine;
    prepare(machine);
    const auto before = *machine.folder().list();
    filling_disk full(machine.folder(), room);
    checkpoint_store store(full, tests::small_chunks);
    const status written = write_sample(store, 3);
    if (!full.was_full()) {
      EXPECT_TRUE(written.ok());
      EXPECT_GT(room, 3u);
      return;
    }
    EXPECT_EQ(written.code(), status_code::exhausted) << room;
    EXPECT_NE(written.why().find("checkpoint of step 3: "), std::string::npos) << written.why();
    EXPECT_EQ(*machine.folder().list(), before) << "room for " << room << " writes";
    EXPECT_EQ(newest_step(machine.store()), 2u);
    auto later = machine.store();
    EXPECT_TRUE(write_sample(later, 3).ok()) << "when there is space again";
    EXPECT_EQ(newest_step(machine.store()), 3u);
  }
}

TEST(checkpoint_crash, a_disk_that_fails_now_and_then_does_not_lose_a_checkpoint) {
  size_t failed = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    checkpoint_machine machine(seed);
    prepare(machine);
    machine.quality().write_error_ppm = 100'000;
    machine.quality().read_error_ppm = 50'000;
    auto store = machine.store();
    uint64_t newest = 2;
    for (uint64_t step = 3; step < 8; ++step) {
      if (write_sample(store, step).ok())
        newest = step;
      else
        ++failed;
      (void)keep_last(store, 2).ok(); // may fail as it likes
    }
    machine.restart(crash_fate::drop_unsynced);
    machine.quality() = {};
    EXPECT_GE(newest_step(machine.store()), newest) << seed;
  }
  EXPECT_GT(failed, 100u);
}

} // namespace
} // namespace troupe::storage
