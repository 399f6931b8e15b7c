// Who is where: the addresses that a node was told, by its settings and by its peers, and when to
// try them. Pure: time is given.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "transport/endpoint.hpp"
#include "transport/session/control_record.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::transport {

struct peer_book_options {
  duration redial_first = std::chrono::milliseconds(50);
  duration redial_max = std::chrono::seconds(2);
  duration forget_after =
      std::chrono::minutes(10); // a peer that only others named and nobody reaches
  size_t peers_max = 1024;
};

// Keyed by name; an address whose node is not known yet stands under the address itself.
class peer_book {
public:
  peer_book(node_identity self, peer_book_options options)
      : self_(std::move(self)), options_(options) {}

  // From the settings; never forgotten. An empty name: whoever is there.
  void configure(const std::string& name, const std::string& address, time_point now);
  // From a peer. False: nothing new, or the book is full.
  bool hear(const book_entry& entry, time_point now);

  // The node that answered a request to this key is called so. Entries without a name get it; one
  // that turns out to be ourselves goes.
  void resolved(const std::string& key, const std::string& name);
  // A node that is known has proven to be of this incarnation, whether or not a session comes of
  // it: lower ones are over.
  void proven(const node_identity& peer);
  // A session with this node has come up. False: the book is full and the node is not kept.
  bool came_up(const node_identity& peer, const std::string& address, time_point now);
  void went_down(const std::string& name, time_point now);
  // A request to this key did not lead to a session.
  void failed(const std::string& key, time_point now);

  // The highest incarnation of the name with which there was a session.
  std::optional<uint64_t> highest(const std::string& name) const;

  struct dial {
    std::string key;
    std::string name; // empty: whoever is there
    std::string address;
  };
  // What to try now; each is taken to be under way until came_up(), went_down() or
  // failed().
  std::vector<dial> due(time_point now);
  // When to look again.
  std::optional<time_point> next_due() const;

  // What to tell peers: nodes with which there was a session, at their newest address.
  std::vector<book_entry> entries() const;
  size_t size() const { return peers_.size(); }

private:
  struct peer {
    std::string name, address;
    uint64_t incarnation = 0; // of the address
    std::optional<uint64_t> highest;
    bool configured = false, up = false, dialling = false;
    uint32_t failures = 0;
    time_point next{};
    time_point known_since{}; // or last time up
  };

  duration backoff(uint32_t failures) const;

  node_identity self_;
  peer_book_options options_;
  std::map<std::string, peer> peers_;
};

} // namespace troupe::transport
