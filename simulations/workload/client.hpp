// One client of the cluster: asks at a door, receives, goes to another door when the present one
// refuses, breaks or falls silent, and goes on there with what it has.
#pragma once

#include "base/clock.hpp"
#include "base/random.hpp"
#include "dataflow/request.hpp"
#include "simulations/workload/client_record.hpp"
#include "simulations/workload/requests.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {

// What a client already has of one choice.
struct choice_received {
  uint32_t tokens = 0;
  std::string text; // may hold less than the tokens' text, as some may be held back
  bool prompt_scored = false;
  bool finished = false;
};

// One connection of a client to a door. A client has at most one at a time and numbers them from 1;
// (client, attempt) is never used twice.
struct door_call {
  uint32_t client = 0;
  uint32_t attempt = 0;
  uint32_t door = 0;
};

// Where an event comes from.
struct event_origin {
  uint32_t attempt = 0;     // of the connection it came through
  uint32_t door = 0;        // node
  uint64_t incarnation = 0; // of the process that sent it
  uint64_t epoch = 0;       // the door worked in; 0: not told
};

// The doors of the cluster as clients see them.
class door_surface {
public:
  virtual ~door_surface() = default;
  virtual uint32_t doors() const = 0;
  // Whether a connection would be accepted now (a paused process accepts and stays silent).
  virtual bool up(uint32_t door) const = 0;
  // The incarnation that would answer; meaningful while up.
  virtual uint64_t incarnation(uint32_t door) const = 0;
  // Opens the connection with the request and what the client has of it, one entry per choice. What
  // comes back goes to client::on_event or on_disconnected, later. An error is final for the call.
  virtual status submit(const door_call& call,
                        std::shared_ptr<const dataflow::generation_request> request,
                        const std::vector<choice_received>& received) = 0;
  // The client asks for an end; the door answers with `cancelled` and `completed`.
  virtual void cancel(const door_call& call) = 0;
  // The client has hung up: the door frees what it held, and nobody listens any more.
  virtual void hang_up(const door_call& call) = 0;
};

// Time for clients: the world's, see world_timers.hpp.
class client_timers {
public:
  virtual ~client_timers() = default;
  virtual time_point now() const = 0;
  virtual uint64_t schedule(time_point when, std::string_view label,
                            std::function<void()> what) = 0;
  virtual void cancel(uint64_t timer) = 0;
};

struct client_options {
  uint64_t seed = 0;
  duration patience = std::chrono::seconds(3); // without an event
  uint32_t attempts_max = 100;                 // then it gives up, with the last refusal
  duration back_off_first = std::chrono::milliseconds(10); // before another door; doubles …
  duration back_off_max = std::chrono::milliseconds(250);  // … up to this, until something comes
};

// Both surfaces outlive it. Not to be moved: timers point to it.
class client {
public:
  client(client_request what, const client_options& options, door_surface& doors,
         client_timers& timers);
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  // From now on the request exists; it knocks at once.
  void arrive();

  void on_event(const event_origin& origin, dataflow::stream_event event);
  // The door's process is gone, or the connection to it; events under way are lost.
  void on_disconnected(uint32_t attempt);

  // Faults: drop the connection and come back; read nothing for a while.
  void disconnect();
  void stall(duration how_long);

  bool arrived() const { return arrived_; }
  bool done() const { return record_.end != client_end::open; }
  const client_record& record() const { return record_; }
  std::vector<choice_received> received() const;
  // The connection open now, if one is.
  std::optional<door_call> connection() const;
  // One line: number, state, door, attempt, tokens. For reports of what is stuck.
  std::string describe() const;
  // Called once, when done() becomes true.
  void set_on_end(std::function<void(const client&)> told) { on_end_ = std::move(told); }

private:
  struct inbound {
    event_origin origin;
    dataflow::stream_event event;
    bool disconnected = false;
  };

  void knock();
  status call_door();
  void refused(status why);
  void go_elsewhere();
  void close();
  void watch();
  void patience_over();
  void wake();
  bool stalled() const;
  void take(const inbound& in);
  bool acceptable(const event_origin& origin, const dataflow::stream_event& event);
  void take_prompt(const dataflow::stream_event& event);
  void take_text(const dataflow::stream_event& event);
  void take_finished(const dataflow::stream_event& event);
  void take_completed(const dataflow::stream_event& event);
  void take_failed(const dataflow::stream_event& event);
  void cancel_if_planned();
  void end(client_end how);
  void moved_on();
  bool all_finished() const;
  bool was_cut() const;
  void note(const char* invariant, std::string what);
  uint64_t draw(uint64_t bound);

  client_options options_;
  door_surface& doors_;
  client_timers& timers_;
  client_record record_;
  std::function<void(const client&)> on_end_;

  bool arrived_ = false;
  bool connected_ = false;
  bool last_said_ = false; // the door ended the connection with `completed` or `failed`
  door_call call_;
  uint64_t incarnation_ = 0; // of the door, when the connection was opened
  uint64_t events_ = 0;      // received through this connection
  uint64_t epoch_ = 0;       // highest told through it
  uint32_t failures_ = 0;    // in a row, for the back-off
  uint64_t draws_ = 0;
  status last_refusal_;
  time_point last_heard_{};
  std::optional<uint64_t> patience_timer_;
  std::optional<uint64_t> retry_timer_;
  std::optional<uint64_t> stall_timer_;
  std::deque<inbound> unread_; // while stalled
};

} // namespace troupe::simulations
