// A machine's disk behind the disk and io_worker seams: what was written but not synced may be lost
// in a crash; calls take virtual time and may fail, tear, rot or lie.
#pragma once

#include "simulations/kernel/world.hpp"
#include "storage/disk.hpp"
#include "storage/io_worker.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::simulations {

struct disk_quality {
  duration latency_mean = std::chrono::microseconds(200);
  bool stalled = false;       // jobs wait until it ends
  bool full = false;          // exhausted
  uint32_t write_error_ppm = 0;
  uint32_t read_error_ppm = 0;
  bool sync_lies = false;     // says synced and is not
  bool sync_directory_lies = false;
};

// What a crash leaves of bytes and names that were not synced.
enum class crash_fate : uint8_t { keep_all, drop_unsynced, tear, reorder };

// Survives crashes of its machine.
class simulated_disk {
public:
  simulated_disk(world& w, uint32_t machine);

  // For a process that has just booted; both are void after the machine's crash.
  std::unique_ptr<storage::disk> open();
  std::unique_ptr<storage::io_worker> worker();

  disk_quality& quality();
  void crash(crash_fate fate); // together with machine::crash()
  void wipe();                 // everything is gone: a new disk
  // Bit rot: changes one bit of a file that holds something, chosen by the world's draws; returns
  // the file's name, or nothing when there is none.
  std::string rot();
  // A write that has gone elsewhere: swaps the bytes of two files, if there are two.
  std::string misdirect();
  bool empty() const;
  uint64_t writes() const;
};

} // namespace troupe::simulations
