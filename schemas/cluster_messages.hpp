// What nodes tell each other about the cluster: who is alive, who plays which role, and the votes
// about it. Plain structs; their bytes are made in frame_codec.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

namespace troupe::schemas {

// Place of a node in the cluster's list of names, which is the same on every node.
using node_index = uint32_t;
inline constexpr node_index no_node = UINT32_MAX;

// One node as the agreed state knows it.
struct member {
  uint64_t incarnation = 0; // of the process meant; 0: never seen
  uint64_t generation = 0;  // parts it had restarted when this state was agreed …
  uint64_t stages_lost = 0; // … and of these attention stages
  bool present = false;     // takes part in this epoch
  bool serving = false;     // may play roles of the pipeline; only when present
  friend bool operator==(const member&, const member&) = default;
};

// Who plays which role. Every index is of a member that is present and serving.
struct placement {
  node_index sequencer = no_node;              // with it the KV-cache manager
  std::vector<node_index> stages;              // attention_stage/i and gating_router/i
  std::vector<std::vector<node_index>> shards; // copies of expert_shard/i, preferred first
  friend bool operator==(const placement&, const placement&) = default;
};

// What a majority has agreed on. Only whole states are exchanged, and a higher epoch replaces a
// lower one.
struct cluster_state {
  uint64_t epoch = 0;
  uint64_t kv_version = 0; // raised when the bytes of any stage's KV pages are lost
  std::vector<member> members;
  placement where;
  friend bool operator==(const cluster_state&, const cluster_state&) = default;
};

// What a node says of itself, several times a second, to every other node.
struct node_report {
  node_index node = no_node;
  uint64_t incarnation = 0;
  uint64_t number = 0;         // counts this incarnation's reports
  uint64_t epoch = 0;          // of the newest agreed state it knows
  uint64_t epoch_ready = 0;    // every part of it here works by this epoch, older work is done
  uint64_t epoch_go = 0;       // leader: everybody was ready for this epoch
  uint64_t epoch_stuck = 0;    // a step of this epoch does not come to an end
  uint64_t generation = 0;     // parts restarted so far; a new one asks for a new epoch
  uint64_t stages_lost = 0;    // of these attention stages, whose KV pages are gone
  bool serving = true;         // its device works
  bool draining = false;       // wants to leave in good order
  bool has_streams = false;    // at its door
  bool leads = false;          // takes itself for the leader
  bool majority = false;       // hears a majority of the voters, which hear it
  std::vector<uint64_t> hears; // per node: the incarnation heard lately, 0: none
  // What it computes, and how that is divided: nodes in which either differs do not work together.
  // 0: not said.
  uint64_t model = 0;  // weights, their format, tokenizer
  uint64_t layout = 0; // names, stages, shards
  // What a placement goes by; of an incarnation the first two do not change.
  uint32_t speed = 0;                    // eighths of octaves; 0: not measured
  uint64_t memory = 0;                   // bytes for weights and KV pages; 0: not told, so enough
  std::vector<uint64_t> shard_rows = {}; // per shard: rows that routers here had computed of late
  friend bool operator==(const node_report&, const node_report&) = default;
};

// -- the register: one value, changed by agreement of a majority of the voters (CASPaxos; Rystsov,
// "CASPaxos: Replicated State Machines without logs", 2018)

struct ballot {
  uint64_t round = 0;
  node_index proposer = 0;
  friend auto operator<=>(const ballot&, const ballot&) = default;
};

// What a voter must never forget.
struct acceptor_state {
  ballot promised;
  ballot accepted;
  cluster_state value; // meaningful when accepted.round > 0
  // Per voter: the nonce of its latest recovery known here (empty: of none). An answer that a voter
  // gave before it lost its memory counts for nothing beside one that knows of the loss.
  std::vector<uint64_t> recovered = {};
  friend bool operator==(const acceptor_state&, const acceptor_state&) = default;
};

struct register_prepare {
  ballot number;
  friend bool operator==(const register_prepare&, const register_prepare&) = default;
};
struct register_promise {
  ballot number; // the one answered
  bool granted = false;
  ballot promised; // refused: what the voter has promised instead
  ballot accepted;
  cluster_state value;
  std::vector<uint64_t> recovered = {}; // as in acceptor_state
  friend bool operator==(const register_promise&, const register_promise&) = default;
};
struct register_accept {
  ballot number;
  cluster_state value;
  friend bool operator==(const register_accept&, const register_accept&) = default;
};
struct register_accepted {
  ballot number;
  bool granted = false;
  ballot promised;                      // refused: what the voter has promised instead
  std::vector<uint64_t> recovered = {}; // as in acceptor_state
  friend bool operator==(const register_accepted&, const register_accepted&) = default;
};
// From a voter whose memory is gone; it votes again when a majority of the *other* voters has told
// it what they know (Liskov and Cowling, "Viewstamped Replication Revisited", 2012, section 4.3).
struct register_recover {
  uint64_t nonce = 0; // its incarnation: greater than in every recovery before
  friend bool operator==(const register_recover&, const register_recover&) = default;
};
struct register_recovered {
  uint64_t nonce = 0;
  acceptor_state state;
  friend bool operator==(const register_recovered&, const register_recovered&) = default;
};
// The newest agreed state, told to a node that reports an older epoch.
struct state_update {
  cluster_state state;
  friend bool operator==(const state_update&, const state_update&) = default;
};

} // namespace troupe::schemas
