// Ctrl-C and friends, delivered to ordinary code on an ordinary thread.
#pragma once

#include <csignal>
#include <functional>
#include <memory>

namespace troupe::cli {

// Keeps SIGINT, SIGTERM and SIGHUP from every thread and waits for them on one of its own; SIGPIPE
// is ignored, so that writing to a closed pipe is an error like any other. Make one, first thing in
// main: threads started earlier would still be interrupted.
class signal_watch {
public:
  // Called on the watching thread, one signal at a time. False: nothing was done about it, so the
  // process ends at once.
  using listener = std::function<bool(int signal)>;

  signal_watch();
  ~signal_watch();
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

  // Replaces the listener; when it returns, the earlier one is neither running nor called again.
  // With none, a signal ends the process with code 128 + signal. Not from a listener.
  void listen(listener next);

  // The number that was sent along with the latest signal (sigqueue(3)); 0: none. Any thread.
  int number() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

// Listens for the lifetime of the object.
class signal_scope {
public:
  signal_scope(signal_watch& watch, signal_watch::listener next) : watch_(watch) {
    watch_.listen(std::move(next));
  }
  ~signal_scope() { watch_.listen(nullptr); }
  signal_scope(const signal_scope&) = delete;
  signal_scope& operator=(const signal_scope&) = delete;

private:
  signal_watch& watch_;
};

// The exit code of a process that a signal ended, as shells report it.
constexpr int exit_code_of(int signal) {
  return 128 + signal;
}

} // namespace troupe::cli
