// A UCX worker with a link to one other worker, and frames over it. A session has one of its own:
// UCX 1.13 can crash when two living workers connect a second time. Everything that knows UCX is in
// ucx_worker.cpp. Facts behind the choices: docs/transport.md.
#pragma once

#include "base/status.hpp"
#include "transport/session/frame_head.hpp"
#include "transport/ucx/buffer_pool.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::transport {

using encoded_head = std::array<std::byte, frame_head_bytes>;

// What happens at the worker with this tag; called inside progress() and send() of it. Must not
// close or destroy it.
class ucx_worker_listener {
public:
  virtual ~ucx_worker_listener() = default;
  // A small frame; the spans are valid during the call.
  virtual void frame_arrived(uint64_t tag, std::span<const std::byte> head,
                             std::span<const std::byte> body) = 0;
  // A large frame waits at its sender. True: fetch it. False: it never comes.
  virtual bool frame_offered(uint64_t tag, std::span<const std::byte> head, size_t body_bytes) = 0;
  virtual void frame_fetched(uint64_t tag, std::span<const std::byte> head, frame_buffer body) = 0;
  // The worker is done with a frame: the peer or the system has taken it, or it is lost.
  virtual void frame_sent(uint64_t tag, uint64_t sequence, bool taken) = 0;
  virtual void link_failed(uint64_t tag, std::string why) = 0;
};

struct ucx_worker_options {
  std::string transports = "tcp,self"; // UCX_TLS
  std::string devices;                 // UCX_NET_DEVICES; empty: all
};

// The library, and what all workers of an endpoint share. Outlives them.
class ucx_context {
public:
  static result<std::unique_ptr<ucx_context>> open(const ucx_worker_options& options);
  ~ucx_context();

private:
  friend class ucx_worker;
  struct state;
  explicit ucx_context(std::unique_ptr<state> state);
  std::unique_ptr<state> state_;
};

// All calls from one thread at a time. What is under way ends with the worker.
class ucx_worker {
public:
  static result<std::unique_ptr<ucx_worker>> open(ucx_context& context, uint64_t tag,
                                                  buffer_pool& pool, ucx_worker_listener& listener);
  ~ucx_worker();

  // What the other worker needs to connect to this one.
  const std::vector<std::byte>& address() const;

  // Once. Returns before the peer was reached: the first frame or link_failed() tells.
  status connect(std::span<const std::byte> address);
  // The peer has connected: nobody else gets in from now on. False: a port stayed open.
  bool shut_ports() const;
  // At once; frames under way end as not taken during the next calls of progress(), and nothing is
  // heard of any more. Not inside a call of the listener.
  void close();
  // `large`: the peer fetches the body into memory of its own choice.
  void send(uint64_t sequence, const encoded_head& head, frame_buffer body, bool large);

  // Does nothing before connect(), and after close() unless the peer's first frame was here: the
  // peer's request to connect must find our link.
  unsigned progress();
  // Readable when progress() has work again, after arm() said true. Not to be watched before
  // connect().
  int event_fd() const;
  bool arm();
  // Sends, receives and closes that progress() has to end before the worker goes.
  size_t operations() const;

private:
  friend struct ucx_worker_callbacks;
  struct state;
  bool may_progress() const;
  explicit ucx_worker(std::unique_ptr<state> state);
  std::unique_ptr<state> state_;
};

} // namespace troupe::transport
