// One value agreed on by a majority of voters: the two halves of CASPaxos (Rystsov 2018) as pure
// state machines. The caller carries messages and makes an acceptor's state durable *before* it
// lets its answer out.
//
// A voter that loses its memory breaks what Paxos rests on, so every vote says which recoveries
// (by nonce) its voter knows of, and a proposer counts no vote given before a recovery that another
// vote knows of (Michael, Ports, Sharma, Szekeres, "Recovering shared objects without stable
// storage", 2017). That is safe while fewer than a majority lack their memory at once.
#pragma once

#include "base/clock.hpp"
#include "dataflow/cluster.hpp"
#include "schemas/cluster_messages.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <variant>
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

  // What another voter that has lost its memory may be told; absent while not remembering, and for
  // a question of an earlier life of that voter. The recovery itself must be remembered.
  struct recovery {
    schemas::register_recovered answer;
    bool changed = false;
  };
  std::optional<recovery> on_recover(node_index from, const schemas::register_recover& in);

  bool remembers() const { return remembers_; }
  const acceptor_state& state() const { return state_; }

private:
  bool outdated(const ballot& number) const;

  acceptor_state state_;
  bool remembers_;
};

// A voter that has lost its memory asks the others. Done when a majority (layout.majority()) of the
// *other* voters has answered this nonce — for fewer than that many others it can never be done,
// and with a single voter there is nobody to ask, so it cannot recover.
class register_recovery {
public:
  // The nonce must be greater than in every recovery of this voter before: its incarnation.
  register_recovery(const cluster_layout& layout, node_index self, uint64_t nonce);
  schemas::register_recover question() const { return {nonce_}; }
  // True when enough is known: make state() durable, then begin a register_acceptor with it that
  // remembers.
  bool on_recovered(node_index from, const schemas::register_recovered& in);
  bool done() const;
  // Highest promise and highest accepted value among the answers. Requires done().
  acceptor_state state() const;
  // Whom to ask (again).
  std::vector<node_index> unanswered() const;

private:
  cluster_layout layout_;
  node_index self_;
  uint64_t nonce_;
  std::map<node_index, acceptor_state> answers_;
};

// One attempt after another to replace the value. The caller computes the new value from the one
// agreed before. One attempt at a time.
class register_proposer {
public:
  // No two proposers may ever use the same ballot: `incarnation` tells the lives of a node apart
  // (its low 32 bits, which are part of every round).
  register_proposer(const cluster_layout& layout, node_index self, uint64_t incarnation);

  // Begins an attempt with a ballot above all seen: send this to every voter.
  schemas::register_prepare begin(time_point now);
  enum class outcome : uint8_t {
    waiting,   // for more answers; also: the answer was to nothing asked now
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

  bool busy() const { return phase_ != phase::idle; }
  bool overdue(time_point now, duration timeout) const; // busy since longer than that
  const std::optional<cluster_state>& current() const;  // absent: nothing was ever agreed
  const cluster_state& proposed() const { return proposed_; }
  // What has to be sent again to voters that have not answered (messages get lost).
  std::vector<node_index> unanswered() const;
  // Requires that answers are waited for: after begin() until `read`, after propose().
  std::variant<schemas::register_prepare, schemas::register_accept> question() const;
  const ballot& highest_seen() const { return highest_seen_; }

private:
  enum class phase : uint8_t { idle, preparing, read, accepting };
  struct vote {
    std::vector<uint64_t> recovered;
    ballot accepted;     // promises only
    cluster_state value; // meaningful when accepted.round > 0
  };

  bool expected(node_index from, const ballot& number, phase during) const;
  outcome refuse(const ballot& promised);
  void count(node_index from, vote answer);
  bool valid(node_index from) const;
  bool majority_answered() const;
  void read_current();

  cluster_layout layout_;
  node_index self_;
  uint32_t incarnation_;
  phase phase_ = phase::idle;
  ballot number_;
  ballot highest_seen_;
  time_point began_{};
  std::map<node_index, vote> votes_; // of this phase
  uint32_t repeated_votes_ = 0;      // counted by a planted bug only
  std::optional<cluster_state> current_;
  cluster_state proposed_;
};

} // namespace troupe::dataflow
