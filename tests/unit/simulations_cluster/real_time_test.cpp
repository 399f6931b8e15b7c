// D4: while a simulated cluster runs, nobody reads a real clock, asks the machine for randomness,
// sleeps, or starts a thread. The functions of the C library are replaced by ones that count.
#include "base/log.hpp"
#include "simulations/kernel/world.hpp"
#include "simulations/runner/run_once.hpp"

#include <gtest/gtest.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__linux__)

#include <dlfcn.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <ctime>
#include <unistd.h>

namespace {

struct counts {
  bool armed = false;
  int clock = 0, random = 0, sleep = 0, thread = 0;
} seen; // the replaced functions have no other place to count in

} // namespace

extern "C" {

int clock_gettime(clockid_t id, struct timespec* out) noexcept {
  if (seen.armed) ++seen.clock;
  return static_cast<int>(syscall(SYS_clock_gettime, id, out));
}

int gettimeofday(struct timeval* out, void*) noexcept {
  if (seen.armed) ++seen.clock;
  struct timespec now {};
  const auto failed = syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return static_cast<int>(failed);
}

time_t time(time_t* out) noexcept {
  if (seen.armed) ++seen.clock;
  struct timespec now {};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

// waiver entropy: the very function that nobody may call.
ssize_t getrandom(void* buffer, size_t bytes, unsigned flags) {
  if (seen.armed) ++seen.random;
  return syscall(SYS_getrandom, buffer, bytes, flags);
}

// waiver sleep: the very function that nobody may call.
int nanosleep(const struct timespec* wanted, struct timespec* left) {
  if (seen.armed) ++seen.sleep;
  return static_cast<int>(syscall(SYS_nanosleep, wanted, left));
}

// waiver sleep: the very function that nobody may call.
int clock_nanosleep(clockid_t id, int flags, const struct timespec* wanted, struct timespec* left) {
  if (seen.armed) ++seen.sleep;
  return static_cast<int>(syscall(SYS_clock_nanosleep, id, flags, wanted, left));
}

int pthread_create(pthread_t* out, const pthread_attr_t* how, void* (*run)(void*), void* with) {
  if (seen.armed) ++seen.thread;
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_create"));
  return real(out, how, run, with);
}

} // extern "C"

namespace troupe::simulations {
namespace {

TEST(real_time_test, the_counters_count) {
  seen = {};
  seen.armed = true;
  struct timespec now {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  static_cast<void>(std::chrono::steady_clock::now());
  seen.armed = false;
  EXPECT_EQ(seen.clock, 2);
}

// CAF looks at the clock when a system starts and ends, for its logger; nothing of ours can see
// that.
int clock_reads_of_a_process() {
  world_options options;
  world w(options);
  seen = {};
  seen.armed = true;
  w.at(0).boot();
  w.at(0).crash();
  seen.armed = false;
  return seen.clock;
}

TEST(real_time_test, a_run_reads_no_clock_no_entropy_and_starts_no_thread) {
  log::set_level(log::level::off);
  const int reads_of_a_process = clock_reads_of_a_process();
  scenario about;
  about.antagonists.push_back({.id = "F03"});
  about.antagonists.push_back({.id = "F07"});
  about.antagonists.push_back({.id = "F60"});
  run_spec spec;
  spec.what = about;
  run_once(spec); // what is made once in a process may
  int starts = 0;
  seen = {};
  seen.armed = true;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    spec.seed = seed;
    const auto got = run_once(spec);
    EXPECT_TRUE(got.violations.empty());
    for (const auto& mark : got.marks) starts += mark.what == "start" ? 1 : 0;
  }
  seen.armed = false;
  log::set_level(log::level::warn);
  EXPECT_GE(starts, 50);
  EXPECT_EQ(seen.clock, starts * reads_of_a_process);
  EXPECT_EQ(seen.random, 0);
  EXPECT_EQ(seen.sleep, 0);
  EXPECT_EQ(seen.thread, 0);
}

} // namespace
} // namespace troupe::simulations

#endif
