// The record of requests whose answers are being streamed, so that a client that was cut off gets
// the rest, also after this process was restarted. Entries live in memory and, with a disk, in
// segments of an append-only log beside it.
//
// A segment is a file "requests-" and a number of 16 digits: 8 bytes of magic, 4 version, 4 zero;
// then records of 4 bytes length, 8 checksum of the content, the content: an encoded entry. Numbers
// lowest byte first.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "storage/disk.hpp"
#include "storage/io_worker.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace troupe::storage {

// What a node needs in order to give an answer again.
struct journaled_request {
  std::string response_id;
  std::string path;    // the route it was sent to
  std::string body;    // as it was sent
  uint64_t nonce = 0;  // tells two requests with one response id apart, and seeds what had no seed
  uint64_t owner = 0;  // who may ask for it; 0: everybody
  int64_t created = 0; // seconds since 1970
  int64_t expires = 0;

  friend bool operator==(const journaled_request&, const journaled_request&) = default;
};

inline constexpr size_t requests_of_one_id_max = 16; // clients may choose ids and repeat them
inline constexpr size_t response_id_bytes_max = 512;
inline constexpr size_t request_path_bytes_max = 256;
inline constexpr size_t request_body_bytes_max = size_t{1} << 30;

// For a disk or another node. Strings must be within the bounds above.
std::vector<std::byte> encode(const journaled_request& entry);
// `corrupt` unless the bytes are what encode() gives for some entry.
result<journaled_request> decode_request(std::span<const std::byte> bytes);

struct journal_options {
  uint64_t bytes_max = 64 << 20; // of the segments; half of it for the entries that are kept
  size_t entries_max = 65536;
  int64_t age_max_s = 3600;
};

struct journal_counters {
  uint64_t entries = 0;       // kept now
  uint64_t entry_bytes = 0;   // kept now
  uint64_t segment_bytes = 0; // on the disk now
  uint64_t put = 0;           // entries that came from clients
  uint64_t absorbed = 0;      // entries that came from other nodes
  uint64_t refused = 0;       // larger than what may be kept
  uint64_t evicted = 0;       // before they were too old, for lack of room
  uint64_t expired = 0;
  uint64_t write_failures = 0;   // batches that did not reach the disk
  uint64_t unreadable_bytes = 0; // of segments, when they were loaded
};

// How far an entry has got. The weakest is none: too large, or the journal is closing.
enum class kept_in : uint8_t { none, memory, disk, cluster };

// Any thread may call anything.
class request_journal {
public:
  using entry_pointer = std::shared_ptr<const journaled_request>; // shared with whoever looks at it
  using put_done = std::function<void(kept_in)>;
  // Hands an entry's bytes to other nodes. `done` is to be called once: true when another node has
  // it, false when that has been given up (bounded by whoever replicates). May be called on any
  // thread that puts; must not block.
  using replicator =
      std::function<void(std::span<const std::byte> entry, std::function<void(bool)> done)>;

  // In memory only.
  explicit request_journal(const clock& time, const journal_options& options = {});
  // Reads what an earlier process left. Damaged parts are left out and counted; fails only when
  // the folder cannot be read at all. Blocks. All three outlive the journal.
  static result<std::unique_ptr<request_journal>> open(disk& folder, io_worker& worker,
                                                       const clock& time,
                                                       const journal_options& options = {});
  // Waits for what is being written.
  ~request_journal();
  request_journal(const request_journal&) = delete;
  request_journal& operator=(const request_journal&) = delete;

  // Keeps the entry until it is too old. `done` is called once, maybe at once, on the caller's, the
  // worker's or the replicator's thread; must not block. A disk that fails costs the entry its
  // durability, not the client its answer: the entry is then kept in memory.
  void put(journaled_request entry, put_done done);
  // The answer was given to its end: the first to go when room is needed.
  void finish(const std::string& response_id, uint64_t nonce);

  // An entry of another node; on the way to the disk when it returns. `corrupt`, or `exhausted`
  // when it is larger than what may be kept.
  status absorb(std::span<const std::byte> entry);
  // Before the first put(); none: nobody else hears of entries.
  void replicate_with(replicator to) { replicate_ = std::move(to); }

  struct found {
    std::vector<entry_pointer> entries; // the newest first
    bool gone = false;                  // there was one; it was too old or room was needed
  };
  found find(const std::string& response_id);

  journal_counters counters();

private:
  struct kept {
    entry_pointer entry;
    uint64_t number = 0;  // order of arrival
    uint64_t segment = 0; // 0: not on the disk
    size_t bytes = 0;     // of its record
    bool finished = false;
  };
  using position = std::list<kept>::iterator;
  struct waiting {
    uint64_t number;
    std::vector<std::byte> record;
    std::function<void(bool)> done; // may be empty
  };
  using batch = std::vector<waiting>;
  using told = std::function<void(bool)>;

  // With the lock held:
  position find_same(const journaled_request& entry);
  position add(entry_pointer entry, size_t bytes);
  void drop(position at);
  void drop_old(int64_t now);
  void make_room();
  void remember_dropped(const std::string& response_id);
  // False: it is kept in memory alone, and `done` has been left to the caller.
  bool keep(entry_pointer entry, std::vector<std::byte> record, const told& done);

  // Gives the lock back.
  void begin_batch(std::unique_lock<std::mutex> lock);

  // On the worker:
  status write(const batch& entries);
  status append(std::span<const std::byte> bytes);
  status sync_segment();
  void give_up_segment();
  status clean(uint64_t bytes_coming);
  status clean_segment(uint64_t number);
  void end_batch(const batch& entries, const status& outcome);
  void note_health(const status& outcome);

  status load();
  void load_segment(uint64_t number, std::span<const std::byte> file);
  uint64_t segment_bytes_max() const { return options_.bytes_max / 8; }

  const clock& time_;
  const journal_options options_;
  disk* folder_ = nullptr;
  io_worker* worker_ = nullptr;
  replicator replicate_;

  // Of the one job that runs at a time, and of open().
  uint64_t open_segment_ = 0; // 0: the next append begins a new one
  uint64_t last_segment_ = 0;
  bool segment_named_ = false; // its name is on the disk for good
  bool failing_ = false;

  std::mutex mutex_; // of what follows
  std::condition_variable idle_;
  std::list<kept> entries_; // oldest first
  std::multimap<std::string, position, std::less<>> by_id_;
  std::map<uint64_t, position> by_number_;
  std::set<uint64_t> finished_; // numbers
  uint64_t next_number_ = 1;
  uint64_t entry_bytes_ = 0;
  std::map<uint64_t, uint64_t> segments_; // bytes by number
  batch waiting_;
  uint64_t waiting_bytes_ = 0;
  bool writing_ = false;
  std::deque<uint64_t> dropped_order_;
  std::set<uint64_t> dropped_; // hashes of response ids
  journal_counters counters_;
};

} // namespace troupe::storage
