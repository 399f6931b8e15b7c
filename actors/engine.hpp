// The front door of the actors for everything that is not an actor: the HTTP server and the command
// line. One engine is one node with its model loaded.
#pragma once

#include "base/status.hpp"
#include "dataflow/eviction.hpp"
#include "dataflow/request.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::model {
class tokenizer;
class chat_template;
struct description;
struct generation_defaults;
} // namespace troupe::model

namespace troupe::actors {

using request_handle = uint64_t;

// Counts of observations by upper bound, as Prometheus histograms have them.
struct histogram {
  std::vector<double> bounds;    // ascending; the last bucket is unbounded
  std::vector<uint64_t> buckets; // bounds.size() + 1, not cumulative
  double sum = 0;
  uint64_t count = 0;
};

// Of the KV pages kept on a disk.
struct kv_archive_metrics {
  bool present = false; // pages are kept on a disk at all
  bool stopped = false; // the disk refuses what is written
  uint64_t pages = 0;   // there now
  uint64_t bytes = 0;
  uint64_t bytes_max = 0;
  uint64_t pages_written = 0;
  uint64_t bytes_written = 0;
  uint64_t pages_skipped = 0;  // not written: the disk was behind, stopped, or had no room
  uint64_t write_failures = 0; // the disk refused a page
  uint64_t pages_restored = 0;
  uint64_t restores_late = 0;    // requests that were computed without waiting longer for the disk
  uint64_t pages_unreadable = 0; // damaged, dropped
  uint64_t pages_foreign = 0;    // of another model or version, ignored
  uint64_t pages_evicted = 0;    // removed for room
};

// A consistent picture of the engine at one moment.
struct engine_metrics {
  uint64_t requests_running = 0;
  uint64_t requests_waiting = 0;
  uint64_t requests_accepted = 0;
  uint64_t requests_rejected = 0;
  std::array<uint64_t, 5> requests_finished{}; // by dataflow::finish_reason, counted per choice
  uint64_t prompt_tokens = 0;
  uint64_t generated_tokens = 0;
  uint64_t cached_tokens = 0;  // prompt tokens taken from the prefix cache
  uint64_t prefix_queries = 0; // tokens looked up
  uint64_t preemptions = 0;
  uint64_t draft_tokens = 0;   // guessed
  uint64_t draft_accepted = 0; // of these right
  uint64_t steps = 0;
  uint64_t pages_total = 0;
  uint64_t pages_used = 0;           // held by running requests
  uint64_t pages_cached = 0;         // kept for reuse, free for the taking
  uint64_t pages_evicted = 0;        // kept ones given up for room
  uint64_t pages_evicted_unused = 0; // of these never used again
  uint64_t pages_dropped = 0;        // kept ones forgotten with their memory
  dataflow::eviction_policy eviction{};
  kv_archive_metrics kv_archive;
  uint64_t restarts = 0;                            // actors restarted by the node supervisor
  std::vector<std::vector<uint64_t>> expert_tokens; // [layer][expert] rows computed
  histogram time_to_first_token_s;
  histogram inter_token_latency_s;
  histogram request_latency_s;
  histogram queue_time_s;
  histogram step_tokens;
};

class engine {
public:
  // Called on an engine thread, in order; must not block. After `completed` or `failed` never
  // again.
  using event_sink = std::function<void(dataflow::stream_event)>;

  // What a client that was cut off already has of the answers to a request it asks again, with the
  // same seed: it hears the rest. Because the same request gives the same tokens, any door can do
  // that, also one that has never seen the request.
  struct received_choice {
    uint32_t tokens = 0;
    uint64_t text_bytes = 0; // held-back text may come without a token
    bool finished = false;
    bool prompt_scored = false;
  };
  using received_so_far = std::vector<received_choice>; // per choice; empty: nothing

  virtual ~engine() = default;

  // Takes the request or says at once why not: invalid_argument (the message names the field),
  // exhausted (queue full, try later), unavailable (draining). With `received` the sink hears only
  // what is not among it: it has one entry per choice, or none. Any thread.
  virtual result<request_handle> submit(dataflow::generation_request request, event_sink sink,
                                        received_so_far received = {}) = 0;

  // Ends a request and frees everything it held; its sink hears `finished` with `cancelled` and
  // then `completed`. Unknown or finished handles are ignored. Any thread.
  virtual void cancel(request_handle handle) = 0;

  virtual engine_metrics metrics() = 0;

  // Accepts nothing new; running requests go on. Readiness turns false. Any thread.
  virtual void begin_drain() = 0;
  virtual bool draining() const = 0;
  // False when a part has failed for good, or steps stopped although work is waiting.
  virtual bool healthy() = 0;
  // Whether a pipeline works for this door now; in a cluster that is an epoch that serves. What
  // comes while none does waits for one. Any thread.
  virtual bool serving() { return true; }
  // Streams let in by this door and not yet ended. Any thread.
  virtual uint64_t streams_open() {
    const auto now = metrics();
    return now.requests_running + now.requests_waiting;
  }

  virtual const model::tokenizer& tokenizer() const = 0;
  virtual const model::chat_template* chat_template() const = 0; // nullptr: the model has none
  virtual const model::description& description() const = 0;
  virtual const model::generation_defaults& generation_defaults() const = 0;
  virtual uint32_t positions_max() const = 0;  // prompt and answer together, per sequence
  virtual std::string fingerprint() const = 0; // changes when weights or configuration change
};

} // namespace troupe::actors
