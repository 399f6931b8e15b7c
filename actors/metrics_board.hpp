// Counters of a node. Each is written by one part and read by anyone at any time, so reading never
// disturbs a step; the figures of one reading may be a step apart.
#pragma once

#include "actors/engine.hpp"
#include "base/clock.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace troupe::actors {

// A histogram that one thread at a time adds to while others read.
class shared_histogram {
public:
  explicit shared_histogram(std::span<const double> bounds);
  void add(double value);
  histogram read() const;

private:
  std::vector<double> bounds_;
  std::deque<std::atomic<uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

class metrics_board {
public:
  metrics_board(uint32_t layers, uint32_t experts);

  using counter = std::atomic<uint64_t>;

  // Written by the sequencer.
  counter sequences_running{0};
  counter sequences_waiting{0};
  counter prompt_tokens{0};
  counter generated_tokens{0};
  counter preemptions{0};
  counter draft_tokens{0};
  counter draft_accepted{0};
  counter steps{0};
  counter step_started_ns{0}; // 0: no step under way
  // Written by the KV-cache manager.
  counter pages_total{0};
  counter pages_used{0};
  counter pages_cached{0};
  counter prefix_queries{0};
  counter cached_tokens{0};
  counter pages_evicted{0};
  counter pages_evicted_unused{0};
  counter pages_dropped{0};
  // By the KV archive, from several threads.
  struct archive_counters {
    counter stopped{0}; // 1: yes
    counter pages{0}, bytes{0}, bytes_max{0};
    counter pages_written{0}, bytes_written{0}, pages_skipped{0}, write_failures{0};
    counter pages_restored{0}, restores_late{0};
    counter pages_unreadable{0}, pages_foreign{0}, pages_evicted{0};
  };
  archive_counters archive;
  // Before any actor runs.
  dataflow::eviction_policy eviction{};
  bool archives = false;
  // Written by the ingress.
  counter finished[5] = {};
  // Written by the engine.
  counter accepted{0};
  counter rejected{0};
  // Streams admitted and not yet ended; the bound on everything behind the door.
  counter streams_open{0};
  // Written by the supervisor.
  counter restarts{0};
  std::atomic<bool> failed{false};

  shared_histogram time_to_first_token;
  shared_histogram inter_token_latency;
  shared_histogram request_latency;
  shared_histogram queue_time;
  shared_histogram step_tokens;

  // Rows an expert has computed. Written by the gating router of the layer.
  counter& expert_tokens(uint32_t layer, uint32_t expert) {
    return expert_tokens_[size_t{layer} * experts_ + expert];
  }

  // Over all layers.
  uint64_t expert_rows(uint32_t expert) const;

  engine_metrics read() const;

private:
  kv_archive_metrics read_archive() const;

  uint32_t layers_;
  uint32_t experts_;
  std::deque<counter> expert_tokens_;
};

inline void count(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}
inline void set(std::atomic<uint64_t>& counter, uint64_t value) {
  counter.store(value, std::memory_order_relaxed);
}

} // namespace troupe::actors
