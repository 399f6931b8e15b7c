// One value agreed on by a majority of voters: the two halves of CASPaxos (Rystsov 2018) as pure
// state machines. The caller carries messages and makes an acceptor's state durable *before* it
// lets its answer out.
#pragma once

#include "base/clock.hpp"
#include "dataflow/cluster.hpp"
#include "schemas/cluster_messages.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace troupe::dataflow {

using schemas::acceptor_state;
using schemas::ballot;

class register_acceptor {
public:
  // `remembers`: the state is what this voter last made durable (or the very beginning of a new
  // cluster). Without it the voter grants nothing until it has recovered.
  register_acceptor(acceptor_state state, bool remembers);

  // The answer, and whether the state changed and must be durable before the answer goes out. No
  // answer while not remembering.
  struct promise {
    schemas::register_promise answer;
    bool changed = false;
  };
  struct acceptance {
    schemas::register_accepted answer;
    bool changed = false;
  };
  std::optional<promise> on_prepare(const schemas::register_prepare& in);
  std::optional<acceptance> on_accept(const schemas::register_accept& in);

  // What another voter that has lost its memory may be told; absent while not remembering.
  std::optional<schemas::register_recovered> on_recover(const schemas::register_recover& in) const;

  bool remembers() const;
  const acceptor_state& state() const;

private:
  friend class register_recovery;
};

// A voter that has lost its memory asks the others. Done when a majority (layout.majority()) of the
// *other* voters has answered this nonce — for fewer than that many others it can never be done,
// and with a single voter there is nobody to ask, so it cannot recover.
class register_recovery {
public:
  register_recovery(const cluster_layout& layout, node_index self, uint64_t nonce);
  schemas::register_recover question() const;
  // True when enough is known: the acceptor then remembers, with state() to be made durable first.
  bool on_recovered(node_index from, const schemas::register_recovered& in);
  bool done() const;
  acceptor_state state() const; // highest promise and highest accepted value among the answers
};

// One attempt after another to replace the value. The caller computes the new value from the one
// agreed before. One attempt at a time.
class register_proposer {
public:
  register_proposer(const cluster_layout& layout, node_index self);

  // Begins an attempt with a ballot above all seen: send this to every voter.
  schemas::register_prepare begin(time_point now);
  enum class outcome : uint8_t {
    waiting,   // for more answers
    read,      // a majority has promised: current() is agreed or about to be; propose() or give up
    committed, // a majority has accepted: proposed() is agreed
    refused,   // a higher ballot is about; try again later
  };
  outcome on_promise(node_index from, const schemas::register_promise& in);
  // The value to write; after `read` only: send this to every voter. (Write current() back to
  // finish a round somebody else left half done.)
  schemas::register_accept propose(cluster_state value);
  outcome on_accepted(node_index from, const schemas::register_accepted& in);
  void give_up();

  bool busy() const;
  bool overdue(time_point now, duration timeout) const; // busy since longer than that
  const std::optional<cluster_state>& current() const;  // absent: nothing was ever agreed
  const cluster_state& proposed() const;
  // What has to be sent again to voters that have not answered (messages get lost).
  std::vector<node_index> unanswered() const;
  std::variant<schemas::register_prepare, schemas::register_accept> question() const;
  const ballot& highest_seen() const;
};

} // namespace troupe::dataflow
