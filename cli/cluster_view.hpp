// A cluster as its nodes tell of it over HTTP, and that as text for people.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "cli/host_port.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

struct member_view {
  std::string name;
  uint64_t incarnation = 0;
  bool voter = false, present = false, serving = false, connected = false;
  std::vector<std::string> roles;
  uint64_t speed = 0;  // millions of multiplications a second; 0: not known
  uint64_t memory = 0; // bytes; 0: not known
  uint64_t memory_roles = 0;
};

// What one node has told: /admin/cluster.
struct node_answer {
  std::string self;
  uint64_t incarnation = 0, epoch = 0, kv_version = 0;
  bool serving = false, majority = false, draining = false, drained = false;
  std::string gave_up;
  std::vector<member_view> members;
  std::vector<std::vector<uint64_t>> expert_rows; // by layer and expert
  std::vector<std::vector<std::string>> shards;   // by number: the copies, preferred first
  std::vector<uint64_t> shard_rows;               // by number, of late
  std::string no_room;                            // why nobody plays anything; else empty
  uint64_t pages_total = 0, pages_used = 0, pages_cached = 0;
  uint64_t streams_open = 0, generated_tokens = 0, steps = 0;
  uint64_t recoveries = 0;
  std::vector<std::string> last_lost;
  double last_took_ms = 0;
  int64_t last_at = 0; // seconds since 1970; 0: there was none
  uint64_t frames_resent = 0, frames_stale = 0, bytes_sent = 0;
};
result<node_answer> parse_node_answer(std::string_view json);

// One node as whoever looks sees it.
struct node_view {
  std::string name; // empty: not known, it did not answer
  std::string url;
  int32_t pid = 0;     // 0: not known
  bool ended = false;  // its process is known to have ended
  std::string problem; // why it did not answer
  std::optional<node_answer> answer;
};

// Asks the node for the page; `view` gets its answer or the problem.
void ask_node(const clock& time, const host_port& http, const std::string& admin_key,
              node_view& view);

struct cluster_view {
  time_point taken{};
  int64_t wall_seconds = 0;
  std::vector<node_view> nodes;

  // The answer that knows the latest epoch, of a node that serves before one that does not; nullptr
  // when nobody answers.
  const node_answer* newest() const;
};

// "serving", "waiting", "draining", "ended", "silent", …
std::string state_of(const node_view& node);

// One table; nothing that depends on when it was taken.
std::string status_text(const cluster_view& view);
std::string status_json(const cluster_view& view);
// The whole screen of troupe top. `before`: an earlier view, for what happens per second; may be
// null.
std::string top_text(const cluster_view& view, const cluster_view* before);

} // namespace troupe::cli
