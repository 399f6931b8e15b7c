// Blocked everywhere, taken by sigwaitinfo. SIGUSR1, sent to the watching thread alone, ends it.
#include "cli/signals.hpp"

#include "base/check.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

namespace troupe::cli {
namespace {

constexpr int wake_signal = SIGUSR1;

// nohup has SIGHUP ignored, and means it: a blocked signal would reach us all the same.
bool is_hangup_ignored() {
  struct sigaction now = {};
  return ::sigaction(SIGHUP, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, wake_signal}) sigaddset(&set, signal);
  if (!is_hangup_ignored()) sigaddset(&set, SIGHUP);
  return set;
}

} // namespace

struct signal_watch::state {
  std::mutex mutex;
  listener current;
  bool stopping = false;
  std::atomic<int> number{0};
  std::thread thread;

  void watch() {
    const sigset_t set = watched_signals();
    for (;;) {
      siginfo_t info = {};
      const int signal = sigwaitinfo(&set, &info);
      if (signal < 0) continue;
      const std::lock_guard lock(mutex);
      if (stopping) return;
      if (signal == wake_signal) continue; // somebody else's; it means nothing to us
      number.store(info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
      if (!current || !current(signal)) std::_Exit(exit_code_of(signal));
    }
  }
};

signal_watch::signal_watch() : state_(std::make_unique<state>()) {
  const sigset_t set = watched_signals();
  TROUPE_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN); // a file too large for ulimit -f is a failed write like others
  state_->thread = std::thread([watcher = state_.get()] { watcher->watch(); });
}

signal_watch::~signal_watch() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  pthread_kill(state_->thread.native_handle(), wake_signal);
  state_->thread.join();
}

int signal_watch::number() const {
  return state_->number.load();
}

void signal_watch::listen(listener next) {
  const std::lock_guard lock(state_->mutex);
  state_->current = std::move(next);
}

} // namespace troupe::cli
