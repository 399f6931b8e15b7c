// A machine's disk behind the disk and io_worker seams: what was written but not synced may be lost
// in a crash; calls take virtual time and may fail, tear, rot or lie.
#pragma once

#include "simulations/kernel/world.hpp"
#include "storage/disk.hpp"
#include "storage/io_worker.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::simulations {

struct disk_quality {
  duration latency_mean = std::chrono::microseconds(200);
  bool stalled = false; // jobs wait until it ends
  bool full = false;    // exhausted
  uint32_t write_error_ppm = 0;
  uint32_t read_error_ppm = 0;
  bool sync_lies = false; // says synced and is not
  bool sync_directory_lies = false;
};

// What a crash leaves of bytes and names that were not synced. tear: what was done up to some
// moment, and a part of what was being written then. reorder: any of it, whole or in part.
enum class crash_fate : uint8_t { keep_all, drop_unsynced, tear, reorder };

// Survives crashes of its machine. Calls themselves take no time; the worker's jobs do.
class simulated_disk {
public:
  simulated_disk(world& w, uint32_t machine);
  ~simulated_disk();

  // For a process that has just booted; both are void after the machine's crash: calls then fail
  // and change nothing. Must not outlive the disk.
  std::unique_ptr<storage::disk> open();
  std::unique_ptr<storage::io_worker> worker();

  disk_quality& quality();
  void crash(crash_fate fate); // together with machine::crash()
  void wipe();                 // everything is gone: a new disk
  // Bit rot: changes one bit of a file that holds something, chosen by the world's draws; returns
  // the file's name, or nothing when there is none.
  std::string rot();
  // A write that has gone elsewhere: swaps the bytes of two files, if there are two. Returns their
  // names, joined by a space.
  std::string misdirect();
  bool empty() const;
  uint64_t writes() const; // writes, appends, renames and removals so far

  // To walk through all points at which a process can die: calls of any kind so far …
  uint64_t calls() const;
  // … and the one that is never done: from it on this process' calls fail without effect, and
  // `what` (which should crash the machine) is scheduled for now.
  void die_at_call(uint64_t call, std::function<void()> what);

  struct parts;

private:
  std::unique_ptr<parts> parts_;
};

} // namespace troupe::simulations
