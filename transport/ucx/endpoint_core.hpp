// The endpoint behind ucx_endpoint.hpp: one progress thread owns the workers, the connections and
// the sessions, and calls the listener. Its functions stand by what they do:
//   ucx_endpoint.cpp      set-up, and what other threads ask for
//   progress_thread.cpp   the loop: polling, sleeping, timers, the end
//   session_opening.cpp   sessions from nothing to accepted
//   session_control.cpp   the data path, control records, what is said to the peer
//   session_frames.cpp    frames both ways
//   session_closing.cpp   and to nothing again
#pragma once

#include "transport/session/peer_book.hpp"
#include "transport/ucx/buffer_pool.hpp"
#include "transport/ucx/idle_policy.hpp"
#include "transport/ucx/lanes.hpp"
#include "transport/ucx/name_lookups.hpp"
#include "transport/ucx/peer_session.hpp"
#include "transport/ucx/socket_address.hpp"
#include "transport/ucx/ucx_endpoint.hpp"
#include "transport/ucx/ucx_worker.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::transport {

// Numbers of what epoll watches; sessions have numbers above.
constexpr uint64_t watch_wake = 2, watch_listen = 4, session_first = 16;
constexpr uint64_t watch_worker = 1; // the lowest bit of a session's number is free for its worker

// Of a piece: with all heads it fits in what UCX writes at once.
constexpr uint64_t piece_bytes = uint64_t{63} << 10;
constexpr duration goodbye_max = std::chrono::seconds(2);
constexpr size_t idle_bytes_min = size_t{64} << 20; // of buffers kept for the next frame

class ucx_endpoint_core final : public ucx_endpoint, ucx_worker_listener {
public:
  ucx_endpoint_core(ucx_options options, endpoint_listener& listener)
      : options_(std::move(options)),
        listener_(listener),
        pool_(std::max(idle_bytes_min, 2 * static_cast<size_t>(options_.bounds.frame_bytes_max))),
        lanes_({.bounds = options_.bounds,
                .piece_bytes = piece_bytes,
                .whole_over = options_.rendezvous_over},
               pool_, [this] { frames_wait(); }),
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
  void frames_wait();
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
  void piece_arrived(session& s, const frame_head& head, std::span<const std::byte> body);
  std::byte* room_for(session& s, const frame_head& head, size_t plain);
  void piece_placed(session& s, const frame_head& head, size_t plain);
  void hand_on(session& s, std::span<const std::byte> all, size_t header_bytes);

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
  std::atomic<std::thread::id> running_; // the progress thread, once it runs
  std::atomic<bool> stopping_{false}, sleeping_{false}, commanded_{false};

  mutable std::mutex shared_mutex_;
  std::vector<std::function<void()>> commands_;
  std::vector<book_entry> shared_book_;
  endpoint_counters shared_counters_; // what the progress thread counts

  // The progress thread's own.
  idle_policy idle_;
  time_point busy_at_{}, now_{}, next_beat_{}, next_control_{}, next_timers_{};
  bool accepting_ = true, posting_ = false;
  peer_book book_;
  std::map<uint64_t, std::unique_ptr<session>> sessions_;
  struct retired {
    std::unique_ptr<ucx_worker> worker;
    time_point deadline;
  };
  std::vector<retired> retired_; // closed workers whose operations have to end
  std::vector<uint64_t> doomed_;
  std::map<std::string, std::string> last_trouble_; // by dialled key: a reason is logged once
  name_lookups lookups_;

  template <class Member>
  void count(Member endpoint_counters::*which, uint64_t amount = 1) {
    std::lock_guard lock(shared_mutex_);
    shared_counters_.*which += amount;
  }
};

} // namespace troupe::transport
