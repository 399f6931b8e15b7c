// What every command works with, and the exit codes they share.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "cli/output.hpp"
#include "cli/setting_source.hpp"
#include "cli/signals.hpp"
#include "storage/file_system.hpp"

#include <string>
#include <string_view>

namespace troupe::cli {

enum exit_code : int {
  exit_done = 0,
  exit_failed = 1,
  exit_usage = 2,    // flags, settings, arguments
  exit_no_model = 3, // the model cannot be loaded, or is not that of the cluster
  exit_cut_off = 4,  // draining took too long
  exit_gave_up = 5,  // a node of a cluster cannot go on, or is outdated; start it again
  exit_unread = 141, // nobody reads our output; what SIGPIPE would have given
};

struct program {
  signal_watch& signals;
  const class clock& clock;
  storage::file_system& files;
  output& out; // standard output: results alone
  output& err; // standard error: everything for people
  bool input_is_terminal = false;
  const environment_variables& variables;
  const command_list* commands = nullptr;

  // "troupe: why", and the exit code that goes with it.
  int complain(const status& why, int code = exit_failed);
  // After writing results: 0, or the code that goes with why they could not be written.
  int exit_after_output();
};

} // namespace troupe::cli
