// The endpoint of a real cluster. Nodes shake hands over TCP with the cluster's key, and exchange
// frames over UCX, sealed by keys of that session. docs/transport.md: wire, threats, failures,
// knobs.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "transport/endpoint.hpp"
#include "transport/session/control_record.hpp"
#include "transport/session/secret.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::transport {

struct peer_address {
  std::string name;    // empty: whoever is there
  std::string address; // "host:port"
};

struct ucx_options {
  node_identity self;
  std::string listen = "127.0.0.1:0"; // host and port; nothing but loopback unless told
  std::string advertise;              // what others dial; empty: what listen became
  std::vector<peer_address> peers;    // dialled until they are up
  secret key;                         // of the cluster, 32 bytes or more
  // Off: peers still prove that they have the key, but frames travel in clear and can be forged by
  // who is on the way. Equal on all nodes.
  bool encrypt = true;
  std::vector<std::byte> description; // given to whoever has the key and asks
  endpoint_options bounds;

  duration connect_timeout = std::chrono::seconds(2);   // name look-up and TCP
  duration handshake_timeout = std::chrono::seconds(2); // from there to the first frame each way
  duration redial_first = std::chrono::milliseconds(50);
  duration redial_max = std::chrono::seconds(2);
  duration heartbeat = std::chrono::milliseconds(500);
  duration silence_max = std::chrono::seconds(5); // of a peer, then its session is closed
  duration stall_max = std::chrono::seconds(30);  // frames on the way, and the peer takes none
  // The longest polling before the progress thread sleeps; less when frames come seldom.
  duration spin = std::chrono::microseconds(100);
  // Larger frames are fetched whole by the receiver (rendezvous) instead of coming in pieces: for
  // devices that copy by themselves, from 64 KiB or so.
  uint64_t rendezvous_over = UINT64_MAX;
  uint32_t bad_frames_max = 64;        // then the session is closed
  std::string transports = "tcp,self"; // of UCX
  std::string devices;                 // network devices of UCX; empty: the one that `listen` is on
};

// The listener is called on the one progress thread, also before open_ucx_endpoint() has returned.
// The destructor closes every session and waits for the thread; the listener hears nothing of it.
// All other calls from any thread.
class ucx_endpoint : public endpoint {
public:
  // Where it listens, with the port that it got.
  virtual const std::string& listen_address() const = 0;
  virtual const std::string& advertised_address() const = 0;
  // The nodes that it has had a session with, and their newest addresses.
  virtual std::vector<book_entry> address_book() const = 0;
  // Dial this too, from now on.
  virtual void add_peer(const peer_address& peer) = 0;
  // Ends the session with this peer, which is then dialled again: for a caller that has given it
  // up.
  virtual void drop_peer(const std::string& name) = 0;
};

// Any thread. The listener must outlive the endpoint.
//   invalid_argument  a name, an address, a bound or a key that cannot be
//   unavailable       the address to listen on is taken, or UCX does not start
result<std::unique_ptr<ucx_endpoint>> open_ucx_endpoint(ucx_options options,
                                                        endpoint_listener& listener);

// Asks the node at `address` for the description of its cluster. Blocks until it is here, at most
// for `timeout` (and the look-up of the name).
//   unavailable  nobody there, or not with this key
//   timed_out    nothing in time
result<std::vector<std::byte>> fetch_description(const std::string& address, const secret& key,
                                                 duration timeout = std::chrono::seconds(5));

// Asks it in the same way which nodes it has had a session with, itself among them.
result<std::vector<book_entry>> fetch_address_book(const std::string& address, const secret& key,
                                                   duration timeout = std::chrono::seconds(5));

} // namespace troupe::transport
