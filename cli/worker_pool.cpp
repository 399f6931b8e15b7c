// A pipe to each worker says which item is next, one from it carries what came out, and one takes
// its standard error for the case that it dies.
#include "cli/worker_pool.hpp"

#include "base/text.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace troupe::cli {
namespace {

constexpr int poll_ms = 100;
constexpr size_t complaint_bytes_max = 16 << 10;

bool write_all(int fd, const void* bytes, size_t count) {
  const char* at = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(fd, at, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    count -= static_cast<size_t>(written);
  }
  return true;
}

bool read_all(int fd, void* bytes, size_t count) {
  char* at = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = ::read(fd, at, count);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    count -= static_cast<size_t>(got);
  }
  return true;
}

// The life of a worker process; ends with the pipe it is told by.
[[noreturn]] void serve_items(int orders, int answers,
                              const std::function<std::string(uint64_t)>& work) {
  uint64_t item = 0;
  while (read_all(orders, &item, sizeof item)) {
    const std::string out = work(item);
    const uint64_t size = out.size();
    if (!write_all(answers, &size, sizeof size) || !write_all(answers, out.data(), out.size()))
      break;
  }
  ::_exit(0); // no destructors: they belong to the process that this one is a copy of
}

class worker {
public:
  worker() = default;
  ~worker() { end(); }
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  status start(const std::function<std::string(uint64_t)>& work) {
    std::array<std::array<int, 2>, 3> pipes{}; // orders, answers, complaints
    for (size_t i = 0; i < pipes.size(); ++i) {
      if (::pipe2(pipes[i].data(), O_CLOEXEC) == 0) continue;
      const int error = errno;
      for (size_t j = 0; j < i; ++j) close_both(pipes[j]);
      return no_process(error);
    }
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      (void)::prctl(PR_SET_PDEATHSIG, SIGKILL); // not to outlive who would read its answers
      if (::getppid() != parent) ::_exit(0);
      (void)::dup2(pipes[2][1], STDERR_FILENO);
      close_both(pipes[2]);
      ::close(pipes[0][1]);
      ::close(pipes[1][0]);
      serve_items(pipes[0][0], pipes[1][1], work);
    }
    const int error = errno;
    ::close(pipes[0][0]);
    ::close(pipes[1][1]);
    ::close(pipes[2][1]);
    orders_ = pipes[0][1];
    answers_ = pipes[1][0];
    complaints_ = pipes[2][0];
    if (pid_ < 0) {
      end();
      return no_process(error);
    }
    return {};
  }

  bool alive() const { return pid_ > 0; }
  bool busy() const { return item_.has_value(); }
  uint64_t item() const { return *item_; }
  time_point since() const { return since_; }
  int answers() const { return answers_; }
  int complaints() const { return complaints_; }

  void give(uint64_t item, time_point now) {
    item_ = item;
    since_ = now;
    said_.clear();
    (void)write_all(orders_, &item, sizeof item); // when it has died, its answers say so
  }

  // Takes what has come; the answer when it is whole, an empty optional when not. `ended` turns
  // true at the end of the pipe.
  std::optional<std::string> take_answer(bool& ended) {
    std::array<char, 65536> bytes;
    const ssize_t got = ::read(answers_, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return std::nullopt;
    if (got <= 0) {
      ended = true;
      return std::nullopt;
    }
    buffer_.append(bytes.data(), static_cast<size_t>(got));
    uint64_t size = 0;
    if (buffer_.size() < sizeof size) return std::nullopt;
    std::memcpy(&size, buffer_.data(), sizeof size);
    if (buffer_.size() - sizeof size < size) return std::nullopt;
    std::string out = buffer_.substr(sizeof size, size);
    buffer_.clear(); // one answer at a time
    item_.reset();
    return out;
  }

  void take_complaints() {
    std::array<char, 4096> bytes;
    const ssize_t got = ::read(complaints_, bytes.data(), bytes.size());
    if (got <= 0) return close_complaints();
    said_.append(bytes.data(), static_cast<size_t>(got));
    if (said_.size() > complaint_bytes_max) said_.erase(0, said_.size() - complaint_bytes_max);
  }

  // Why it has ended; it must have, or be killed first.
  std::string cause() {
    while (complaints_ >= 0) take_complaints(); // nobody holds the other end any more
    int state = 0;
    while (::waitpid(pid_, &state, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    std::string out = WIFSIGNALED(state) ? text("signal ", WTERMSIG(state), " (",
                                                ::strsignal(WTERMSIG(state)), ")")
                                         : text("exit code ", WEXITSTATUS(state));
    if (const std::string line = telling_line(); !line.empty()) out += text(": ", line);
    end();
    return out;
  }

  void kill() {
    if (pid_ > 0) (void)::kill(pid_, SIGKILL);
  }

  void end() {
    kill();
    if (pid_ > 0)
      while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
      }
    pid_ = -1;
    for (int* fd : {&orders_, &answers_, &complaints_}) {
      if (*fd >= 0) ::close(*fd);
      *fd = -1;
    }
    buffer_.clear();
    item_.reset();
  }

private:
  static void close_both(const std::array<int, 2>& both) {
    ::close(both[0]);
    ::close(both[1]);
  }

  static status no_process(int error) {
    return status(status_code::unavailable,
                  text("cannot start a worker process: ", std::strerror(error)));
  }

  void close_complaints() {
    ::close(complaints_);
    complaints_ = -1;
  }

  // The line of a failed check or of a sanitizer; without one the last line.
  std::string telling_line() const {
    std::string last, telling;
    for (size_t at = 0; at < said_.size();) {
      const size_t end = std::min(said_.find('\n', at), said_.size());
      const std::string line = said_.substr(at, end - at);
      if (!line.empty()) last = line;
      const bool tells = line.find("check failed") != std::string::npos ||
                         line.find("ERROR: ") != std::string::npos ||
                         line.find("runtime error: ") != std::string::npos;
      if (tells && telling.empty()) telling = line;
      at = end + 1;
    }
    return telling.empty() ? last : telling;
  }

  pid_t pid_ = -1;
  int orders_ = -1, answers_ = -1, complaints_ = -1;
  std::optional<uint64_t> item_;
  time_point since_{};
  std::string buffer_; // of an answer that is not whole yet
  std::string said_;   // on standard error, while it worked on the item
};

class pool {
public:
  pool(const pool_options& options, const clock& time)
      : options_(options), time_(time), workers_(std::max(options.workers, 1u)) {}

  status run() {
    while (done_ < options_.items) {
      if (options_.stop && options_.stop()) break;
      TROUPE_RETURN_IF_ERROR(hand_out());
      wait();
      end_hung();
      if (options_.idle) options_.idle();
    }
    return {};
  }

private:
  status hand_out() {
    for (auto& each : workers_) {
      if (each.busy() || next_ == options_.items) continue;
      if (!each.alive()) TROUPE_RETURN_IF_ERROR(each.start(options_.work));
      each.give(next_++, time_.now());
    }
    return {};
  }

  void wait() {
    std::vector<pollfd> fds;
    std::vector<worker*> whose;
    for (auto& each : workers_) {
      if (!each.alive()) continue;
      fds.push_back({each.answers(), POLLIN, 0});
      fds.push_back({each.complaints(), POLLIN, 0}); // -1 is passed over
      whose.push_back(&each);
    }
    if (::poll(fds.data(), fds.size(), poll_ms) <= 0) return;
    for (size_t i = 0; i < whose.size(); ++i) {
      if (fds[2 * i + 1].revents != 0) whose[i]->take_complaints();
      if (fds[2 * i].revents != 0) hear(*whose[i]);
    }
  }

  void hear(worker& from) {
    const bool was_busy = from.busy();
    const uint64_t item = was_busy ? from.item() : 0;
    bool ended = false;
    if (auto answer = from.take_answer(ended)) {
      ++done_;
      options_.done({.item = item, .bytes = std::move(answer), .death = "", .hung = false});
    } else if (ended) {
      std::string cause = from.cause();
      if (!was_busy) return;
      ++done_;
      options_.done({.item = item, .bytes = {}, .death = std::move(cause), .hung = false});
    }
  }

  void end_hung() {
    const time_point now = time_.now();
    for (auto& each : workers_) {
      if (!each.busy() || now - each.since() < options_.item_max) continue;
      const uint64_t item = each.item();
      each.end();
      ++done_;
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.item_max);
      options_.done({.item = item,
                     .bytes = {},
                     .death = text("no end within ", seconds.count(), " s of real time"),
                     .hung = true});
    }
  }

  const pool_options& options_;
  const clock& time_;
  std::vector<worker> workers_;
  uint64_t next_ = 0, done_ = 0;
};

} // namespace

status run_pool(const pool_options& options, const clock& time) {
  return pool(options, time).run();
}

} // namespace troupe::cli
