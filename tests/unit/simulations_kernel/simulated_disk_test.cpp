// The disk: what is there after each fate of a crash, and each way a call can fail.
#include "simulations/seams/simulated_disk.hpp"

#include "simulations/seams/disk_image.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;

std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> out;
  for (const char c : text) out.push_back(static_cast<std::byte>(c));
  return out;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  std::string out;
  for (const auto b : bytes) out += b == std::byte{0} ? '0' : static_cast<char>(b);
  return out;
}

class simulated_disk_test : public testing::Test {
protected:
  explicit simulated_disk_test(uint64_t seed = 1)
      : w({.seed = seed, .machines = 1, .strategy = {}}), kept(w, 0) {
    start();
  }
  void start() {
    w.at(0).boot();
    disk = kept.open();
    worker = kept.worker();
  }
  void crash(crash_fate fate) {
    w.at(0).crash();
    kept.crash(fate);
    start();
  }
  void write(const std::string& name, std::string_view text) {
    EXPECT_TRUE(disk->write(name, bytes_of(text)).ok());
  }
  void append(const std::string& name, std::string_view text) {
    EXPECT_TRUE(disk->append(name, bytes_of(text)).ok());
  }
  void make_durable(const std::string& name) {
    EXPECT_TRUE(disk->sync(name).ok());
    EXPECT_TRUE(disk->sync_directory().ok());
  }
  std::string read(const std::string& name) {
    const auto got = disk->read(name);
    return got ? text_of(*got) : "<none>";
  }
  void run() { w.run(w.now() + std::chrono::seconds(1), 10'000, {}); }

  world w;
  simulated_disk kept;
  std::unique_ptr<storage::disk> disk;
  std::unique_ptr<storage::io_worker> worker;
};

TEST_F(simulated_disk_test, gives_back_what_was_written) {
  write("b", "hello");
  append("b", " world");
  append("a", "new");
  EXPECT_EQ(read("b"), "hello world");
  EXPECT_EQ(disk->list().value(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(disk->rename("b", "a").ok());
  EXPECT_EQ(read("a"), "hello world");
  EXPECT_TRUE(disk->remove("a").ok());
  EXPECT_TRUE(disk->list()->empty());
  EXPECT_TRUE(kept.empty());
  EXPECT_EQ(kept.writes(), 5u);
}

TEST_F(simulated_disk_test, says_which_file_is_missing) {
  for (const auto code : {disk->read("x").error().code(), disk->sync("x").code(),
                          disk->rename("x", "y").code(), disk->remove("x").code()})
    EXPECT_EQ(code, status_code::not_found);
}

TEST_F(simulated_disk_test, keeps_everything_when_the_fate_is_kind) {
  write("a", "one");
  crash(crash_fate::keep_all);
  EXPECT_EQ(read("a"), "one");
}

TEST_F(simulated_disk_test, drops_bytes_and_names_that_were_not_synced) {
  write("a", "one");
  make_durable("a");
  write("a", "two");
  write("bytes", "synced");
  EXPECT_TRUE(disk->sync("bytes").ok()); // but not its name
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(disk->list().value(), std::vector<std::string>{"a"});
  EXPECT_EQ(read("a"), "one");
}

TEST_F(simulated_disk_test, a_name_without_synced_bytes_is_an_empty_file) {
  write("a", "one");
  EXPECT_TRUE(disk->sync_directory().ok());
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("a"), "");
}

TEST_F(simulated_disk_test, a_rename_needs_its_directory_synced) {
  write("new", "two");
  write("a", "one");
  make_durable("a");
  make_durable("new");
  EXPECT_TRUE(disk->rename("new", "a").ok());
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("a"), "one");
  EXPECT_TRUE(disk->rename("new", "a").ok());
  EXPECT_TRUE(disk->sync_directory().ok());
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("a"), "two");
  EXPECT_EQ(disk->list().value(), std::vector<std::string>{"a"});
}

TEST_F(simulated_disk_test, lies_when_it_is_told_to) {
  kept.quality().sync_lies = true;
  write("a", "one");
  make_durable("a");
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("a"), "");
  kept.quality().sync_directory_lies = true;
  write("b", "one");
  make_durable("b");
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("b"), "<none>");
}

// All that a fate can leave of: "a" holds "old", then write "new!", append "++", rename "a" to "b".
std::set<std::string> outcomes(crash_fate fate) {
  std::set<std::string> seen;
  for (uint64_t n = 0; n < 2000; ++n) {
    disk_image image;
    image.write("a", bytes_of("old"));
    image.sync("a");
    image.sync_directory();
    image.write("a", bytes_of("new!"));
    image.append("a", bytes_of("++"));
    image.rename("a", "b");
    image.crash(fate, [n](uint64_t i) {
      return random_block({n, random_subsystem::faults, 1}, i);
    });
    std::string found;
    for (const auto& name : image.names()) found += name + "=" + text_of(*image.find(name)) + " ";
    seen.insert(found);
  }
  return seen;
}

TEST(disk_image_test, a_torn_crash_keeps_a_beginning_of_what_was_done) {
  EXPECT_EQ(outcomes(crash_fate::tear),
            (std::set<std::string>{"a= ", "a=n ", "a=ne ", "a=new ", "a=new! ", "a=new!+ ",
                                   "a=new!++ ", "b=new!++ ", "a=old "}));
}

TEST(disk_image_test, a_reordering_crash_keeps_any_of_it) {
  const auto seen = outcomes(crash_fate::reorder);
  for (const char* expected : {"a=old ", "b=old ", "b=new! ", "a=old0++ ", "b=ne00++ ", "b=new!+ "})
    EXPECT_TRUE(seen.contains(expected)) << expected;
  EXPECT_TRUE(outcomes(crash_fate::keep_all) == std::set<std::string>{"b=new!++ "});
  EXPECT_TRUE(outcomes(crash_fate::drop_unsynced) == std::set<std::string>{"a=old "});
}

TEST_F(simulated_disk_test, a_full_disk_takes_nothing_more) {
  write("a", "one");
  kept.quality().full = true;
  EXPECT_EQ(disk->append("a", bytes_of("x")).code(), status_code::exhausted);
  EXPECT_EQ(read("a"), "one");
  EXPECT_EQ(disk->write("a", bytes_of("x")).code(), status_code::exhausted);
  EXPECT_EQ(read("a"), "");
}

TEST_F(simulated_disk_test, fails_at_the_rate_it_is_told) {
  write("a", "some bytes");
  kept.quality().write_error_ppm = kept.quality().read_error_ppm = 200'000;
  int reads = 0, writes = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto got = disk->read("a");
    EXPECT_TRUE(got || got.error().code() == status_code::unavailable);
    reads += !got;
    writes += !disk->write("b", bytes_of("bytes")).ok();
  }
  EXPECT_NEAR(reads, 200, 60);
  EXPECT_NEAR(writes, 200, 60);
}

TEST_F(simulated_disk_test, rots_one_bit_for_good) {
  EXPECT_EQ(kept.rot(), "");
  write("empty", "");
  write("a", "aaaaaaaa");
  EXPECT_EQ(kept.rot(), "a");
  const std::string rotten = read("a");
  EXPECT_NE(rotten, "aaaaaaaa");
  make_durable("a");
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("a"), rotten);
  EXPECT_EQ(kept.rot(), "a");
  EXPECT_NE(read("a"), rotten);
}

TEST_F(simulated_disk_test, misdirects_the_bytes_of_two_files) {
  write("a", "one");
  EXPECT_EQ(kept.misdirect(), "");
  write("b", "two");
  EXPECT_NE(kept.misdirect(), "");
  EXPECT_EQ(read("a") + read("b"), "twoone");
  make_durable("a");
  make_durable("b");
  crash(crash_fate::drop_unsynced);
  EXPECT_EQ(read("a") + read("b"), "twoone");
}

TEST_F(simulated_disk_test, a_wiped_disk_is_empty) {
  write("a", "one");
  make_durable("a");
  kept.wipe();
  EXPECT_TRUE(kept.empty());
}

TEST_F(simulated_disk_test, the_worker_does_jobs_in_order_and_takes_time) {
  std::vector<int> done;
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(worker
                    ->submit([this, i] { return disk->append("a", bytes_of(std::to_string(i))); },
                             [&, i](const status& s) { done.push_back(s.ok() ? i : -1); })
                    .ok());
  EXPECT_TRUE(done.empty());
  const auto before = w.now();
  w.run(time_point::max(), 1000, {});
  EXPECT_EQ(done, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(read("a"), "01234");
  EXPECT_GT(w.now() - before, std::chrono::microseconds(50));
}

TEST_F(simulated_disk_test, a_stalled_disk_goes_on_when_it_is_over) {
  kept.quality().stalled = true;
  int done = 0;
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(worker->submit([] { return status(); }, [&](const status&) { ++done; }).ok());
  run();
  EXPECT_EQ(done, 0);
  kept.quality().stalled = false;
  run();
  EXPECT_EQ(done, 2);
}

TEST_F(simulated_disk_test, a_crash_drops_jobs_and_voids_the_process_disk) {
  auto held = std::make_shared<int>(0);
  EXPECT_TRUE(worker->submit([held] { return status(); }, [](const status&) { FAIL(); }).ok());
  auto old_disk = std::move(disk);
  auto old_worker = std::move(worker);
  crash(crash_fate::keep_all);
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(old_disk->write("a", {}).code(), status_code::unavailable);
  EXPECT_EQ(old_disk->list().error().code(), status_code::unavailable);
  EXPECT_EQ(old_worker->submit([] { return status(); }, [](const status&) {}).code(),
            status_code::unavailable);
  run();
  EXPECT_TRUE(kept.empty());
}

TEST_F(simulated_disk_test, refuses_more_jobs_than_may_wait) {
  for (int i = 0; i < 1024; ++i)
    EXPECT_TRUE(worker->submit([] { return status(); }, [](const status&) {}).ok());
  EXPECT_EQ(worker->submit([] { return status(); }, [](const status&) {}).code(),
            status_code::exhausted);
}

// The walk that a protocol's test makes: write, sync, rename, sync the directory, and die before
// each of these calls, with each fate. What is read afterwards is the old bytes or the new ones.
TEST_F(simulated_disk_test, dies_at_any_call_that_is_asked_for) {
  write("a", "old");
  make_durable("a");
  std::set<std::string> seen;
  for (uint64_t point = 1; point <= 4; ++point) {
    for (const auto fate :
         {crash_fate::keep_all, crash_fate::drop_unsynced, crash_fate::tear, crash_fate::reorder}) {
      write("a", "old");
      make_durable("a");
      bool finished = false, crashed = false;
      kept.die_at_call(kept.calls() + point, [&, fate] {
        crashed = true;
        crash(fate);
      });
      const auto replace = [this] {
        for (const status& s : {disk->write("t", bytes_of("new")), disk->sync("t"),
                                disk->rename("t", "a"), disk->sync_directory()})
          if (!s.ok()) return s;
        return status();
      };
      EXPECT_TRUE(worker->submit(replace, [&](const status&) { finished = true; }).ok());
      run();
      EXPECT_TRUE(crashed);
      EXPECT_FALSE(finished);
      seen.insert(read("a"));
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old", "new"}));
}

} // namespace
} // namespace troupe::simulations
