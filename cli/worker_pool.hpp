// Work done in processes of their own, so that a check that fails, a crash or an endless loop ends
// one piece of it and is told, and the rest goes on.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace troupe::cli {

struct work_report {
  uint64_t item = 0;
  std::optional<std::string> bytes; // what the work returned; absent: the process ended or hung
  std::string death; // then: "signal 6 (Aborted): base/x.cpp:7: check failed: …" or "no end …"
  bool hung = false;
};

struct pool_options {
  uint64_t items = 0;
  uint32_t workers = 1;
  duration item_max = std::chrono::minutes(2); // of real time; then the process is ended
  // In a worker process: a copy of this one with this thread alone.
  std::function<std::string(uint64_t item)> work = {};
  // Here, in the order in which pieces come to their end.
  std::function<void(work_report)> done = {};
  std::function<bool()> stop = {}; // asked now and then; may be empty
  std::function<void()> idle = {}; // called about ten times a second; may be empty
};

// Until every item was done or stop() says so; what is under way then is given up.
status run_pool(const pool_options& options, const clock& time);

} // namespace troupe::cli
