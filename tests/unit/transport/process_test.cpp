// Nodes in processes of their own, with real signals and real strangers.
#include "base/random.hpp"
#include "tests/unit/transport/waiting_listener.hpp"
#include "transport/ucx/port_guard.hpp"
#include "transport/ucx/socket_address.hpp"
#include "transport/ucx/ucx_endpoint.hpp"
#include "transport/ucx/ucx_environment.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::transport {
namespace {

using tests::waiting_listener;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true; // memory is not what it seems
#else
constexpr bool sanitized = false;
#endif

// A child process that does not outlive its owner.
class child {
public:
  explicit child(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TROUPE_TRANSPORT_PEER);
    std::vector<char*> raw;
    for (auto& each : arguments) raw.push_back(each.data());
    raw.push_back(nullptr);
    id_ = ::vfork();
    if (id_ == 0) {
      ::execv(raw[0], raw.data());
      ::_exit(127);
    }
  }
  ~child() { kill(); }
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  void signal(int number) { ::kill(id_, number); }
  void kill() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
    id_ = 0;
  }

private:
  pid_t id_ = 0;
};

size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

size_t open_files() {
  const auto folder = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(folder), end(folder)));
}

class process_test : public testing::Test {
protected:
  void open() {
    ucx_options options;
    options.self = {"a", 1};
    options.key = key_;
    change_(options);
    listener_.keep = false;
    endpoint_ = std::move(*open_ucx_endpoint(std::move(options), listener_));
  }
  std::unique_ptr<child> start(const std::string& name, uint64_t incarnation, const char* how) {
    return std::make_unique<child>(std::vector<std::string>{
        "node", name, std::to_string(incarnation), key_.hex(), endpoint_->listen_address(), how});
  }

  secret key_ = secret::random();
  std::function<void(ucx_options&)> change_ = [](ucx_options&) {};
  waiting_listener listener_;
  std::unique_ptr<ucx_endpoint> endpoint_; // destroyed before its listener
};

TEST_F(process_test, a_killed_peer_is_down_within_a_second) {
  open();
  auto peer = start("b", 1, "quiet");
  ASSERT_TRUE(listener_.wait_up("b"));
  const auto killed = std::chrono::steady_clock::now();
  peer->kill();
  ASSERT_TRUE(listener_.wait_down("b"));
  EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(1));
}

// What is under way in both directions ends, and nothing is left of it.
TEST_F(process_test, peers_killed_in_the_middle_of_traffic_leave_nothing_behind) {
  open();
  const std::vector<std::byte> large(2 << 20), small(100);
  size_t files = 0, bytes = 0;
  constexpr uint64_t rounds = 40, settled = 15;
  for (uint64_t round = 1; round <= rounds; ++round) {
    auto peer = start("b", round, "flood");
    ASSERT_TRUE(listener_.wait_up("b", round));
    const size_t before = listener_.received();
    for (size_t i = 0; listener_.received() < before + 20 || i < 40; ++i)
      static_cast<void>(endpoint_->send("b", {}, i % 3 == 0 ? large : small).ok());
    const auto killed = std::chrono::steady_clock::now();
    peer->kill();
    ASSERT_TRUE(listener_.wait_down("b", round));
    EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(1));
    EXPECT_EQ(endpoint_->send("b", {}, small).code(), status_code::unavailable);
    EXPECT_EQ(endpoint_->credit("b"), 0u);
    if (round == settled) {
      files = open_files();
      bytes = resident_bytes();
    }
  }
  EXPECT_TRUE(listener_.wait([&] { return open_files() <= files; }));
  if (!sanitized) {
    EXPECT_LT(resident_bytes(), bytes + (96 << 20)); // what 25 rounds had under way is far more
  }
  EXPECT_EQ(endpoint_->counters().sessions_opened, rounds);
}

void let_pass(uint64_t microseconds) {
  // waiver sleep: a moment that nobody tells of is what is tested.
  ::usleep(static_cast<useconds_t>(microseconds));
}

// At any moment from the first connection to the first frames. TROUPE_KILL_ROUNDS: for longer runs.
TEST_F(process_test, peers_killed_while_they_connect_disturb_nobody) {
  open();
  const char* asked = std::getenv("TROUPE_KILL_ROUNDS");
  const uint64_t rounds = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 12;
  const random_key key{79, random_subsystem::faults, 4};
  size_t files = 0, bytes = 0;
  for (uint64_t round = 1; round <= rounds; ++round) {
    auto first = start("b", round, "flood"), second = start("c", round, "quiet");
    // Most of it happens soon; some peers live for long.
    const uint64_t longest = round % 8 == 0 ? 500'000 : 80'000;
    let_pass(random_below(key, 2 * round, longest));
    first->kill();
    let_pass(random_below(key, 2 * round + 1, 10'000));
    second->kill();
    if (round != rounds / 2) continue;
    ASSERT_TRUE(listener_.wait([&] { return endpoint_->peers().empty(); }));
    let_pass(300'000);
    files = open_files();
    bytes = resident_bytes();
  }
  EXPECT_TRUE(listener_.wait([&] { return endpoint_->peers().empty() && open_files() <= files; }));
  if (!sanitized) {
    EXPECT_LT(resident_bytes(), bytes + (48 << 20));
  }
  auto last = start("d", 1, "quiet");
  EXPECT_TRUE(listener_.wait_up("d"));
}

TEST_F(process_test, a_paused_peer_is_given_up_and_comes_back) {
  change_ = [](ucx_options& options) {
    options.heartbeat = std::chrono::milliseconds(50);
    options.silence_max = std::chrono::milliseconds(800);
  };
  open();
  auto peer = start("b", 1, "quiet");
  ASSERT_TRUE(listener_.wait_up("b"));
  peer->signal(SIGSTOP);
  ASSERT_TRUE(listener_.wait_down("b"));
  peer->signal(SIGCONT);
  EXPECT_TRUE(listener_.wait([&] { return endpoint_->counters().sessions_opened == 2; }));
}

// Garbage on every port that the process listens on, while a session works on.
TEST_F(process_test, strangers_who_speak_garbage_disturb_nobody) {
  open();
  auto peer = start("b", 1, "flood");
  ASSERT_TRUE(listener_.wait_up("b"));
  const auto to = parse_numeric(endpoint_->listen_address()).value();
  const random_key key{77, random_subsystem::faults, 3};
  uint64_t n = 0;
  for (int round = 0; round < 400; ++round) {
    const file_handle socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(socket.fd(), to.raw(), to.bytes), 0);
    std::vector<std::byte> garbage(random_below(key, n++, 3) == 0 ? 40'000
                                                                  : random_below(key, n++, 200));
    for (auto& each : garbage) each = static_cast<std::byte>(random_bits(key, n++));
    if (round % 3 == 0 && garbage.size() >= 4) { // a length that makes sense
      garbage[0] = static_cast<std::byte>(garbage.size() - 4);
      garbage[1] = garbage[2] = garbage[3] = std::byte{0};
    }
    static_cast<void>(::send(socket.fd(), garbage.data(), garbage.size(), MSG_NOSIGNAL));
    if (round % 15 != 0) continue;
    std::byte answer{};
    EXPECT_LE(::recv(socket.fd(), &answer, 1, 0), 0); // closed in time, and not a byte
  }
  const size_t before = listener_.received();
  EXPECT_TRUE(listener_.wait_frames(before + 100));
  EXPECT_EQ(listener_.events(), (std::vector<std::string>{"up b 1"}));
  EXPECT_GT(endpoint_->counters().refused_handshakes, 100u);
  EXPECT_EQ(endpoint_->counters().dropped_forged, 0u);
}

TEST_F(process_test, strangers_who_say_nothing_do_not_keep_others_out) {
  open();
  const auto to = parse_numeric(endpoint_->listen_address()).value();
  std::vector<file_handle> silent;
  for (int i = 0; i < 200; ++i) {
    silent.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(silent.back().fd(), to.raw(), to.bytes), 0);
  }
  auto peer = start("b", 1, "quiet");
  EXPECT_TRUE(listener_.wait_up("b"));
}

// The ports that UCX opens for a session take nobody else once its two nodes are connected.
TEST_F(process_test, no_port_of_ucx_stays_open) {
  change_ = [](ucx_options& options) { options.heartbeat = std::chrono::milliseconds(50); };
  const auto before = listening_ports();
  open();
  auto peer = start("b", 1, "flood");
  ASSERT_TRUE(listener_.wait_up("b"));
  const auto own = parse_numeric(endpoint_->listen_address()).value();
  size_t ports = 0;
  const auto shut = [&] {
    ports = 0;
    for (const auto& each : listening_ports()) {
      if (each.port == own.port() || std::find(before.begin(), before.end(), each) != before.end())
        continue;
      socklen_t filters = 0;
      ++ports;
      if (::getsockopt(each.fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &filters) != 0 || filters == 0)
        return false;
    }
    return true;
  };
  EXPECT_TRUE(listener_.wait(shut));
  EXPECT_EQ(ports, 1u); // of the loopback device
  const size_t received = listener_.received();
  EXPECT_TRUE(listener_.wait_frames(received + 100)); // the session goes on
  EXPECT_TRUE(endpoint_->send("b", {}, std::vector<std::byte>(3 << 20)).ok());
  EXPECT_EQ(listener_.events(), (std::vector<std::string>{"up b 1"}));
}

std::string run(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 256> line;
  while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe) != nullptr)
    out += line.data();
  if (pipe != nullptr) ::pclose(pipe);
  return out;
}

std::string without_ucx_variables() {
  std::string out = "env -u TROUPE_UCX_ENVIRONMENT";
  for (const auto& each : ucx_environment()) out += std::string(" -u ") + each.name;
  return out;
}

constexpr const char* peer_program = TROUPE_TRANSPORT_PEER;

TEST(ucx_environment_test, starts_the_program_once_more_with_what_is_missing) {
  const auto said = run(without_ucx_variables() + " UCX_LOG_LEVEL=warn " + peer_program +
                        " environment 'two words'");
  EXPECT_EQ(said.find("ready again\nUCX_ERROR_SIGNALS=\nUCX_DEBUG_SIGNO=0\nUCX_MEM_EVENTS=n\n"), 0u)
      << said;
  EXPECT_NE(said.find("UCX_LOG_LEVEL=warn\n"), std::string::npos) << said; // the user's stays
  EXPECT_NE(said.find("argument two words\nmarker gone\n"), std::string::npos) << said;
}

TEST(ucx_environment_test, does_nothing_when_nothing_is_missing) {
  std::string command = without_ucx_variables();
  for (const auto& each : ucx_environment())
    command += std::string(" ") + each.name + "=" + each.value;
  EXPECT_EQ(run(command + " " + peer_program + " environment").find("ready first\n"), 0u);
}

TEST(ucx_environment_test, gives_up_after_one_time) {
  const auto said =
      run(without_ucx_variables() + " TROUPE_UCX_ENVIRONMENT=1 " + peer_program + " environment");
  EXPECT_EQ(said.find("the program was started anew, and UCX_ERROR_SIGNALS is still not set"), 0u)
      << said;
}

} // namespace
} // namespace troupe::transport
