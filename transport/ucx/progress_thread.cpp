// The loop of the progress thread, and what it does from time to time.
#include "transport/ucx/endpoint_core.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>

namespace troupe::transport {
namespace {

constexpr duration control_every = std::chrono::microseconds(200); // while frames keep us busy
constexpr duration timers_every = std::chrono::milliseconds(1);
constexpr duration ports_open = std::chrono::milliseconds(500); // for the rest of a worker's links

} // namespace

void ucx_endpoint_core::run() {
  running_ = std::this_thread::get_id();
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
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now_).count();
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

// On the progress thread itself (a listener that answers) the first piece of a frame goes before
// the second is sealed.
void ucx_endpoint_core::frames_wait() {
  if (running_.load() != std::this_thread::get_id()) return wake();
  post_frames();
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

} // namespace troupe::transport
