// The journal of requests: bounds, crashes at every point, damage, disks that are full or slow, and
// what other nodes send.
#include "storage/request_journal.hpp"

#include "storage/posix_disk.hpp"
#include "storage/posix_io_worker.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include <unistd.h>

namespace troupe::storage {
namespace {

using trouble = crashing_disk::trouble;

class fixed_clock final : public clock {
public:
  time_point now() const override { return {}; }
  int64_t wall_seconds() const override { return seconds; }
  std::atomic<int64_t> seconds = 1'000'000;
};

// Does its jobs at once, on the caller's thread, or keeps them for later.
class direct_worker final : public io_worker {
public:
  status submit(job work, completion done) override {
    if (refuses) return status(status_code::exhausted, "too many jobs");
    if (!holds) {
      done(work());
      return {};
    }
    held.push_back([work = std::move(work), done = std::move(done)] { done(work()); });
    return {};
  }
  void release() {
    holds = false;
    for (auto& job : std::exchange(held, {})) job();
  }

  bool refuses = false;
  bool holds = false;
  std::vector<std::function<void()>> held;
};

journaled_request request(int number, size_t body_bytes = 100) {
  journaled_request out;
  out.response_id = "cmpl-" + std::to_string(number);
  out.path = "/v1/completions";
  out.body = std::string(body_bytes, static_cast<char>('a' + number % 26));
  out.nonce = static_cast<uint64_t>(number) + 7;
  out.created = 1'000'000;
  return out;
}

class request_journal_test : public ::testing::Test {
protected:
  std::unique_ptr<request_journal> open() {
    auto made = request_journal::open(folder, worker, time, options);
    EXPECT_TRUE(made.has_value()) << made.error().why();
    return std::move(*made);
  }
  static kept_in put(request_journal& journal, const journaled_request& entry) {
    kept_in out = kept_in::none;
    journal.put(entry, [&out](kept_in where) { out = where; });
    return out;
  }
  static bool has(request_journal& journal, int number) {
    const auto found = journal.find("cmpl-" + std::to_string(number));
    return found.entries.size() == 1 && found.entries[0]->body == request(number).body;
  }

  crashing_disk folder;
  direct_worker worker;
  fixed_clock time;
  journal_options options;
};

TEST_F(request_journal_test, entries_outlive_the_process) {
  for (int i = 0; i < 50; ++i) {
    const auto journal = open();
    EXPECT_EQ(put(*journal, request(i)), kept_in::disk);
    for (int j = 0; j <= i; ++j) ASSERT_TRUE(has(*journal, j)) << j;
  }
  folder.restart({lost_power::contents::lost, false}); // nothing of it was only in the page cache
  const auto journal = open();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(has(*journal, i)) << i;
  EXPECT_FALSE(journal->find("cmpl-50").gone);
  EXPECT_EQ(journal->counters().unreadable_bytes, 0u);
}

TEST_F(request_journal_test, without_a_disk_they_live_in_memory) {
  request_journal journal(time, options);
  EXPECT_EQ(put(journal, request(1)), kept_in::memory);
  EXPECT_TRUE(has(journal, 1));
}

// Every operation of the disk while three entries are written, with every kind of loss.
TEST_F(request_journal_test, after_a_crash_everything_that_was_promised_is_there) {
  for (const auto what : {trouble::crashes_before, trouble::crashes_after, trouble::fails}) {
    for (const auto bytes :
         {lost_power::contents::lost, lost_power::contents::torn, lost_power::contents::kept}) {
      for (const bool names : {false, true}) {
        bool happened = true;
        for (int at = 0; happened; ++at) {
          SCOPED_TRACE(at);
          crashing_disk disk;
          std::vector<bool> promised;
          {
            const auto journal = request_journal::open(disk, worker, time, options).value();
            ASSERT_EQ(put(*journal, request(0)), kept_in::disk);
            disk.plan(what, at);
            for (int i = 1; i < 4; ++i)
              promised.push_back(put(*journal, request(i)) == kept_in::disk);
            happened = at < disk.operations();
            for (int i = 0; i < 4; ++i) EXPECT_TRUE(has(*journal, i)) << "in memory in any case";
          }
          disk.restart({bytes, names});
          const auto journal = request_journal::open(disk, worker, time, options).value();
          EXPECT_TRUE(has(*journal, 0));
          for (int i = 1; i < 4; ++i) EXPECT_TRUE(has(*journal, i) || !promised[i - 1]) << i;
          EXPECT_EQ(put(*journal, request(9)), kept_in::disk) << "and it goes on";
        }
      }
    }
  }
}

TEST_F(request_journal_test, a_torn_end_costs_only_what_was_torn) {
  { // one segment of three entries
    const auto journal = open();
    for (int i = 0; i < 3; ++i) put(*journal, request(i));
  }
  const auto name = folder.list()->at(0);
  const auto whole = *folder.read(name);
  const size_t record = (whole.size() - 16) / 3;
  for (size_t length = 0; length < whole.size(); ++length) {
    ASSERT_TRUE(folder.write(name, std::span(whole).first(length)).ok());
    crashing_disk copy;
    ASSERT_TRUE(copy.write(name, std::span(whole).first(length)).ok());
    const auto journal = request_journal::open(copy, worker, time, options).value();
    const size_t complete = length < 16 ? 0 : (length - 16) / record;
    EXPECT_EQ(journal->counters().entries, complete) << length;
    for (size_t i = 0; i < complete; ++i) EXPECT_TRUE(has(*journal, static_cast<int>(i)));
    EXPECT_EQ(put(*journal, request(5)), kept_in::disk);
    const auto again = request_journal::open(copy, worker, time, options).value();
    EXPECT_EQ(again->counters().entries, complete + 1) << length;
  }
}

TEST_F(request_journal_test, a_flipped_bit_never_changes_an_entry) {
  {
    const auto journal = open();
    for (int i = 0; i < 3; ++i) put(*journal, request(i, 20));
  }
  const auto name = folder.list()->at(0);
  const auto whole = *folder.read(name);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto bytes = whole;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    crashing_disk copy;
    ASSERT_TRUE(copy.write(name, bytes).ok());
    const auto journal = request_journal::open(copy, worker, time, options).value();
    EXPECT_GT(journal->counters().unreadable_bytes, 0u) << bit;
    for (int i = 0; i < 3; ++i)
      for (const auto& entry : journal->find("cmpl-" + std::to_string(i)).entries)
        EXPECT_EQ(entry->body, request(i, 20).body) << bit;
  }
}

TEST_F(request_journal_test, bytes_on_the_disk_and_in_memory_are_bounded) {
  options.bytes_max = 64 << 10;
  const auto journal = open();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(put(*journal, request(i, 50 + i * 37 % 3000)), kept_in::disk);
    const auto now = journal->counters();
    ASSERT_LE(now.segment_bytes, options.bytes_max);
    ASSERT_LE(now.entry_bytes, options.bytes_max / 2);
    uint64_t there = 0;
    const auto names = *folder.list();
    for (const auto& name : names) there += folder.read(name)->size();
    ASSERT_EQ(there, now.segment_bytes);
    ASSERT_LE(names.size(), 20u);
  }
  const auto before = journal->counters();
  EXPECT_GT(before.evicted, 0u);
  EXPECT_TRUE(journal->find("cmpl-1999").entries.size() == 1);
  EXPECT_TRUE(journal->find("cmpl-0").gone);
  // What is kept is on the disk, wherever it was moved to meanwhile.
  std::vector<bool> kept;
  for (int i = 0; i < 2000; ++i)
    kept.push_back(!journal->find("cmpl-" + std::to_string(i)).entries.empty());
  folder.restart({lost_power::contents::lost, false});
  const auto again = open();
  for (int i = 0; i < 2000; ++i) {
    if (kept[i]) {
      EXPECT_EQ(again->find("cmpl-" + std::to_string(i)).entries.size(), 1u) << i;
    }
  }
}

TEST_F(request_journal_test, the_number_of_entries_is_bounded_and_what_is_finished_goes_first) {
  options.entries_max = 3;
  const auto journal = open();
  for (int i = 0; i < 3; ++i) put(*journal, request(i));
  journal->finish("cmpl-1", request(1).nonce);
  put(*journal, request(3));
  EXPECT_TRUE(has(*journal, 0) && has(*journal, 2) && has(*journal, 3));
  EXPECT_TRUE(journal->find("cmpl-1").gone);
  put(*journal, request(4));
  EXPECT_TRUE(journal->find("cmpl-0").gone) << "nothing is finished: the oldest";
  EXPECT_EQ(journal->counters().evicted, 2u);
}

TEST_F(request_journal_test, what_is_too_old_is_gone_also_after_a_restart) {
  options.age_max_s = 100;
  {
    const auto journal = open();
    put(*journal, request(1));
    time.seconds += 60;
    put(*journal, request(2));
    time.seconds += 40;
    EXPECT_TRUE(journal->find("cmpl-1").gone);
    EXPECT_TRUE(has(*journal, 2));
    EXPECT_EQ(journal->counters().expired, 1u);
  }
  const auto journal = open();
  EXPECT_TRUE(journal->find("cmpl-1").gone);
  EXPECT_TRUE(has(*journal, 2));
  time.seconds += 60;
  EXPECT_TRUE(journal->find("cmpl-2").gone);
  EXPECT_TRUE(open()->find("cmpl-2").gone);
  EXPECT_TRUE(folder.list()->empty()) << "segments that nobody needs are removed";
}

TEST_F(request_journal_test, one_name_may_be_used_again_but_not_without_end) {
  const auto journal = open();
  for (uint64_t i = 0; i < 40; ++i) {
    auto entry = request(1);
    entry.nonce = i;
    put(*journal, entry);
  }
  const auto found = journal->find("cmpl-1");
  ASSERT_EQ(found.entries.size(), requests_of_one_id_max);
  for (size_t i = 0; i < found.entries.size(); ++i)
    EXPECT_EQ(found.entries[i]->nonce, 39 - i) << "the newest first";
}

TEST_F(request_journal_test, a_request_that_is_asked_again_is_kept_once) {
  const auto journal = open();
  put(*journal, request(1));
  const auto before = journal->counters();
  EXPECT_EQ(put(*journal, request(1)), kept_in::disk);
  EXPECT_EQ(journal->counters().segment_bytes, before.segment_bytes);
  EXPECT_EQ(journal->counters().entries, 1u);
}

TEST_F(request_journal_test, a_request_larger_than_its_share_is_refused) {
  options.bytes_max = 10000;
  const auto journal = open();
  EXPECT_EQ(put(*journal, request(1, 2600)), kept_in::none);
  EXPECT_EQ(put(*journal, request(2, 100)), kept_in::disk);
  EXPECT_EQ(journal->counters().refused, 1u);
  EXPECT_TRUE(journal->find("cmpl-1").entries.empty());
}

TEST_F(request_journal_test, a_disk_that_fails_costs_durability_alone_and_leaves_nothing_behind) {
  const auto journal = open();
  ASSERT_EQ(put(*journal, request(0)), kept_in::disk);
  for (int i = 1; i < 30; ++i) {
    folder.plan(trouble::fails, i % 2);
    EXPECT_EQ(put(*journal, request(i)), kept_in::memory) << i;
    EXPECT_TRUE(has(*journal, i));
    folder.plan(trouble::none, 0);
    EXPECT_LE(folder.list()->size(), 2u) << i;
  }
  EXPECT_EQ(put(*journal, request(30)), kept_in::disk);
  EXPECT_EQ(journal->counters().write_failures, 29u);
  EXPECT_TRUE(has(*open(), 30) && has(*open(), 0));
}

TEST_F(request_journal_test, a_worker_that_is_full_costs_durability_alone) {
  const auto journal = open();
  worker.refuses = true;
  EXPECT_EQ(put(*journal, request(1)), kept_in::memory);
  worker.refuses = false;
  EXPECT_EQ(put(*journal, request(2)), kept_in::disk);
}

TEST_F(request_journal_test, what_waits_is_written_together) {
  const auto journal = open();
  worker.holds = true;
  int written = 0;
  for (int i = 0; i < 10; ++i)
    journal->put(request(i), [&](kept_in where) { written += where == kept_in::disk; });
  ASSERT_EQ(worker.held.size(), 1u) << "the first; the others wait for it";
  EXPECT_EQ(written, 0);
  const int before = folder.operations();
  worker.release();
  EXPECT_EQ(written, 10);
  // Write, sync, sync of the folder; then append and sync for the other nine.
  EXPECT_EQ(folder.operations() - before, 5);
}

TEST_F(request_journal_test, what_waits_is_bounded) {
  options.bytes_max = 16 << 10;
  const auto journal = open();
  worker.holds = true;
  int memory = 0, disk = 0;
  for (int i = 0; i < 20; ++i) {
    journal->put(request(i, 1000), [&](kept_in where) {
      memory += where == kept_in::memory;
      disk += where == kept_in::disk;
    });
  }
  EXPECT_GT(memory, 10) << "told at once that there is no room";
  worker.release();
  EXPECT_EQ(memory + disk, 20);
  EXPECT_GT(disk, 3);
  EXPECT_LE(journal->counters().segment_bytes, options.bytes_max);
}

TEST_F(request_journal_test, other_nodes_hear_of_entries_and_may_be_asked_instead) {
  request_journal first(time, options);
  const auto second = open();
  std::function<void(bool)> acknowledge;
  first.replicate_with([&](std::span<const std::byte> entry, std::function<void(bool)> done) {
    EXPECT_TRUE(second->absorb(entry).ok());
    EXPECT_TRUE(second->absorb(entry).ok()) << "frames may come twice";
    acknowledge = std::move(done);
  });
  int heard = 0;
  kept_in where = kept_in::none;
  first.put(request(1), [&](kept_in got) {
    ++heard;
    where = got;
  });
  EXPECT_EQ(heard, 0) << "not before the other node has it, or that is given up";
  acknowledge(true);
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(where, kept_in::cluster);
  EXPECT_TRUE(has(*second, 1));
  EXPECT_EQ(second->counters().absorbed, 1u);
  EXPECT_TRUE(has(*open(), 1)) << "there it is on the disk";
  first.put(request(2), [&](kept_in got) { where = got; });
  acknowledge(false);
  EXPECT_EQ(where, kept_in::memory);
}

TEST_F(request_journal_test, what_is_absorbed_is_checked) {
  request_journal journal(time, options);
  auto entry = request(1);
  entry.expires = time.seconds + 1'000'000;
  const auto good = encode(entry);
  EXPECT_EQ(decode_request(good).value(), entry);
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(journal.absorb(std::span(good).first(length)).ok()) << length;
  auto longer = good;
  longer.push_back(std::byte{0});
  EXPECT_EQ(journal.absorb(longer).code(), status_code::corrupt);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) { // anything may come; nothing breaks
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    const auto got = decode_request(bytes);
    EXPECT_TRUE(!got || encode(*got) == bytes);
  }
  EXPECT_EQ(journal.counters().entries, 0u);
  ASSERT_TRUE(journal.absorb(good).ok());
  time.seconds += options.age_max_s;
  EXPECT_TRUE(journal.find("cmpl-1").gone) << "whatever the other node says about its age";
  entry.expires = time.seconds - 1;
  EXPECT_TRUE(journal.absorb(encode(entry)).ok());
  EXPECT_EQ(journal.counters().entries, 0u) << "too old already";
  options.bytes_max = 1000;
  request_journal tiny(time, options);
  EXPECT_EQ(tiny.absorb(encode(request(1, 5000))).code(), status_code::ok) << "expired: ignored";
  entry = request(1, 5000);
  entry.expires = time.seconds + 1;
  EXPECT_EQ(tiny.absorb(encode(entry)).code(), status_code::exhausted);
}

TEST_F(request_journal_test, other_files_of_the_folder_are_left_alone) {
  const auto note = std::as_bytes(std::span("mine", 4));
  for (const auto name : {"requests-1", "requests-00000000000000xx", "votes"})
    ASSERT_TRUE(folder.write(name, note).ok());
  options.bytes_max = 8192;
  const auto journal = open();
  for (int i = 0; i < 200; ++i) put(*journal, request(i));
  for (const auto name : {"requests-1", "requests-00000000000000xx", "votes"})
    EXPECT_EQ(folder.read(name)->size(), 4u);
}

TEST(request_journal_on_disk, many_threads_and_restarts) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("troupe_journal_" + std::to_string(::getpid())))
          .string();
  const system_clock time;
  journal_options options;
  options.bytes_max = 4 << 20;
  {
    const auto disk = posix_disk::open(path).value();
    posix_io_worker worker;
    const auto journal = request_journal::open(*disk, worker, time, options).value();
    std::vector<std::thread> callers;
    std::atomic<int> durable = 0, told = 0;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&, caller] {
        for (int i = 0; i < 200; ++i) {
          auto entry = request(caller * 1000 + i, 2000);
          journal->put(entry, [&](kept_in where) {
            ++told;
            durable += where == kept_in::disk;
          });
          if (i % 3 == 0) journal->finish(entry.response_id, entry.nonce);
          journal->find(entry.response_id);
        }
      });
    }
    for (auto& caller : callers) caller.join();
    while (told < 800) std::this_thread::yield();
    std::promise<kept_in> last;
    journal->put(request(9999), [&](kept_in where) { last.set_value(where); });
    EXPECT_EQ(last.get_future().get(), kept_in::disk);
    EXPECT_GT(durable, 0) << "those for which there was no room to wait are in memory alone";
    EXPECT_LE(journal->counters().segment_bytes, options.bytes_max);
  }
  const auto disk = posix_disk::open(path).value();
  posix_io_worker worker;
  const auto journal = request_journal::open(*disk, worker, time, options).value();
  EXPECT_EQ(journal->find("cmpl-9999").entries.size(), 1u);
  EXPECT_EQ(journal->counters().unreadable_bytes, 0u);
  std::filesystem::remove_all(path);
}

} // namespace
} // namespace troupe::storage
