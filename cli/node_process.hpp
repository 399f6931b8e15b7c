// Processes of this machine that outlive the program that started them, found again by another one.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

// Numbers of processes are given out again, so a process is known by when it started, and in which
// life of the machine.
struct process_mark {
  int32_t pid = 0; // 0: none
  uint64_t started = 0;
  std::string boot;
  friend bool operator==(const process_mark&, const process_mark&) = default;
};

// The mark of a process that runs now; not_found when there is none (one that has ended and was not
// waited for is none).
result<process_mark> mark_of(int32_t pid);
bool is_running(const process_mark& process);
// Does nothing when the process is not running, whoever has its number now.
// `number` goes along with the signal (signal_watch::number); 0: none.
status send_signal(const process_mark& process, int signal, int number = 0);

// How a child of this program has ended; nothing while it runs, and for processes of others.
struct process_end {
  int32_t pid = 0;
  int code = 0;   // when it ended by itself
  int signal = 0; // when that ended it
};
// Children that have ended since the last call.
std::vector<process_end> reap_children();

// Starts the program in a session of its own, so that Ctrl-C does not reach it; its output is
// appended to the log, its input is empty.
result<process_mark> start_process(const std::vector<std::string>& words, const std::string& log);

} // namespace troupe::cli
