// One replica of the pipeline on simulated devices: steps formed by the production batcher flow
// through its stages, each as long as the cost model says, and nodes that fail take it through a
// recovery with placements from the production planner.
//
// A node works on one thing at a time. A visit of a step to a stage books the stage's node for
// attention and every shard's node for experts, first come first served; it ends when the slowest
// of them is done, and not before the stage's layers could have followed each other.
#pragma once

#include "dataflow/batcher.hpp"
#include "simulations/capacity/cost_model.hpp"
#include "simulations/capacity/event_queue.hpp"
#include "simulations/capacity/kv_budget.hpp"
#include "simulations/capacity/recovery.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::simulations::capacity {

enum class request_state : uint8_t { expected, accepted, done, refused };

// What became of a request of the trace.
struct request_record {
  request_state state = request_state::expected;
  bool refilling = false;     // was running at a failure and has not gone on yet
  uint32_t emitted = 0;       // tokens
  uint32_t interruptions = 0; // had to begin anew, for lack of pages or by a failure
  uint32_t place = 0;         // among the running ones of its replica
  uint32_t replica = 0;
  nanoseconds first = 0, last = 0; // token, since the start of the run
};

struct recovery_record {
  failure_event failure;
  uint32_t replica = 0;
  recovery_times times;
  nanoseconds down = 0;    // waiting for a node, as the rest cannot hold the model
  nanoseconds refill = 0;  // until every stream that ran goes on
  nanoseconds resumed = 0; // when steps run again
  uint32_t streams = 0;    // that ran
  uint64_t recomputed_tokens = 0;
  bool planned = false;  // a node that came back
  bool finished = false; // refilled
};

struct replica_totals {
  uint64_t steps = 0, visits = 0, step_tokens = 0, preemptions = 0;
  double kv_ns = 0, kv_peak = 0; // share of the pages in use, over time
  double step_ns = 0;
  batch_load asked; // sum over the steps, except tokens and rows, which may be many
  uint64_t logit_rows = 0;
  nanoseconds observed = 0;
  std::vector<double> busy_ns; // by node
};

class replica {
public:
  struct surroundings { // all must outlive the replica
    const system_plan& plan;
    const cost_model& costs;
    const recovery_options& recovery;
    const std::vector<trace_request>& trace;
    const session_shape& sessions;
    std::vector<request_record>& requests;
    std::vector<recovery_record>& recoveries;
    event_queue& events;
    uint64_t& done; // requests, counted up
    bool prefix_cache;
  };
  replica(uint32_t index, const surroundings& world);

  // False when it is refused: the queue is full, or the request can never fit.
  bool submit(nanoseconds now, uint32_t request);
  void handle(const event& what);
  // `node`: within the replica. Several nodes of one failure come as one call.
  void fail_nodes(nanoseconds now, const failure_event& failure, std::span<const uint32_t> nodes,
                  double part_of_gap);
  void slow_down(nanoseconds now, const failure_event& failure, uint32_t node);

  // Known to be out of service: detected and not back yet.
  bool known_down(nanoseconds now) const { return !serving_ && now >= known_down_at_; }
  bool serving() const { return serving_; }
  bool node_serves(uint32_t node) const { return node_serves_[node]; }
  uint64_t backlog_tokens() const { return backlog_; }
  uint32_t waiting() const { return batcher_.waiting(); }
  uint32_t running() const { return static_cast<uint32_t>(running_.size()); }
  const dataflow::placement& where() const { return where_; }
  uint64_t queried_tokens() const { return earlier_queried_ + kv_->queried_tokens(); }
  uint64_t hit_tokens() const { return earlier_hits_ + kv_->hit_tokens(); }
  const kv_budget& kv() const { return *kv_; }
  const replica_totals& totals() const { return totals_; }
  // Totals count from now on.
  void start_observing(nanoseconds now);
  void stop_observing(nanoseconds now);
  void check_invariants() const;

private:
  struct step_entry {
    uint32_t request;
    uint32_t count;
    uint32_t interruptions; // of the request then: entries of an interrupted one are void
    uint32_t end;           // tokens of the sequence that are computed after it
    bool wants_logits;
  };
  struct step {
    std::vector<step_entry> entries;
    batch_load load;
    nanoseconds began = 0;
    uint32_t stage = 0;
    bool active = false;
  };

  void plan_step(nanoseconds now);
  void start_sequences(nanoseconds now);
  bool reserve_pages();
  void visit(nanoseconds now, uint32_t index);
  void finish_step(nanoseconds now, uint32_t index);
  void emit(nanoseconds now, uint32_t request);
  void leave(uint32_t request);
  void preempt(uint32_t request);
  void interrupt_all();
  void begin_recovery(nanoseconds now, recovery_record record);
  void restore(nanoseconds now);
  void resume(nanoseconds now);
  void go_on(nanoseconds now, uint32_t request);
  void node_back(nanoseconds now, uint32_t value);
  void note_kv(nanoseconds now);
  uint32_t free_step();
  std::unique_ptr<kv_budget> make_kv(uint64_t tokens) const;

  uint32_t index_;
  surroundings world_;
  dataflow::batcher batcher_;
  std::unique_ptr<kv_budget> kv_;
  dataflow::placement where_; // in force
  dataflow::placement held_;  // what is in memory: where_ without what failed since
  std::vector<bool> node_serves_;
  std::vector<uint32_t> node_failures_; // under way at once
  std::vector<uint32_t> running_;       // requests, in no order that matters
  std::vector<step> steps_;
  dataflow::step_plan plan_;
  uint32_t steps_under_way_ = 0;
  std::vector<nanoseconds> stage_free_, node_free_;
  std::vector<double> compute_factor_, network_factor_, work_;
  bool serving_ = true;
  nanoseconds known_down_at_ = 0;
  std::optional<uint32_t> recovery_;      // the one under way, until refilled
  std::optional<nanoseconds> down_since_; // waits for a node
  bool pages_lost_ = false;
  uint32_t refilling_ = 0;
  uint64_t epoch_ = 1;
  uint64_t backlog_ = 0;                            // tokens still to be computed or generated
  uint64_t earlier_queried_ = 0, earlier_hits_ = 0; // of page budgets replaced since
  replica_totals totals_;
  bool observing_ = false;
  nanoseconds noted_at_ = 0;
};

} // namespace troupe::simulations::capacity
