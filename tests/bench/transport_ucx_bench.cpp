// Latency and bandwidth between two processes of one machine, 1 KiB to 64 MiB: our endpoint over
// UCX with sealed frames, with clear ones and with clear ones that the receiver fetches, a plain
// TCP socket, and ucx_perftest where it is installed. Bytes are checked first; then all take turns,
// and the best of the rounds is printed as JSON lines with the ratio to ucx_perftest. Usage:
// bench_transport_ucx [ROUNDS [BYTES [WAY]]]; keep the machine quiet.
#include "base/clock.hpp"
#include "base/log.hpp"
#include "transport/ucx/socket_address.hpp"
#include "transport/ucx/ucx_endpoint.hpp"
#include "transport/ucx/ucx_environment.hpp"

#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

using troupe::duration;
using troupe::time_point;
namespace transport = troupe::transport;
using bytes = std::vector<std::byte>;
using view = std::span<const std::byte>;

struct size_plan {
  size_t bytes;
  int pings;
  int frames; // of one bandwidth run
  int window; // of them in flight; ucx_perftest has what its buffers hold
};
constexpr std::array<size_plan, 6> plans = {{{1 << 10, 2000, 20480, 512},
                                             {16 << 10, 1000, 8192, 128},
                                             {64 << 10, 1000, 4096, 64},
                                             {1 << 20, 200, 608, 16},
                                             {16 << 20, 20, 60, 4},
                                             {64 << 20, 6, 16, 2}}};

struct figures {
  double latency_us = 0; // half a round trip, median
  double mb_per_s = 0;
};

time_point now() {
  static const troupe::system_clock clock;
  return clock.now();
}
double seconds(duration d) {
  return std::chrono::duration<double>(d).count();
}
double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bytes pattern(size_t count) {
  bytes out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(i * 7 + (i >> 8));
  return out;
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench_transport_ucx: %s\n", why.c_str());
  std::exit(1);
}

// The two sides of a way have a processor each: where the scheduler puts both on one, whoever
// polls keeps the other from its work for as long as a slice of time lasts.
void stay_on(size_t which) {
  static const cpu_set_t allowed = [] { // before anybody was put anywhere
    cpu_set_t out;
    CPU_ZERO(&out);
    static_cast<void>(::sched_getaffinity(0, sizeof out, &out));
    return out;
  }();
  if (CPU_COUNT(&allowed) < 2) return;
  for (size_t i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &allowed) || which-- > 0) continue;
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    CPU_SET(i, &wanted);
    ::sched_setaffinity(0, sizeof wanted, &wanted);
    return;
  }
}

// A child process that runs this program in another role.
class child {
public:
  explicit child(std::vector<std::string> arguments) {
    std::vector<char*> raw;
    for (auto& each : arguments) raw.push_back(each.data());
    raw.push_back(nullptr);
    id_ = ::fork();
    if (id_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL); // it never outlives the bench
      stay_on(1);
      ::execvp(raw[0], raw.data());
      ::_exit(127);
    }
  }
  ~child() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;

private:
  pid_t id_;
};

// --- Our endpoint
// ---------------------------------------------------------------------------------

// Both sides work on the progress thread, as the engine does: a frame is answered where it arrives.
class player final : public transport::endpoint_listener {
public:
  void frame_received(const transport::node_identity& from, view header, view payload) override {
    on_frame(from.name, header, payload);
  }
  void peer_up(const transport::node_identity&) override {
    std::lock_guard lock(mutex);
    up = true;
    changed.notify_all();
  }
  void peer_down(const transport::node_identity&) override {
    if (!ending) die("a peer went down");
  }

  std::function<void(const std::string&, view, view)> on_frame;
  std::mutex mutex;
  std::condition_variable changed;
  bool up = false, finished = false;
  std::atomic<bool> ending = false;

  void finish() {
    std::lock_guard lock(mutex);
    finished = true;
    changed.notify_all();
  }
  void wait(bool player::*what) {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, std::chrono::seconds(120), [&] { return this->*what; }))
      die("nothing happens");
    if (what == &player::finished) finished = false;
  }
};

transport::ucx_options options_of(const std::string& name, const std::string& key,
                                  std::string_view way) {
  transport::ucx_options out;
  out.self = {name, 1};
  out.key = transport::secret::from_hex(key).value();
  out.encrypt = way == "encrypted";
  if (way == "rendezvous") out.rendezvous_over = uint64_t{64} << 10;
  out.bounds.frame_bytes_max = uint64_t{65} << 20;
  out.bounds.queued_bytes_max = uint64_t{256} << 20;
  return out;
}

constexpr std::byte echo{1}, acknowledge{2};

int run_echo(char** arguments) { // KEY SEED encrypted|clear|rendezvous
  player listener;
  std::atomic<transport::endpoint*> out = nullptr;
  int unanswered = 0;
  listener.on_frame = [&](const std::string& from, view header, view payload) {
    while (out == nullptr) {
    }
    // The rest of the header says for how many frames there is one answer.
    uint16_t each = 0;
    std::memcpy(&each, header.data() + 1, sizeof each);
    if (header[0] == acknowledge && ++unanswered < each) return;
    unanswered = 0;
    if (!out.load()->send(from, header, header[0] == echo ? payload : view{}).ok())
      die("no credit");
  };
  auto options = options_of("echo", arguments[0], arguments[2]);
  options.peers = {{"", arguments[1]}};
  auto endpoint = transport::open_ucx_endpoint(options, listener);
  if (!endpoint) die(endpoint.error().why());
  out = endpoint->get();
  listener.ending = true; // with the other side
  for (;;) ::pause();
}

class endpoint_side {
public:
  endpoint_side(const std::string& program, const std::string& way) {
    const auto key = transport::secret::random().hex();
    listener_.on_frame = [this](const std::string&, view, view payload) { on_answer_(payload); };
    auto made = transport::open_ucx_endpoint(options_of("main", key, way), listener_);
    if (!made) die(made.error().why());
    endpoint_ = std::move(*made);
    peer_ = std::make_unique<child>(
        std::vector<std::string>{program, "echo", key, endpoint_->listen_address(), way});
    listener_.wait(&player::up);
  }
  ~endpoint_side() {
    listener_.ending = true;
    peer_.reset();
  }

  void check(const size_plan& plan) {
    const bytes sent = pattern(plan.bytes);
    bool same = false;
    on_answer_ = [&](view payload) {
      same = std::equal(payload.begin(), payload.end(), sent.begin(), sent.end());
      listener_.finish();
    };
    send(echo, sent);
    listener_.wait(&player::finished);
    if (!same) die("bytes came back changed");
  }

  figures measure(const size_plan& plan) {
    const bytes payload = pattern(plan.bytes);
    std::vector<double> laps;
    time_point sent_at{};
    on_answer_ = [&](view) {
      laps.push_back(seconds(now() - sent_at) / 2 * 1e6);
      if (laps.size() >= static_cast<size_t>(plan.pings)) return listener_.finish();
      sent_at = now();
      send(echo, payload);
    };
    sent_at = now();
    send(echo, payload);
    listener_.wait(&player::finished);

    // Two halves of a window take turns, so that one is always under way.
    const int half = plan.window / 2;
    std::atomic<int> halves_sent = 2;
    int answered = 0;
    const auto send_half = [&] {
      for (int i = 0; i < half; ++i) send(acknowledge, payload, half);
    };
    on_answer_ = [&](view) {
      if (++answered * half >= plan.frames) return listener_.finish();
      if (halves_sent * half >= plan.frames) return;
      ++halves_sent;
      send_half();
    };
    const auto begin = now();
    send_half();
    send_half();
    listener_.wait(&player::finished);
    const double took = seconds(now() - begin);
    return {median(laps), static_cast<double>(plan.bytes) * plan.frames / took / 1e6};
  }

private:
  void send(std::byte what, view payload, int answer_each = 1) {
    std::array<std::byte, 3> header = {what};
    const auto each = static_cast<uint16_t>(answer_each);
    std::memcpy(header.data() + 1, &each, sizeof each);
    if (auto sent = endpoint_->send("echo", header, payload); !sent.ok()) die(sent.why());
  }

  player listener_;
  std::function<void(view)> on_answer_;
  std::unique_ptr<transport::ucx_endpoint> endpoint_;
  std::unique_ptr<child> peer_;
};

// --- A plain socket
// -------------------------------------------------------------------------------

void write_all(int fd, view all) {
  while (!all.empty()) {
    const ssize_t written = ::send(fd, all.data(), all.size(), MSG_NOSIGNAL);
    if (written <= 0) die("the socket is closed");
    all = all.subspan(static_cast<size_t>(written));
  }
}
bool read_all(int fd, std::span<std::byte> all) {
  while (!all.empty()) {
    const ssize_t got = ::recv(fd, all.data(), all.size(), 0);
    if (got <= 0) return false;
    all = all.subspan(static_cast<size_t>(got));
  }
  return true;
}

struct socket_order {
  uint64_t bytes = 0;
  uint8_t echo = 0;
};

int run_socket(char** arguments) { // HOST:PORT
  const auto to = transport::parse_numeric(arguments[0]).value();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, to.raw(), to.bytes) != 0) die("cannot connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  socket_order order;
  bytes buffer;
  while (read_all(fd, std::as_writable_bytes(std::span(&order, 1)))) {
    buffer.resize(std::max(buffer.size(), static_cast<size_t>(order.bytes)));
    const auto payload = std::span(buffer).first(order.bytes);
    if (!read_all(fd, payload)) break;
    write_all(fd, order.echo != 0 ? payload : payload.first(1));
  }
  return 0;
}

class socket_side {
public:
  explicit socket_side(const std::string& program) {
    const auto listening =
        transport::listen_on(transport::parse_numeric("127.0.0.1:0").value()).value();
    const auto at = to_string(transport::local_address(listening.fd()).value());
    peer_ = std::make_unique<child>(std::vector<std::string>{program, "socket", at});
    pollfd ready{listening.fd(), POLLIN, 0};
    ::poll(&ready, 1, 10'000);
    socket_ = transport::file_handle(::accept4(listening.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket_) die("no socket");
    const int on = 1;
    setsockopt(socket_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  void check(const size_plan& plan) {
    const bytes sent = pattern(plan.bytes);
    bytes got(plan.bytes);
    send(sent, true);
    if (!read_all(socket_.fd(), got) || got != sent) die("bytes came back changed");
  }

  figures measure(const size_plan& plan) {
    const bytes payload = pattern(plan.bytes);
    bytes got(plan.bytes);
    std::vector<double> laps;
    for (int i = 0; i < plan.pings; ++i) {
      const auto begin = now();
      // What fits in the buffers of the kernel goes whole; larger ones need a reader meanwhile.
      send(payload, true);
      if (!read_all(socket_.fd(), got)) die("the socket is closed");
      laps.push_back(seconds(now() - begin) / 2 * 1e6);
    }
    const auto begin = now();
    int answered = 0;
    const auto answer = [&] {
      if (!read_all(socket_.fd(), std::span(got).first(1))) die("the socket is closed");
      ++answered;
    };
    for (int i = 0; i < plan.frames; ++i) {
      if (i - answered >= plan.window) answer();
      send(payload, false);
    }
    while (answered < plan.frames) answer();
    return {median(laps),
            static_cast<double>(plan.bytes) * plan.frames / seconds(now() - begin) / 1e6};
  }

private:
  void send(view payload, bool want_echo) {
    socket_order order;
    order.bytes = payload.size();
    order.echo = want_echo ? 1 : 0;
    write_all(socket_.fd(), std::as_bytes(std::span(&order, 1)));
    write_all(socket_.fd(), payload);
  }

  std::unique_ptr<child> peer_;
  transport::file_handle socket_;
};

// --- ucx_perftest
// ---------------------------------------------------------------------------------

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 512> line;
  while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe) != nullptr)
    out += line.data();
  if (pipe != nullptr) ::pclose(pipe);
  return out;
}

// One figure of "ucx_perftest -f": the words of its last line.
std::vector<double> perftest(const char* test, const size_plan& plan, int count) {
  static int port = 23000 + static_cast<int>(::getpid() % 10000);
  ++port;
  const std::string setting = "UCX_TLS=tcp,self UCX_NET_DEVICES=lo UCX_WARN_UNUSED_ENV_VARS=n ";
  const std::string at = " -p " + std::to_string(port);
  const child server({"sh", "-c", setting + "exec ucx_perftest" + at + " >/dev/null 2>&1"});
  for (int tries = 0; tries < 50; ++tries) {
    ::poll(nullptr, 0, 100); // until the server listens
    const auto said =
        output_of(setting + "timeout 120 ucx_perftest 127.0.0.1" + at + " -f -t " + test + " -s " +
                  std::to_string(plan.bytes) + " -n " + std::to_string(count) + " -w " +
                  std::to_string(std::max(1, count / 10)) + " 2>/dev/null");
    const size_t last = said.find_last_of('\n', said.empty() ? 0 : said.size() - 2);
    const char* at_word = said.c_str() + (last == std::string::npos ? 0 : last + 1);
    std::vector<double> words;
    for (;;) {
      char* end = nullptr;
      const double word = std::strtod(at_word, &end);
      if (end == at_word) break;
      words.push_back(word);
      at_word = end;
    }
    if (words.size() >= 6) return words;
  }
  return {};
}

figures measure_perftest(const size_plan& plan) {
  // iterations, percentile latency, average, overall, bandwidth average, overall, rates
  const auto latency = perftest("ucp_am_lat", plan, plan.pings);
  const auto bandwidth = perftest("ucp_am_bw", plan, plan.frames);
  figures out;
  if (latency.size() >= 2) out.latency_us = latency[1];
  if (bandwidth.size() >= 6) out.mb_per_s = bandwidth[5] * 1048576 / 1e6;
  return out;
}

// The best of all rounds: what a busy machine adds is no property of a way. Medians stand beside.
struct summary {
  figures best, usual;
};
summary summarise(const std::vector<figures>& rounds) {
  std::vector<double> latency, bandwidth;
  for (const auto& each : rounds) {
    latency.push_back(each.latency_us);
    bandwidth.push_back(each.mb_per_s);
  }
  return {{*std::min_element(latency.begin(), latency.end()),
           *std::max_element(bandwidth.begin(), bandwidth.end())},
          {median(latency), median(bandwidth)}};
}

void print(const size_plan& plan, const std::map<std::string, std::vector<figures>>& all) {
  for (const auto& [name, rounds] : all) {
    const summary mine = summarise(rounds);
    std::printf(
        "{\"bench\": \"transport_ucx\", \"way\": \"%s\", \"bytes\": %zu, \"latency_us\": %.1f, "
        "\"mb_per_s\": %.0f, \"latency_median_us\": %.1f, \"mb_per_s_median\": %.0f",
        name.c_str(), plan.bytes, mine.best.latency_us, mine.best.mb_per_s, mine.usual.latency_us,
        mine.usual.mb_per_s);
    if (const auto found = all.find("ucx_perftest"); found != all.end()) {
      const figures other = summarise(found->second).best;
      std::printf(", \"latency_to_perftest\": %.2f, \"time_per_byte_to_perftest\": %.2f",
                  mine.best.latency_us / other.latency_us, other.mb_per_s / mine.best.mb_per_s);
    }
    std::printf(", \"rounds\": %zu}\n", rounds.size());
  }
  std::fflush(stdout);
}

int run_bench(const std::string& program, int rounds, size_t only_bytes, std::string_view only) {
  const bool has_perftest = std::system("command -v ucx_perftest >/dev/null 2>&1") == 0;
  stay_on(0);
  if (!has_perftest) std::fprintf(stderr, "ucx_perftest is not installed (package ucx-utils)\n");
  endpoint_side encrypted(program, "encrypted"), clear(program, "clear"),
      rendezvous(program, "rendezvous");
  socket_side socket(program);
  const std::pair<std::string, std::function<figures(const size_plan&)>> ways[] = {
      {"encrypted", [&](const size_plan& plan) { return encrypted.measure(plan); }},
      {"clear", [&](const size_plan& plan) { return clear.measure(plan); }},
      {"rendezvous", [&](const size_plan& plan) { return rendezvous.measure(plan); }},
      {"socket", [&](const size_plan& plan) { return socket.measure(plan); }},
      {"ucx_perftest", measure_perftest}};
  for (const auto& plan : plans) {
    if (only_bytes != 0 && plan.bytes != only_bytes) continue;
    encrypted.check(plan);
    clear.check(plan);
    rendezvous.check(plan);
    socket.check(plan);
    std::map<std::string, std::vector<figures>> all;
    for (int round = 0; round < rounds; ++round)
      for (const auto& [name, measure] : ways)
        if ((only.empty() || only == name) && (name != "ucx_perftest" || has_perftest))
          all[name].push_back(measure(plan));
    print(plan, all);
  }
  return 0;
}

} // namespace

int main(int count, char** arguments) {
  if (const auto prepared = transport::prepare_ucx_environment(arguments); !prepared.ok())
    std::fprintf(stderr, "%s\n", prepared.why().c_str());
  troupe::log::set_level(troupe::log::level::warn);
  const std::string_view role = count > 1 ? arguments[1] : "";
  if (role == "echo" && count == 5) return run_echo(arguments + 2);
  if (role == "socket" && count == 3) return run_socket(arguments + 2);
  return run_bench("/proc/self/exe", std::max(1, count > 1 ? std::atoi(arguments[1]) : 3),
                   count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 0,
                   count > 3 ? arguments[3] : "");
}
