// The progress thread: it owns the worker, the connections and the sessions, and calls the
// listener.
#include "transport/ucx/ucx_endpoint.hpp"

#include "base/check.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "transport/session/frame_gate.hpp"
#include "transport/session/handshake.hpp"
#include "transport/session/peer_book.hpp"
#include "transport/session/rivalry.hpp"
#include "transport/ucx/buffer_pool.hpp"
#include "transport/ucx/connection.hpp"
#include "transport/ucx/idle_policy.hpp"
#include "transport/ucx/lanes.hpp"
#include "transport/ucx/socket_address.hpp"
#include "transport/ucx/ucx_worker.hpp"

#include <signal.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace troupe::transport {
namespace {

using std::chrono::milliseconds;

constexpr size_t strangers_max = 64;  // connections that have not proven anything yet
constexpr size_t askers_max = 16;     // sessions that fetch the description
constexpr size_t troubles_max = 1024; // remembered, so as not to log them again
constexpr size_t lookups_max = 16;
constexpr uint64_t window_slack = 128;              // of the receiver beyond the sender's window
constexpr size_t idle_bytes_min = size_t{64} << 20; // of buffers kept for the next frame
constexpr uint64_t offered_bytes_slack = uint64_t{64} << 20;
constexpr duration control_every = std::chrono::microseconds(200); // while frames keep us busy
constexpr duration timers_every = milliseconds(1);
constexpr duration goodbye_max = std::chrono::seconds(2);
constexpr duration ports_open = milliseconds(500); // for the rest of the links of a worker
constexpr size_t description_unsent_max = 256 << 10;

// Numbers of what epoll watches; sessions have numbers above.
constexpr uint64_t watch_wake = 2, watch_listen = 4, session_first = 16;
constexpr uint64_t watch_worker = 1; // the lowest bit of a session's number is free for its worker

enum class stage : uint8_t {
  looking_up, // the name of the host
  connecting, // TCP
  shaking,    // proving who we are
  awaiting,   // for the responder's verdict
  proving,    // accepted; the first frame over UCX is to come
  up,
  describing, // sends the description and ends
};

struct session {
  uint64_t id = 0;
  stage at = stage::shaking;
  bool initiated = false;
  peer_book::dial dialled;
  std::optional<connection> control;
  uint32_t watched = 0; // events that epoll has for it
  std::optional<handshake> shake;
  time_point deadline{}; // of what comes before `up`
  hello peer;
  std::shared_ptr<const aead_key> seal, open; // null when frames travel in clear
  std::optional<frame_gate<frame_buffer>> gate;
  std::unique_ptr<ucx_worker> worker; // from the acceptance on
  bool worker_asleep = false;         // armed: epoll says when it has work
  time_point worker_busy{}, up_at{};
  bool shut = false;          // the ports of the worker
  uint64_t offered_bytes = 0; // of large frames on their way to us
  uint32_t bad_frames = 0, silent_beats = 0, stalled_beats = 0;
  uint64_t frames_taken = 0;         // by the peer, as it says
  bool probed = false;               // our first frame is on its way
  size_t described = 0;              // bytes of the description sent
  std::optional<std::string> doomed; // why it is to be closed, by now or soon

  const std::string& name() const { return peer.identity.name; }
  bool accepted() const { return at == stage::proving || at == stage::up; }
};

// Answers of name look-ups, which outlive the endpoint when the name server is slow.
struct lookup_box {
  struct answer {
    uint64_t session;
    result<socket_address> address;
  };
  std::mutex mutex;
  std::vector<answer> answers;
  size_t running = 0;
  file_handle wake;
};

void ring(int fd) {
  const uint64_t one = 1;
  static_cast<void>(!::write(fd, &one, sizeof one)); // full means that it rings already
}

class ucx_endpoint_core final : public ucx_endpoint, ucx_worker_listener {
public:
  ucx_endpoint_core(ucx_options options, endpoint_listener& listener)
      : options_(std::move(options)),
        listener_(listener),
        pool_(std::max(idle_bytes_min, 2 * static_cast<size_t>(options_.bounds.frame_bytes_max))),
        lanes_({.bounds = options_.bounds}, pool_, [this] { wake(); }),
        idle_(options_.spin),
        book_(options_.self,
              {.redial_first = options_.redial_first, .redial_max = options_.redial_max}) {}

  ~ucx_endpoint_core() override {
    stopping_ = true;
    if (wake_) ring(wake_.fd());
    if (thread_.joinable()) thread_.join();
  }

  status open();

  const node_identity& self() const override { return options_.self; }
  status send(const std::string& peer, std::span<const std::byte> header,
              std::span<const std::byte> payload) override {
    return lanes_.send(peer, header, payload);
  }
  size_t credit(const std::string& peer) const override { return lanes_.credit(peer); }
  std::vector<node_identity> peers() const override { return lanes_.peers(); }
  endpoint_counters counters() const override;
  const std::string& listen_address() const override { return listen_address_; }
  const std::string& advertised_address() const override { return options_.advertise; }
  std::vector<book_entry> address_book() const override {
    std::lock_guard lock(shared_mutex_);
    return shared_book_;
  }
  void add_peer(const peer_address& peer) override {
    post([this, peer] {
      if (valid_address(peer.address) && (peer.name.empty() || valid_name(peer.name)))
        book_.configure(peer.name, peer.address, now_);
    });
  }
  void drop_peer(const std::string& name) override {
    post([this, name] {
      if (session* found = accepted_session(name)) doom(*found, "given up by this node");
    });
  }

private:
  // Set-up.
  status listen();
  status watch(int fd, uint64_t what, uint32_t events);

  // The thread.
  void run();
  bool turn();
  bool progress_workers();
  void rest();
  void poll_control(int timeout_ms);
  void handle_event(uint64_t what, uint32_t events);
  void run_commands();
  void run_timers();
  void beat();
  void stop();
  void wake();
  void post(std::function<void()> command);

  // Sessions from nothing to up.
  void accept_strangers();
  void dial(const peer_book::dial& to);
  void connect(session& s, const socket_address& to);
  void take_lookups();
  session& add_session(stage first);
  void update_watch(session& s);
  void session_event(session& s, uint32_t events);
  void take_records(session& s);
  void take_handshake(session& s, std::span<const std::byte> record);
  bool check_responder(session& s);
  void take_request(session& s);
  void accept_session(session& s);
  void open_data_path(session& s);
  void become_up(session& s);
  void send_description(session& s);

  // Sessions that are up.
  void take_control(session& s, const control_record& record);
  void take_control(session& s, const verdict_record& record);
  void take_control(session& s, const book_record& record);
  void take_control(session& s, const data_path_record& record);
  void say(session& s, const control_record& record);
  void tell_book(session& s, const std::vector<book_entry>& entries);
  void publish_book();
  void post_frames();
  void send_frame(session& s, lanes::frame frame);
  void drain(session& s);
  session* session_of(uint64_t tag, const result<frame_head>& head);
  void count_bad(session* s, frame_verdict verdict);
  void frame_opened(session& s, const frame_head& head, frame_buffer body);

  // And to nothing again.
  void doom(session& s, std::string why);
  void close_doomed();
  void close(uint64_t id);
  void retire(session& s);

  // The worker's calls.
  void frame_arrived(uint64_t tag, std::span<const std::byte> head,
                     std::span<const std::byte> body) override;
  bool frame_offered(uint64_t tag, std::span<const std::byte> head, size_t body_bytes) override;
  void frame_fetched(uint64_t tag, std::span<const std::byte> head, frame_buffer body) override;
  void frame_sent(uint64_t tag, uint64_t sequence, bool taken) override;
  void link_failed(uint64_t tag, std::string why) override;

  session* find(uint64_t id) {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : found->second.get();
  }
  session* accepted_session(const std::string& name) {
    for (auto& [id, each] : sessions_)
      if (each->accepted() && !each->doomed && each->name() == name) return each.get();
    return nullptr;
  }
  hello own_hello(uint64_t session) const {
    return {options_.self, options_.advertise, session, options_.bounds.frame_bytes_max};
  }
  handshake_options shake_options(uint64_t session) const {
    return {options_.key, own_hello(session), session_purpose::peer, options_.encrypt};
  }

  ucx_options options_;
  endpoint_listener& listener_;
  system_clock clock_;
  std::string listen_address_;
  buffer_pool pool_; // outlives the worker and the lanes
  file_handle epoll_, wake_, listening_;
  lanes lanes_;
  std::unique_ptr<ucx_context> context_; // outlives the workers
  std::thread thread_;
  std::atomic<bool> stopping_{false}, sleeping_{false}, commanded_{false};

  mutable std::mutex shared_mutex_;
  std::vector<std::function<void()>> commands_;
  std::vector<book_entry> shared_book_;
  endpoint_counters shared_counters_; // what the progress thread counts

  // The progress thread's own.
  idle_policy idle_;
  time_point busy_at_{}, now_{}, next_beat_{}, next_control_{}, next_timers_{};
  bool accepting_ = true;
  peer_book book_;
  std::map<uint64_t, std::unique_ptr<session>> sessions_;
  struct retired {
    std::unique_ptr<ucx_worker> worker;
    time_point deadline;
  };
  std::vector<retired> retired_; // closed workers whose operations have to end
  std::vector<uint64_t> doomed_;
  std::map<std::string, std::string> last_trouble_; // by dialled key: a reason is logged once
  std::shared_ptr<lookup_box> lookups_ = std::make_shared<lookup_box>(); // shared with look-ups

  template <class Member>
  void count(Member endpoint_counters::*which, uint64_t amount = 1) {
    std::lock_guard lock(shared_mutex_);
    shared_counters_.*which += amount;
  }
};

// --- Set-up
// ---------------------------------------------------------------------------------------

status ucx_endpoint_core::open() {
  epoll_ = file_handle(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = file_handle(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_ || !wake_) return status(status_code::exhausted, "no file descriptors left");
  lookups_->wake = file_handle(::fcntl(wake_.fd(), F_DUPFD_CLOEXEC, 0));
  if (!lookups_->wake) return status(status_code::exhausted, "no file descriptors left");
  TROUPE_RETURN_IF_ERROR(listen());
  auto context =
      ucx_context::open({.transports = options_.transports, .devices = options_.devices});
  if (!context) return context.error();
  context_ = std::move(*context);
  TROUPE_RETURN_IF_ERROR(watch(wake_.fd(), watch_wake, EPOLLIN));
  TROUPE_RETURN_IF_ERROR(watch(listening_.fd(), watch_listen, EPOLLIN));
  now_ = clock_.now();
  next_beat_ = now_ + options_.heartbeat;
  for (const auto& peer : options_.peers) book_.configure(peer.name, peer.address, now_);

  // Signals are for other threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

status ucx_endpoint_core::listen() {
  const auto wanted = resolve(options_.listen);
  if (!wanted) return wanted.error().within("listen");
  auto socket = listen_on(*wanted);
  if (!socket) return socket.error();
  listening_ = std::move(*socket);
  const auto got = local_address(listening_.fd());
  if (!got) return got.error();
  listen_address_ = to_string(*got);
  if (options_.advertise.empty()) {
    if (got->is_any())
      return status(status_code::invalid_argument,
                    text("listening on ", listen_address_,
                         " needs an address to advertise: others cannot dial that one"));
    options_.advertise = listen_address_;
  }
  // UCX opens ports of its own, on every device it may use.
  if (options_.devices.empty()) options_.devices = device_of(*got);
  return {};
}

status ucx_endpoint_core::watch(int fd, uint64_t what, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = what;
  if (::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event) != 0)
    return status(status_code::exhausted, "epoll takes no more descriptors");
  return {};
}

endpoint_counters ucx_endpoint_core::counters() const {
  endpoint_counters out = lanes_.counters();
  std::lock_guard lock(shared_mutex_);
  out.frames_received = shared_counters_.frames_received;
  out.bytes_received = shared_counters_.bytes_received;
  out.dropped_stale = shared_counters_.dropped_stale;
  out.dropped_forged = shared_counters_.dropped_forged;
  out.dropped_replayed = shared_counters_.dropped_replayed;
  out.dropped_truncated = shared_counters_.dropped_truncated;
  out.dropped_oversized = shared_counters_.dropped_oversized;
  out.refused_handshakes = shared_counters_.refused_handshakes;
  out.sessions_opened = shared_counters_.sessions_opened;
  return out;
}

// --- The thread
// -----------------------------------------------------------------------------------

void ucx_endpoint_core::run() {
  busy_at_ = clock_.now();
  bool waiting = false, slept = false;
  while (!stopping_) {
    if (turn()) {
      if (std::exchange(waiting, false)) idle_.came(now_ - busy_at_, std::exchange(slept, false));
      busy_at_ = now_;
      continue;
    }
    waiting = true;
    switch (idle_.next(now_ - busy_at_)) {
      case idle_act::look:
        break;
      case idle_act::yield:
        std::this_thread::yield();
        break;
      case idle_act::sleep:
        slept = true;
        rest();
        break;
    }
  }
  stop();
}

bool ucx_endpoint_core::turn() {
  now_ = clock_.now();
  bool busy = progress_workers();
  if (lanes_.claim_work()) {
    post_frames();
    busy = true;
  }
  if (commanded_) {
    run_commands();
    busy = true;
  }
  if (now_ >= next_control_) poll_control(0);
  if (now_ >= next_timers_) run_timers();
  close_doomed();
  return busy;
}

// Workers that have had nothing to do for a while sleep one by one, so that a busy peer does not
// pay for the quiet ones.
bool ucx_endpoint_core::progress_workers() {
  bool busy = false;
  for (auto& [id, each] : sessions_) {
    session& s = *each;
    if (!s.worker || s.worker_asleep) continue;
    if (s.worker->progress() > 0) {
      s.worker_busy = now_;
      busy = true;
    } else if (now_ - s.worker_busy >= idle_.patience() && s.worker->arm()) {
      s.worker_asleep = true;
    }
  }
  for (auto& each : retired_) each.worker->progress();
  std::erase_if(retired_, [this](const retired& each) {
    return each.worker->operations() == 0 || now_ >= each.deadline;
  });
  return busy;
}

void ucx_endpoint_core::rest() {
  sleeping_ = true; // from here on send() rings
  const bool awake = std::any_of(sessions_.begin(), sessions_.end(), [](const auto& each) {
    return each.second->worker && !each.second->worker_asleep;
  });
  if (!lanes_.has_work() && !commanded_ && !stopping_ && !awake && retired_.empty()) {
    time_point until = next_beat_;
    if (const auto due = book_.next_due()) until = std::min(until, *due);
    for (const auto& [id, each] : sessions_)
      if (each->at != stage::up) until = std::min(until, each->deadline);
    const auto left = std::chrono::ceil<milliseconds>(until - now_).count();
    poll_control(static_cast<int>(std::clamp<int64_t>(left, 0, 1000)));
  } else {
    std::this_thread::yield();
  }
  sleeping_ = false;
}

void ucx_endpoint_core::poll_control(int timeout_ms) {
  std::array<epoll_event, 64> events;
  const int got =
      ::epoll_wait(epoll_.fd(), events.data(), static_cast<int>(events.size()), timeout_ms);
  now_ = clock_.now();
  next_control_ = now_ + control_every;
  for (int i = 0; i < got; ++i) {
    const auto& event = events[static_cast<size_t>(i)];
    handle_event(event.data.u64, event.events);
  }
}

void ucx_endpoint_core::handle_event(uint64_t what, uint32_t events) {
  if (what == watch_listen) return accept_strangers();
  if (what == watch_wake) {
    uint64_t rings = 0;
    static_cast<void>(!::read(wake_.fd(), &rings, sizeof rings));
    return take_lookups();
  }
  session* s = find(what & ~watch_worker);
  if (s == nullptr) return;
  if ((what & watch_worker) == 0) return session_event(*s, events);
  s->worker_asleep = false;
  s->worker_busy = now_;
}

void ucx_endpoint_core::wake() {
  if (sleeping_) ring(wake_.fd());
}

void ucx_endpoint_core::post(std::function<void()> command) {
  {
    std::lock_guard lock(shared_mutex_);
    commands_.push_back(std::move(command));
  }
  commanded_ = true;
  wake();
}

void ucx_endpoint_core::run_commands() {
  commanded_ = false;
  std::vector<std::function<void()>> commands;
  {
    std::lock_guard lock(shared_mutex_);
    commands.swap(commands_);
  }
  for (const auto& command : commands) command();
}

void ucx_endpoint_core::run_timers() {
  next_timers_ = now_ + timers_every;
  if (now_ >= next_beat_) beat();
  if (const auto due = book_.next_due(); due && *due <= now_)
    for (const auto& each : book_.due(now_)) dial(each);
  for (auto& [id, each] : sessions_) {
    if ((each->at < stage::up || each->at == stage::describing) && now_ >= each->deadline &&
        !each->doomed)
      doom(*each, each->at <= stage::connecting ? "no connection in time" : "no session in time");
  }
}

// Counted in beats and not in time, so that a pause of this process is no silence of others.
void ucx_endpoint_core::beat() {
  next_beat_ = now_ + options_.heartbeat;
  if (!accepting_) {
    accepting_ = true;
    static_cast<void>(watch(listening_.fd(), watch_listen, EPOLLIN).ok());
  }
  for (auto& [id, each] : sessions_) {
    session& s = *each;
    if (s.at != stage::up || s.doomed) continue;
    say(s, heartbeat_record{s.gate->next()});
    if (!s.shut && now_ - s.up_at >= ports_open) {
      s.shut = true;
      if (!s.worker->shut_ports())
        log::warn("transport: a port of UCX stays open: strangers must not reach this machine");
    }
    if (++s.silent_beats * options_.heartbeat > options_.silence_max)
      doom(s, "nothing was heard of it");
    const bool waits = lanes_.posted_end(s.name()) > s.frames_taken;
    s.stalled_beats = waits ? s.stalled_beats + 1 : 0;
    if (s.stalled_beats * options_.heartbeat > options_.stall_max) doom(s, "it takes no frames");
  }
}

void ucx_endpoint_core::stop() {
  for (auto& [id, each] : sessions_)
    if (each->at == stage::up) say(*each, farewell_record{});
  for (auto& [id, each] : sessions_) {
    if (each->at == stage::up) lanes_.close(each->name());
    retire(*each);
  }
  sessions_.clear();
  const time_point deadline = clock_.now() + goodbye_max;
  while (!retired_.empty() && now_ < deadline) {
    now_ = clock_.now();
    progress_workers();
  }
  retired_.clear();
  context_.reset();
}

// --- Sessions from nothing to up
// ------------------------------------------------------------------

session& ucx_endpoint_core::add_session(stage first) {
  auto made = std::make_unique<session>();
  do {
    made->id = random_number() & ~watch_worker;
  } while (made->id < session_first || sessions_.count(made->id) != 0);
  made->at = first;
  made->deadline =
      now_ + (first <= stage::connecting ? options_.connect_timeout : options_.handshake_timeout);
  const uint64_t id = made->id;
  return *sessions_.emplace(id, std::move(made)).first->second;
}

void ucx_endpoint_core::accept_strangers() {
  for (size_t i = 0; i < strangers_max; ++i) {
    file_handle socket(::accept4(listening_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        // Until the next beat: the event would come again and again.
        accepting_ = false;
        ::epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, listening_.fd(), nullptr);
        log::warn("transport: no file descriptors left for new peers");
      }
      return;
    }
    session* oldest = nullptr;
    size_t strangers = 0;
    for (auto& [id, each] : sessions_) {
      if (each->initiated || each->at != stage::shaking || each->doomed) continue;
      ++strangers;
      if (oldest == nullptr || each->deadline < oldest->deadline) oldest = each.get();
    }
    // The oldest has had the most time; a peer needs milliseconds.
    if (strangers >= strangers_max) doom(*oldest, "too many strangers");
    session& s = add_session(stage::shaking);
    s.control.emplace(std::move(socket));
    s.shake.emplace(handshake::respond(shake_options(s.id)));
    update_watch(s);
  }
}

void ucx_endpoint_core::dial(const peer_book::dial& to) {
  session& s = add_session(stage::looking_up);
  s.initiated = true;
  s.dialled = to;
  if (const auto numeric = parse_numeric(to.address)) return connect(s, *numeric);
  {
    std::lock_guard lock(lookups_->mutex);
    if (lookups_->running >= lookups_max) return doom(s, "too many name look-ups at a time");
    ++lookups_->running;
  }
  // A name server may take longer than the endpoint lives.
  std::thread([box = lookups_, id = s.id, address = to.address] {
    auto found = resolve(address);
    std::lock_guard lock(box->mutex);
    --box->running;
    box->answers.push_back({id, std::move(found)});
    ring(box->wake.fd());
  }).detach();
}

void ucx_endpoint_core::take_lookups() {
  std::vector<lookup_box::answer> answers;
  {
    std::lock_guard lock(lookups_->mutex);
    answers.swap(lookups_->answers);
  }
  for (const auto& answer : answers) {
    session* s = find(answer.session);
    if (s == nullptr || s->at != stage::looking_up || s->doomed) continue;
    if (answer.address) {
      connect(*s, *answer.address);
    } else {
      doom(*s, answer.address.error().why());
    }
  }
}

void ucx_endpoint_core::connect(session& s, const socket_address& to) {
  auto made = connection::dial(to);
  if (!made) return doom(s, made.error().why());
  s.control.emplace(std::move(*made));
  s.at = stage::connecting;
  update_watch(s);
}

void ucx_endpoint_core::update_watch(session& s) {
  const uint32_t wanted =
      (s.control->connecting() ? 0u : EPOLLIN) | (s.control->wants_to_write() ? EPOLLOUT : 0u);
  if (wanted == s.watched) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = s.id;
  const int how = s.watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(epoll_.fd(), how, s.control->fd(), &event) != 0)
    return doom(s, "epoll takes no more descriptors");
  s.watched = wanted;
}

void ucx_endpoint_core::session_event(session& s, uint32_t events) {
  if (s.doomed || !s.control) return;
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    const bool was_connecting = s.control->connecting();
    if (const auto written = s.control->on_writable(); !written.ok()) return doom(s, written.why());
    if (was_connecting) {
      s.at = stage::shaking;
      s.deadline = now_ + options_.handshake_timeout;
      s.shake.emplace(handshake::initiate(shake_options(s.id)));
      if (const auto sent = s.control->send(s.shake->opening()); !sent.ok())
        return doom(s, sent.why());
    }
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    const auto read = s.control->on_readable();
    take_records(s);
    if (!read.ok() && !s.doomed) doom(s, read.why());
  }
  if (s.at == stage::describing && !s.doomed) send_description(s);
  if (!s.doomed) update_watch(s);
}

void ucx_endpoint_core::take_records(session& s) {
  while (!s.doomed) {
    auto record = s.control->next();
    if (!record) {
      if (s.at == stage::shaking && !s.initiated) count(&endpoint_counters::refused_handshakes);
      return doom(s, record.error().why());
    }
    if (!record->has_value()) return;
    if (s.at == stage::shaking) {
      take_handshake(s, **record);
      continue;
    }
    s.silent_beats = 0;
    const auto decoded = decode_control_record(**record);
    if (!decoded) return doom(s, decoded.error().why());
    take_control(s, *decoded);
  }
}

void ucx_endpoint_core::take_handshake(session& s, std::span<const std::byte> record) {
  auto answer = s.shake->receive(record);
  if (!answer) {
    count(&endpoint_counters::refused_handshakes);
    return doom(s, text("handshake refused: ", answer.error().why()));
  }
  if (s.shake->done()) {
    s.peer = s.shake->peer();
    if (s.initiated && !check_responder(s)) return;
  }
  if (!answer->empty())
    if (const auto sent = s.control->send(*answer); !sent.ok()) return doom(s, sent.why());
  if (!s.shake->done()) return;
  session_keys keys = s.shake->take_keys();
  s.control->secure(std::move(keys.control_out), std::move(keys.control_in));
  if (options_.encrypt) {
    s.seal = std::make_shared<const aead_key>(std::move(keys.frames_out));
    s.open = std::make_shared<const aead_key>(std::move(keys.frames_in));
  }
  s.gate.emplace(s.open.get(),
                 frame_gate<frame_buffer>::limits{lane_options{}.window + window_slack,
                                                  options_.bounds.frame_bytes_max});
  const bool asks = s.shake->purpose() == session_purpose::description;
  s.shake.reset();
  if (s.initiated) {
    s.at = stage::awaiting;
  } else if (asks) {
    s.at = stage::describing;
    const auto askers = std::count_if(sessions_.begin(), sessions_.end(), [](const auto& each) {
      return each.second->at == stage::describing;
    });
    if (static_cast<size_t>(askers) > askers_max) return doom(s, "too many ask at a time");
    auto known = book_.entries();
    known.push_back({options_.self, options_.advertise});
    tell_book(s, known);
    send_description(s);
  } else {
    take_request(s);
  }
}

// The node that we dialled has proven that it belongs to the cluster; do we want it?
bool ucx_endpoint_core::check_responder(session& s) {
  const auto& peer = s.peer.identity;
  book_.resolved(s.dialled.key, peer.name);
  if (s.dialled.name.empty()) s.dialled.key = s.dialled.name = peer.name;
  if (peer.name == options_.self.name) {
    doom(s, "a node with our own name is there");
    return false;
  }
  if (s.dialled.name != peer.name) {
    doom(s, text("node ", peer.name, " is there and not ", s.dialled.name));
    return false;
  }
  if (book_.highest(peer.name).value_or(0) > peer.incarnation) {
    doom(s, text("incarnation ", peer.incarnation, " of it is there, which is over"));
    return false;
  }
  const session* other = accepted_session(peer.name);
  if (other != nullptr && other->peer.identity.incarnation >= peer.incarnation) {
    doom(s, "it was quicker to dial us");
    return false;
  }
  return true;
}

// A peer asks for a session.
void ucx_endpoint_core::take_request(session& s) {
  rivalry facts;
  facts.self = options_.self;
  facts.peer = s.peer.identity;
  facts.highest = book_.highest(s.name());
  for (const auto& [id, each] : sessions_) {
    if (each.get() == &s || each->doomed || each->name() != s.name()) continue;
    if (each->accepted()) {
      facts.up = each->peer.identity.incarnation;
      facts.up_by_us = each->initiated;
    } else if (each->at == stage::awaiting) {
      facts.closing_by_us = each->peer.identity.incarnation;
    }
  }
  const auto verdict = judge(facts);
  if (verdict == session_verdict::accepted) return accept_session(s);
  if (verdict != session_verdict::duplicate) count(&endpoint_counters::refused_handshakes);
  say(s, verdict_record{verdict});
  doom(s, text("refused as ", to_string(verdict)));
}

void ucx_endpoint_core::accept_session(session& s) {
  for (auto& [id, each] : sessions_) {
    if (each.get() == &s || each->doomed) continue;
    if (each->name() == s.name() || (each->initiated && each->dialled.key == s.name()))
      doom(*each, "replaced by a session that the peer asked for");
  }
  close_doomed(); // peer_down of the old one comes before peer_up of this one
  say(s, verdict_record{session_verdict::accepted});
  if (!s.doomed) open_data_path(s);
}

// Both want the session.
void ucx_endpoint_core::open_data_path(session& s) {
  s.at = stage::proving;
  s.deadline = now_ + options_.handshake_timeout;
  auto worker = ucx_worker::open(*context_, s.id, pool_, *this);
  if (!worker) return doom(s, worker.error().why());
  s.worker = std::move(*worker);
  s.worker_asleep = true; // until it has a link
  if (s.worker->address().size() > worker_address_bytes_max)
    return doom(s, "the address of the UCX worker is too long");
  say(s, data_path_record{s.worker->address()});
}

// The peer has opened its side: show that frames get there.
void ucx_endpoint_core::take_control(session& s, const data_path_record& record) {
  if (s.at != stage::proving || s.probed) return doom(s, "a data path that nobody asked for");
  if (const auto connected = s.worker->connect(record.worker_address); !connected.ok())
    return doom(s, connected.why());
  if (const auto watched = watch(s.worker->event_fd(), s.id | watch_worker, EPOLLIN); !watched.ok())
    return doom(s, watched.why());
  const frame_head head{s.peer.session, 0, 0, frame_kind::probe};
  frame_buffer body = pool_.take(seal_bytes(s.seal != nullptr));
  seal_frame(s.seal.get(), head, {}, {}, body.data());
  s.probed = true;
  send_frame(s, {head, std::move(body)});
  drain(s);
}

void ucx_endpoint_core::send_frame(session& s, lanes::frame frame) {
  s.worker_asleep = false;
  s.worker_busy = now_;
  const bool large = frame.body.size() > options_.rendezvous_over;
  s.worker->send(frame.head.sequence, encode(frame.head), std::move(frame.body), large);
}

void ucx_endpoint_core::become_up(session& s) {
  if (!book_.came_up(s.peer.identity, s.peer.address, now_))
    return doom(s, "the address book is full");
  s.at = stage::up;
  s.up_at = now_;
  s.silent_beats = s.stalled_beats = 0;
  s.frames_taken = 1; // the probe
  last_trouble_.erase(s.name());
  count(&endpoint_counters::sessions_opened);
  lanes_.open({.peer = s.peer.identity,
               .session = s.peer.session,
               .frame_bytes_max = s.peer.frame_bytes_max,
               .key = s.seal,
               .first_sequence = 1});
  publish_book();
  tell_book(s, book_.entries());
  const auto entries = book_.entries();
  const auto own = std::find_if(entries.begin(), entries.end(), [&s](const book_entry& each) {
    return each.identity.name == s.name();
  });
  if (own != entries.end())
    for (auto& [id, each] : sessions_)
      if (each->at == stage::up && each.get() != &s && !each->doomed) tell_book(*each, {*own});
  log::info(text("transport: peer ", s.name(), " incarnation ", s.peer.identity.incarnation,
                 " is up at ", s.peer.address));
  listener_.peer_up(s.peer.identity);
}

void ucx_endpoint_core::send_description(session& s) {
  const auto& all = options_.description;
  while (!s.doomed && s.control->unsent() < description_unsent_max) {
    if (s.described == all.size() && (s.described > 0 || s.frames_taken > 0)) {
      if (s.control->unsent() == 0) s.deadline = std::min(s.deadline, now_ + milliseconds(200));
      return; // the asker closes
    }
    const size_t bytes = std::min(description_part_bytes_max, all.size() - s.described);
    const auto from = all.begin() + static_cast<ptrdiff_t>(s.described);
    s.described += bytes;
    s.frames_taken = 1; // an empty description is sent once, too
    s.deadline = now_ + options_.handshake_timeout;
    say(s,
        description_record{all.size() - s.described, {from, from + static_cast<ptrdiff_t>(bytes)}});
  }
}

// --- Sessions that are up
// -------------------------------------------------------------------------

void ucx_endpoint_core::take_control(session& s, const control_record& record) {
  if (const auto* verdict = std::get_if<verdict_record>(&record)) return take_control(s, *verdict);
  if (const auto* book = std::get_if<book_record>(&record)) return take_control(s, *book);
  if (const auto* path = std::get_if<data_path_record>(&record)) return take_control(s, *path);
  if (const auto* heartbeat = std::get_if<heartbeat_record>(&record)) {
    if (heartbeat->frames_taken != s.frames_taken) s.stalled_beats = 0;
    s.frames_taken = heartbeat->frames_taken;
    return;
  }
  if (std::holds_alternative<farewell_record>(record)) return doom(s, "it stopped in good order");
  doom(s, "a control record that nobody asked for");
}

void ucx_endpoint_core::take_control(session& s, const verdict_record& record) {
  if (s.at != stage::awaiting) return doom(s, "a verdict that nobody asked for");
  if (record.verdict == session_verdict::stale) listener_.outdated();
  if (record.verdict != session_verdict::accepted)
    return doom(s, text("it refuses us: ", to_string(record.verdict)));
  if (accepted_session(s.name()) != nullptr) return doom(s, "it was quicker to dial us");
  open_data_path(s);
}

void ucx_endpoint_core::take_control(session& s, const book_record& record) {
  if (!s.accepted()) return doom(s, "an address book before the session");
  for (const auto& entry : record.entries) book_.hear(entry, now_);
}

void ucx_endpoint_core::say(session& s, const control_record& record) {
  if (const auto sent = s.control->send(encode(record)); !sent.ok()) return doom(s, sent.why());
  update_watch(s);
}

void ucx_endpoint_core::tell_book(session& s, const std::vector<book_entry>& entries) {
  for (size_t from = 0; from < entries.size() && !s.doomed; from += book_entries_max) {
    const auto first = entries.begin() + static_cast<ptrdiff_t>(from);
    const size_t count = std::min(book_entries_max, entries.size() - from);
    say(s, book_record{{first, first + static_cast<ptrdiff_t>(count)}});
  }
}

void ucx_endpoint_core::publish_book() {
  auto entries = book_.entries();
  std::lock_guard lock(shared_mutex_);
  shared_book_ = std::move(entries);
}

void ucx_endpoint_core::post_frames() {
  for (auto& [id, each] : sessions_) {
    session& s = *each;
    if (s.at != stage::up || s.doomed) continue;
    while (auto frame = lanes_.next(s.name())) send_frame(s, std::move(*frame));
  }
}

void ucx_endpoint_core::count_bad(session* s, frame_verdict verdict) {
  switch (verdict) {
    case frame_verdict::fresh:
      return;
    case frame_verdict::forged:
      count(&endpoint_counters::dropped_forged);
      break;
    case frame_verdict::replayed:
      count(&endpoint_counters::dropped_replayed);
      break;
    case frame_verdict::truncated:
      count(&endpoint_counters::dropped_truncated);
      break;
    case frame_verdict::oversized:
      count(&endpoint_counters::dropped_oversized);
      break;
  }
  if (s != nullptr && ++s->bad_frames > options_.bad_frames_max && !s->doomed)
    doom(*s, "too many bad frames");
}

// The session to which a frame with this head can belong; null when it was counted and is to be
// dropped. `tag` is the session whose worker got it.
session* ucx_endpoint_core::session_of(uint64_t tag, const result<frame_head>& head) {
  session* s = find(tag);
  if (s == nullptr || s->doomed) {
    count(&endpoint_counters::dropped_stale);
    return nullptr;
  }
  if (head && head->session == tag) return s;
  count_bad(s, head ? frame_verdict::forged : frame_verdict::truncated);
  return nullptr;
}

void ucx_endpoint_core::frame_arrived(uint64_t tag, std::span<const std::byte> head_bytes,
                                      std::span<const std::byte> body) {
  const auto head = decode_frame_head(head_bytes);
  session* s = session_of(tag, head);
  if (s == nullptr) return;
  if (const auto admitted = s->gate->admit(*head, body.size()); admitted != frame_verdict::fresh)
    return count_bad(s, admitted);
  frame_buffer own = pool_.take(body.size());
  if (const auto verdict = s->gate->open(*head, body, own.data()); verdict != frame_verdict::fresh)
    return count_bad(s, verdict);
  frame_opened(*s, *head, std::move(own));
}

bool ucx_endpoint_core::frame_offered(uint64_t tag, std::span<const std::byte> head_bytes,
                                      size_t body_bytes) {
  const auto head = decode_frame_head(head_bytes);
  session* s = session_of(tag, head);
  if (s == nullptr) return false;
  auto verdict = s->gate->admit(*head, body_bytes);
  // More than a peer may have under way: it does not keep to its own bounds.
  if (verdict == frame_verdict::fresh &&
      s->offered_bytes > lane_options{}.posted_bytes_max + offered_bytes_slack)
    verdict = frame_verdict::oversized;
  if (verdict != frame_verdict::fresh) {
    count_bad(s, verdict);
    return false;
  }
  s->offered_bytes += body_bytes;
  return true;
}

void ucx_endpoint_core::frame_fetched(uint64_t tag, std::span<const std::byte> head_bytes,
                                      frame_buffer body) {
  const auto head = decode_frame_head(head_bytes);
  session* s = session_of(tag, head);
  if (s == nullptr) return;
  s->offered_bytes -= body.size();
  if (const auto verdict = s->gate->open(*head, body.bytes(), body.data());
      verdict != frame_verdict::fresh)
    return count_bad(s, verdict);
  frame_opened(*s, *head, std::move(body));
}

void ucx_endpoint_core::frame_opened(session& s, const frame_head& head, frame_buffer body) {
  s.silent_beats = 0;
  s.gate->insert(head, std::move(body));
  drain(s);
}

// Hands on what is in order. Before the session is up, only the probe is.
void ucx_endpoint_core::drain(session& s) {
  while (s.accepted() && s.probed && !s.doomed) {
    auto frame = s.gate->take();
    if (!frame) return;
    if (frame->head.kind == frame_kind::probe) {
      if (frame->head.sequence != 0) return doom(s, "a probe in the middle of a session");
      become_up(s);
      continue;
    }
    if (s.at != stage::up) return doom(s, "a session that does not begin with a probe");
    const auto all = std::span<const std::byte>(frame->body.bytes())
                         .first(frame->body.size() - seal_bytes(s.open != nullptr));
    const size_t payload_bytes = all.size() - frame->head.header_bytes;
    {
      std::lock_guard lock(shared_mutex_);
      ++shared_counters_.frames_received;
      shared_counters_.bytes_received += all.size();
    }
    listener_.frame_received(s.peer.identity, all.subspan(payload_bytes), all.first(payload_bytes));
  }
}

void ucx_endpoint_core::frame_sent(uint64_t tag, uint64_t sequence, bool taken) {
  session* s = find(tag);
  if (s == nullptr) return;
  if (s->at == stage::up) lanes_.taken(s->name(), sequence, taken);
  if (!taken && !s->doomed) doom(*s, "a frame could not be sent");
}

void ucx_endpoint_core::link_failed(uint64_t tag, std::string why) {
  if (session* s = find(tag)) doom(*s, text("UCX: ", why));
}

// --- And to nothing again
// -------------------------------------------------------------------------

void ucx_endpoint_core::doom(session& s, std::string why) {
  if (s.doomed) return;
  s.doomed = std::move(why);
  doomed_.push_back(s.id);
}

void ucx_endpoint_core::close_doomed() {
  while (!doomed_.empty()) {
    const uint64_t id = doomed_.back();
    doomed_.pop_back();
    close(id);
  }
}

// The worker lives until UCX has let go of its frames.
void ucx_endpoint_core::retire(session& s) {
  if (!s.worker) return;
  ::epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, s.worker->event_fd(), nullptr);
  s.worker->close();
  retired_.push_back({std::move(s.worker), now_ + goodbye_max});
}

void ucx_endpoint_core::close(uint64_t id) {
  const auto node = sessions_.extract(id);
  if (node.empty()) return;
  session& s = *node.mapped();
  retire(s);
  if (s.initiated && s.at != stage::up) {
    book_.failed(s.dialled.key, now_);
    if (last_trouble_.size() >= troubles_max && !last_trouble_.contains(s.dialled.key))
      last_trouble_.clear(); // what still fails is said once more
    auto& last = last_trouble_[s.dialled.key];
    if (last != *s.doomed)
      log::info(text("transport: no session with ", s.dialled.address,
                     s.dialled.name.empty() ? "" : " (" + s.dialled.name + ")", ": ", *s.doomed));
    last = *s.doomed;
  }
  s.control.reset(); // epoll forgets it
  if (s.at != stage::up) return;
  log::info(text("transport: peer ", s.name(), " incarnation ", s.peer.identity.incarnation,
                 " is down: ", *s.doomed));
  lanes_.close(s.name());
  book_.went_down(s.name(), now_);
  listener_.peer_down(s.peer.identity);
}

status validate(const ucx_options& options) {
  const auto wrong = [](std::string why) {
    return status(status_code::invalid_argument, std::move(why));
  };
  if (!valid_name(options.self.name))
    return wrong(text("'", options.self.name, "' is no name of a node: 1 to ", name_bytes_max,
                      " letters, digits, '.', '_' or '-'"));
  if (options.key.size() < cluster_key_bytes_min)
    return wrong(text("the cluster key has ", options.key.size(), " bytes, fewer than ",
                      cluster_key_bytes_min));
  if (!options.advertise.empty() && !valid_address(options.advertise))
    return wrong(text("'", options.advertise, "' is no address to advertise: write host:port"));
  for (const auto& peer : options.peers) {
    if (!peer.name.empty() && !valid_name(peer.name))
      return wrong(text("'", peer.name, "' is no name of a peer"));
    if (!valid_address(peer.address))
      return wrong(text("'", peer.address, "' is no address of a peer: write host:port"));
  }
  if (options.description.size() > description_bytes_max)
    return wrong(text("a description of ", options.description.size(), " bytes, more than ",
                      description_bytes_max));
  if (options.bounds.frame_bytes_max == 0 || options.bounds.frame_bytes_max > uint64_t{1} << 31)
    return wrong("the largest frame must have between one byte and 2 GiB");
  if (options.bounds.queued_frames_max == 0) return wrong("a queue of no frames");
  if (options.heartbeat <= duration::zero() || options.silence_max < options.heartbeat)
    return wrong("the longest silence must be longer than a heartbeat");
  return {};
}

} // namespace

result<std::unique_ptr<ucx_endpoint>> open_ucx_endpoint(ucx_options options,
                                                        endpoint_listener& listener) {
  if (auto valid = validate(options); !valid.ok()) return fail(std::move(valid));
  // A frame that may be sent must fit in an empty queue.
  options.bounds.queued_bytes_max =
      std::max(options.bounds.queued_bytes_max, options.bounds.frame_bytes_max);
  auto made = std::make_unique<ucx_endpoint_core>(std::move(options), listener);
  if (auto opened = made->open(); !opened.ok()) return fail(std::move(opened));
  return std::unique_ptr<ucx_endpoint>(std::move(made));
}

} // namespace troupe::transport
