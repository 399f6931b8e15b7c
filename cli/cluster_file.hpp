// The cluster file: everything that must be equal on all nodes of a cluster, as TOML. A node that
// joins is given this text by any other.
#pragma once

#include "base/status.hpp"
#include "cli/option.hpp"
#include "cli/settings.hpp"
#include "dataflow/cluster.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

// [[node]]
struct cluster_file_node {
  std::string name;
  std::string address;
  std::string http;
  byte_size memory = {};

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "name", .value = "NAME", .help = "how the node is called"}, name);
    visit({.name = "address",
           .value = "HOST:PORT",
           .help = "where the other nodes reach it; it listens there unless told otherwise"},
          address);
    visit({.name = "http",
           .value = "HOST:PORT",
           .help = "where it answers clients",
           .unset = "what troupe node is told"},
          http);
    visit({.name = "memory",
           .value = "SIZE",
           .help = "what it gives to weights and KV pages",
           .unset = "what troupe node is told, or finds"},
          memory);
  }
};

// [timing], in milliseconds.
struct cluster_file_timing {
  uint32_t report_every_ms = 0; // these are set from dataflow::cluster_timing
  uint32_t suspect_phi = 0;
  uint32_t pause_allowed_ms = 0;
  uint32_t silence_max_ms = 0;
  uint32_t reconnect_allowed_ms = 0;
  uint32_t vote_timeout_ms = 0;
  uint32_t readmit_first_ms = 0;
  uint32_t readmit_max_ms = 0;
  uint32_t formation_wait_ms = 0;
  uint32_t resend_after_ms = 0;
  uint32_t step_max_ms = 0;
  uint32_t reroute_after_ms = 0;
  uint32_t rebalance_every_ms = 0;

  cluster_file_timing();
  dataflow::cluster_timing timing() const;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    const auto ms = [&visit](std::string_view name, std::string_view help, uint32_t& member) {
      visit({.name = name, .value = "MILLISECONDS", .help = help, .range = {0, 1'800'000}}, member);
    };
    ms("report-every-ms", "between two reports of a node to every other", report_every_ms);
    visit({.name = "suspect-phi",
           .value = "NUMBER",
           .help = "how many orders of magnitude less likely than not a silence must be",
           .range = {1, 16}},
          suspect_phi);
    ms("pause-allowed-ms", "of a report that is late, on top: hiccups that are no failure",
       pause_allowed_ms);
    ms("silence-max-ms", "after that long a silent node is down in any case", silence_max_ms);
    ms("reconnect-allowed-ms",
       "after the end of a connection, for the peer to be heard again before it is suspected",
       reconnect_allowed_ms);
    ms("vote-timeout-ms", "for the answer of a majority", vote_timeout_ms);
    ms("readmit-first-ms", "before a node that was excluded takes part again", readmit_first_ms);
    ms("readmit-max-ms", "the same, at most; it doubles with every exclusion", readmit_max_ms);
    ms("formation-wait-ms", "for nodes that are late when a cluster begins", formation_wait_ms);
    ms("resend-after-ms", "of a frame that is not acknowledged", resend_after_ms);
    ms("step-max-ms", "then a step is stuck", step_max_ms);
    ms("reroute-after-ms", "then another copy of a shard is asked", reroute_after_ms);
    ms("rebalance-every-ms",
       "since the last epoch, before load alone may be the reason for another one; 0: never",
       rebalance_every_ms);
  }
};

struct cluster_file {
  std::string cluster = "troupe";
  std::string model;
  std::string quantize = "none";
  std::vector<std::string> spare;
  std::string coordination = "embedded";
  uint32_t voters = 0;
  uint32_t stages = 1;
  uint32_t shards = 0;
  uint32_t shard_copies = 0;
  uint32_t shard_copies_max = 0;
  std::string secret_file;
  std::vector<cluster_file_node> nodes;

  bool votes() const { return coordination == "embedded"; }
  cluster_file_timing timing;
  engine_settings engine; // what of it may stand in [engine]: see is_shared_engine_setting

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "cluster", .value = "NAME", .help = "how the cluster is called"}, cluster);
    visit({.name = "model",
           .value = "PATH",
           .help = "model directory or GGUF file; the same on every node",
           .unset = "the built-in model"},
          model);
    visit({.name = "quantize",
           .value = "FORMAT",
           .help = "format in which weights are kept; none keeps each as stored",
           .choices = "none|f32|bf16|f16|int8|int4"},
          quantize);
    visit({.name = "coordination",
           .value = "WHERE",
           .help = "where the agreed state is kept: embedded, by votes of nodes, or "
                   "etcd://HOST:PORT[,HOST:PORT...][/PREFIX] (etcds:// with TLS)"},
          coordination);
    visit({.name = "voters",
           .value = "COUNT",
           .help = "the first so many nodes keep the cluster's state; it works while a majority of "
                   "them does",
           .range = {0, 4096},
           .unset = "3, or 1 for fewer than three nodes"},
          voters);
    visit({.name = "stages",
           .value = "COUNT",
           .help = "parts the layers are divided into",
           .range = {1, 1024}},
          stages);
    visit({.name = "shards",
           .value = "COUNT",
           .help = "parts the experts are divided into",
           .range = {0, 1024},
           .unset = "one per node, at most one per expert"},
          shards);
    visit({.name = "shard-copies",
           .value = "COUNT",
           .help = "nodes that each of these is on; fewer when there are fewer nodes",
           .range = {0, 4096},
           .unset = "2, or 1 for a single node"},
          shard_copies);
    visit({.name = "shard-copies-max",
           .value = "COUNT",
           .help = "nodes that a shard may be on while it has more to do than others",
           .range = {0, 4096},
           .unset = "shard-copies: copies do not follow the load"},
          shard_copies_max);
    visit({.name = "secret-file",
           .value = "FILE",
           .help = "the cluster's secret, for nodes started with this file; relative to it",
           .unset = "what troupe node is told"},
          secret_file);
    visit({.name = "spare", .value = "NAMES", .help = "names for nodes that are added later"},
          spare);
  }

  // Index of a node in the list that all nodes share: [[node]] tables first, then spare names.
  const cluster_file_node* find(std::string_view name) const; // nullptr: spare or unknown
  std::vector<std::string> names() const;
};

// Whether [engine] may hold it: parts divide by stages and shards above, and the threads of a node
// are its own business.
bool is_shared_engine_setting(std::string_view option);

// "embedded", or an address of etcd. The message begins with "coordination is".
status check_coordination(const std::string& where);

// Strict: unknown keys are errors with the nearest name. Messages begin with file, line and column.
result<cluster_file> parse_cluster_file(std::string_view toml, const std::string& file);
// The same cluster as text, with everything that is not a default written out; `secret_file` stays
// behind, since a path means something on one machine only.
std::string render_cluster_file(const cluster_file& from);

// For a model with so many layers and experts.
dataflow::cluster_layout layout_of(const cluster_file& from, uint32_t layers, uint32_t experts);

// Letters, digits, '.', '_' and '-', at most 64 of them: names of nodes are names of files too.
bool is_node_name(std::string_view name);

} // namespace troupe::cli
