// A real etcd on ports of its own, with its data in a folder of its own. It can be stopped, killed,
// paused and started again with its data.
#pragma once

#include "base/clock.hpp"
#include "storage/etcd/etcd_client.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace troupe::tests {

// Whether it becomes true, in bounded time.
inline bool comes_true(const std::function<bool()>& condition,
                       duration within = std::chrono::seconds(30)) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class etcd_server {
public:
  static bool installed() { return std::system("command -v etcd > /dev/null 2>&1") == 0; }

  // `more`: further options; https when there is a certificate among them.
  explicit etcd_server(std::vector<std::string> more = {}) : more_(std::move(more)) {
    folder_ = testing::TempDir() + "troupe_etcd_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    for (const auto& option : more_)
      if (option.starts_with("--cert-file")) scheme_ = "https";
    // Somebody else may take the ports between two moments; then others are tried.
    for (int i = 0; i < 5 && !running(); ++i) {
      std::filesystem::remove_all(folder_ + "/data");
      client_port_ = free_port();
      peer_port_ = free_port();
      start();
    }
    EXPECT_TRUE(running()) << "etcd does not start; its output is in " << folder_;
  }
  etcd_server(const etcd_server&) = delete;
  etcd_server& operator=(const etcd_server&) = delete;
  ~etcd_server() {
    kill();
    std::filesystem::remove_all(folder_);
  }

  std::string endpoint() const { return "127.0.0.1:" + std::to_string(client_port_); }
  bool running() const { return process_ > 0; }

  // Returns when it answers; the data of before are there.
  void start() {
    const auto url = scheme_ + "://" + endpoint();
    const auto peer = "http://127.0.0.1:" + std::to_string(peer_port_);
    std::vector<std::string> words = {"etcd",
                                      "--name",
                                      "one",
                                      "--data-dir",
                                      folder_ + "/data",
                                      "--listen-client-urls",
                                      url,
                                      "--advertise-client-urls",
                                      url,
                                      "--listen-peer-urls",
                                      peer,
                                      "--initial-advertise-peer-urls",
                                      peer,
                                      "--initial-cluster",
                                      "one=" + peer};
    words.insert(words.end(), more_.begin(), more_.end());
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const std::string output = folder_ + "/output";
    process_ = fork();
    if (process_ == 0) {
      const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(file, 1);
      dup2(file, 2);
      execvp("etcd", arguments.data());
      _exit(127);
    }
    if (!comes_true([this] { return ended() || is_open(); })) kill();
    if (ended()) process_ = 0;
  }

  void kill() {
    if (!running()) return;
    ::kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = 0;
  }
  void pause() {
    ::kill(process_, SIGSTOP);
    waitpid(process_, nullptr, WUNTRACED); // until it has stopped
  }
  void go_on() { ::kill(process_, SIGCONT); }

private:
  // Below the ports that outgoing connections take: nobody's connection has it when etcd starts
  // again, and a look whether it is open does not connect to itself.
  static uint16_t free_port() {
    static uint32_t tried = static_cast<uint32_t>(getpid()) * 31;
    for (int attempt = 0; attempt < 1000; ++attempt) {
      const auto port = static_cast<uint16_t>(12'000 + tried++ % 20'000);
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      const auto address = loopback(port);
      const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
      close(fd);
      if (free) return port;
    }
    ADD_FAILURE() << "no port is free";
    return 0;
  }
  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  bool is_open() const {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const auto address = loopback(client_port_);
    const bool open = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return open;
  }
  bool ended() {
    if (process_ <= 0) return true;
    return waitpid(process_, nullptr, WNOHANG) == process_;
  }

  std::vector<std::string> more_;
  std::string scheme_ = "http";
  std::string folder_;
  uint16_t client_port_ = 0;
  uint16_t peer_port_ = 0;
  pid_t process_ = 0;
};

} // namespace troupe::tests

// The first line of a fixture's SetUp.
#define TROUPE_NEEDS_ETCD()                     \
  if (!troupe::tests::etcd_server::installed()) \
  GTEST_SKIP() << "no etcd here: install the package etcd-server"
