// /proc tells when a process started; a descriptor of it makes sure that a signal reaches that one.
#include "cli/node_process.hpp"

#include "base/text.hpp"
#include "cli/option_value.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

namespace troupe::cli {
namespace {

constexpr int start_field = 22; // of /proc/PID/stat, see proc(5)
constexpr int state_field = 3;

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

// Field 2 is a name that may hold anything, so fields are counted from behind it.
std::string field_of(const std::string& stat, int number) {
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream rest(stat.substr(name_end + 1));
  std::string word;
  for (int field = state_field; field <= number; ++field) rest >> word;
  return rest ? word : "";
}

std::string boot_id() {
  std::string out = content_of("/proc/sys/kernel/random/boot_id");
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out.empty() ? "unknown" : out;
}

status refusal(const char* action, int error) {
  return status(status_code::unavailable,
                text("cannot ", action, ": ", std::generic_category().message(error)));
}

// The wrappers of some C libraries cannot be called from C++.
int open_process(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}
int signal_process(int fd, int signal, int number) {
  siginfo_t info = {};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = ::getpid();
  info.si_uid = ::getuid();
  info.si_value.sival_int = number;
  return static_cast<int>(
      ::syscall(SYS_pidfd_send_signal, fd, signal, number == 0 ? nullptr : &info, 0));
}
// Where there are no descriptors of processes.
int signal_number(pid_t pid, int signal, int number) {
  return number == 0 ? ::kill(pid, signal) : ::sigqueue(pid, signal, {.sival_int = number});
}

class spawn_setup {
public:
  spawn_setup() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
  }
  spawn_setup(const spawn_setup&) = delete;
  spawn_setup& operator=(const spawn_setup&) = delete;
  ~spawn_setup() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }

  void log_to(const std::string& log) {
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files_, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files_, STDOUT_FILENO, STDERR_FILENO);
  }

  // We block and ignore signals that the child wants to hear.
  void fresh_signals() {
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) sigaddset(&usual, signal);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &usual);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  }

  // Zero or the error number.
  int spawn(const std::vector<std::string>& words, pid_t& pid) {
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    return ::posix_spawn(&pid, words[0].c_str(), &files_, &attributes_, arguments.data(), environ);
  }

private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

} // namespace

namespace {

enum class ended : uint8_t { counts, does_not_count }; // and has not been waited for

result<process_mark> mark_of(int32_t pid, ended zombie) {
  const std::string stat = content_of(text("/proc/", pid, "/stat"));
  const std::string state = field_of(stat, state_field);
  const bool gone =
      state.empty() || (zombie == ended::does_not_count && (state == "Z" || state == "X"));
  process_mark out;
  out.pid = pid;
  if (gone || !parse_value(field_of(stat, start_field), out.started).ok())
    return fail(status_code::not_found, text("there is no process ", pid));
  out.boot = boot_id();
  return out;
}

} // namespace

result<process_mark> mark_of(int32_t pid) {
  return mark_of(pid, ended::does_not_count);
}

bool is_running(const process_mark& process) {
  if (process.pid <= 0) return false;
  const auto now = mark_of(process.pid);
  return now && *now == process;
}

status send_signal(const process_mark& process, int signal, int number) {
  if (process.pid <= 0) return {};
  const int fd = open_process(process.pid); // from now on it means one process
  const bool known = is_running(process);
  int error = 0;
  if (known && fd >= 0 && signal_process(fd, signal, number) != 0) error = errno;
  if (known && fd < 0 && signal_number(process.pid, signal, number) != 0) error = errno;
  if (fd >= 0) ::close(fd);
  if (error == 0 || error == ESRCH) return {};
  return refusal("send a signal", error).within(text("process ", process.pid));
}

std::vector<process_end> reap_children() {
  std::vector<process_end> out;
  int how = 0;
  for (pid_t pid = ::waitpid(-1, &how, WNOHANG); pid > 0; pid = ::waitpid(-1, &how, WNOHANG))
    out.push_back(
        {pid, WIFEXITED(how) ? WEXITSTATUS(how) : 0, WIFSIGNALED(how) ? WTERMSIG(how) : 0});
  return out;
}

result<process_mark> start_process(const std::vector<std::string>& words, const std::string& log) {
  spawn_setup setup;
  setup.log_to(log);
  setup.fresh_signals();
  pid_t pid = 0;
  if (const int error = setup.spawn(words, pid); error != 0)
    return fail(refusal("start", error).within(words[0]));
  return mark_of(pid, ended::counts); // it may have been quick
}

} // namespace troupe::cli
