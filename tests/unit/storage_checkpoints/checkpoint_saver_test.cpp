// Writing beside the steps: a copy of the moment, one at a time, and outcomes that are told.
#include "storage/checkpoint_saver.hpp"

#include "storage/posix_io_worker.hpp"
#include "tests/unit/storage_checkpoints/sample_checkpoints.hpp"

#include <gtest/gtest.h>

#include <future>

namespace troupe::storage {
namespace {

using tests::checkpoint_machine;
using tests::sample;
using tests::state_of;

class checkpoint_saver_test : public testing::Test {
protected:
  uint64_t newest() {
    std::vector<status> passed;
    auto fresh = machine.store();
    const auto found = fresh.read_newest(passed);
    if (!found) return 0;
    EXPECT_EQ(state_of(*found), sample(found->manifest.step));
    return found->manifest.step;
  }
  status save(checkpoint_saver& saver, uint64_t step) {
    auto state = sample(step);
    const status saved = saver.save(state.info(), state.views());
    for (auto& [name, bytes] : state.parts) // the next step moves everything
      std::fill(bytes.begin(), bytes.end(), std::byte{0});
    return saved;
  }

  checkpoint_machine machine;
  checkpoint_store store = machine.store();
};

TEST_F(checkpoint_saver_test, writes_the_state_of_the_call_and_prunes) {
  posix_io_worker worker;
  checkpoint_saver saver(store, worker, {.keep = {.last = 2}});
  for (uint64_t step = 1; step <= 5; ++step) ASSERT_TRUE(save(saver, step).ok());
  ASSERT_TRUE(saver.finish().ok());
  const auto outcomes = saver.take_outcomes();
  ASSERT_EQ(outcomes.size(), 5u);
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(outcomes[i].step, i + 1);
    EXPECT_TRUE(outcomes[i].failure.ok());
    EXPECT_EQ(outcomes[i].pruned.manifests.size(), i < 2 ? 0u : 1u);
  }
  EXPECT_TRUE(saver.take_outcomes().empty());
  EXPECT_EQ(newest(), 5u);
  EXPECT_EQ(machine.store().list()->size(), 2u);
}

TEST_F(checkpoint_saver_test, does_not_wait_unless_two_meet) {
  std::promise<void> gate;
  auto opened = gate.get_future().share();
  posix_io_worker worker;
  ASSERT_TRUE(worker
                  .submit(
                      [opened] {
                        opened.wait();
                        return status();
                      },
                      [](const status&) {})
                  .ok());
  checkpoint_saver saver(store, worker, {.keep = {}, .patience = std::chrono::seconds(0)});
  ASSERT_TRUE(save(saver, 1).ok()) << "the disk is busy, and nobody waits for it";
  EXPECT_EQ(saver.waits(), 0u);
  const status second = save(saver, 2);
  EXPECT_EQ(second.code(), status_code::timed_out);
  EXPECT_NE(second.why().find("the checkpoint of step 1 in 0 seconds"), std::string::npos);
  EXPECT_EQ(saver.waits(), 1u);
  gate.set_value();
}

TEST_F(checkpoint_saver_test, tells_of_a_full_disk_and_goes_on) {
  posix_io_worker worker;
  checkpoint_saver saver(store, worker, {});
  ASSERT_TRUE(save(saver, 1).ok());
  ASSERT_TRUE(saver.finish().ok());
  machine.quality().full = true;
  ASSERT_TRUE(save(saver, 2).ok());
  ASSERT_TRUE(saver.finish().ok());
  machine.quality().full = false;
  ASSERT_TRUE(save(saver, 3).ok());
  ASSERT_TRUE(saver.finish().ok());
  const auto outcomes = saver.take_outcomes();
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_TRUE(outcomes[0].failure.ok());
  EXPECT_EQ(outcomes[1].failure.code(), status_code::exhausted);
  EXPECT_TRUE(outcomes[2].failure.ok());
  EXPECT_EQ(newest(), 3u);
}

// A folder with more checkpoints than are to be kept, on a disk without room for another one.
TEST_F(checkpoint_saver_test, makes_room_by_what_is_to_go_in_any_case) {
  for (const uint64_t step : {1, 2}) {
    const auto state = sample(step);
    ASSERT_TRUE(store.write(state.info(), state.views()).has_value());
  }
  class small_disk final : public disk {
  public:
    small_disk(disk& below, size_t files_max) : below_(below), files_max_(files_max) {}
    result<std::vector<std::byte>> read(const std::string& name) override {
      return below_.read(name);
    }
    status write(const std::string& name, std::span<const std::byte> bytes) override {
      if (below_.list()->size() >= files_max_) return {status_code::exhausted, "no space"};
      return below_.write(name, bytes);
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
    size_t files_max_;
  };
  const size_t full = machine.folder().list()->size() + 1;
  for (const size_t keep : {2, 1}) {
    small_disk small(machine.folder(), full);
    checkpoint_store on_it(small, tests::small_chunks);
    posix_io_worker worker;
    checkpoint_saver saver(on_it, worker, {.keep = {.last = keep}});
    ASSERT_TRUE(save(saver, 3).ok());
    ASSERT_TRUE(saver.finish().ok());
    const auto outcomes = saver.take_outcomes();
    EXPECT_EQ(outcomes.at(0).failure.ok(), keep == 1) << outcomes.at(0).failure.why();
    EXPECT_EQ(newest(), keep == 1 ? 3u : 2u);
  }
}

TEST_F(checkpoint_saver_test, says_so_when_the_worker_has_no_room) {
  class full_worker final : public io_worker {
    status submit(job, completion) override { return {status_code::exhausted, "no room"}; }
  } worker;
  checkpoint_saver saver(store, worker, {});
  EXPECT_EQ(save(saver, 1).code(), status_code::exhausted);
  EXPECT_TRUE(saver.finish().ok());
}

} // namespace
} // namespace troupe::storage
