// Whether the clients were served right: S1 to S10 of the list of invariants. S1 and S8 are watched
// by the clients themselves while they receive; S3 follows from S2 as long as a cluster has one
// version of the weights: a torn mix of versions would change bits.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "simulations/checkers/oracle.hpp"
#include "simulations/runner/run.hpp"
#include "simulations/workload/client_record.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::simulations {

// What a node still holds, handed in at a quiescent moment.
struct node_residue {
  uint32_t node = 0;
  // Pages of one stage's pool or of the manager's books: total = used + cached + free.
  uint64_t pages_total = 0;
  uint64_t pages_used = 0;
  uint64_t pages_cached = 0;
  uint64_t pages_free = 0;
  uint64_t sequences_live = 0;        // running and waiting
  uint64_t streams_open = 0;          // at its door
  uint64_t steps_taken = 0;           // step slots not given back
  uint64_t frames_unacknowledged = 0; // to nodes that are up
  uint64_t frames_held = 0;           // received and not taken
  uint64_t device_jobs = 0;           // under way
  uint64_t messages = 0;              // in mailboxes
};

// The highest level something bounded has reached.
struct high_water {
  uint32_t node = 0;
  std::string what; // "frames to n2", "mailbox of sequencer"
  uint64_t reached = 0;
  uint64_t bound = 0;
};

struct serving_expectation {
  bool explicit_errors = false; // streams may end with one of these …
  std::vector<status_code> errors = {status_code::unavailable, status_code::exhausted,
                                     status_code::timed_out, status_code::device_lost};
  duration wait_max = std::chrono::seconds(30); // S10, while the cluster is healthy
  bool compare_usage = true;                    // the counts of `completed`
};

class serving_checker {
public:
  // The oracle outlives it.
  serving_checker(oracle& right, const serving_expectation& expect);

  // From now on also what only holds where clocks are right and no work is done twice.
  void nothing_is_done_twice() { undisturbed_ = true; }

  // S1, S2, S4, S6, S8 of a client that is done; S2 of the part received when it is not. Call once
  // per client.
  void check_client(const client_record& got, time_point now);
  // S6: every request that was handed in has ended. At the end of a run.
  void check_ended(const client_record& got, const std::string& state, time_point now);
  // S5: at any quiescent moment.
  void check_pages(const node_residue& left, time_point now);
  // S7: at any time.
  void check_bound(const high_water& level, time_point now);
  // S9: after every request ended and time for the last frames passed.
  void check_idle(const node_residue& left, time_point now);

  // The cluster is healthy from now on, or not any more; nothing told: not healthy.
  void healthy(bool is, time_point now);
  // S10 over the healthy times so far; `got` may be open.
  void check_waits(const client_record& got, time_point now);

  const std::vector<violation>& violations() const { return violations_; }
  uint64_t tokens_compared() const { return tokens_compared_; }
  uint64_t logits_compared() const { return logits_compared_; } // log-probabilities, bit by bit

private:
  struct span {
    time_point from{};
    time_point until{}; // time_point::max(): still
  };

  void check_choice(const client_record& got, uint32_t choice, const choice_answer& right,
                    time_point now);
  void check_tokens(const client_record& got, uint32_t choice, const choice_answer& right,
                    time_point now);
  void check_scores(const std::string& where, const dataflow::token_record& got,
                    const dataflow::token_record& right, time_point now);
  void check_text(const client_record& got, uint32_t choice, const choice_answer& right,
                  time_point now);
  void check_end(const client_record& got, time_point now);
  void check_usage(const client_record& got, const answer& right, time_point now);
  void check_cached(const client_record& got, time_point now);
  void check_deadline(const client_record& got, uint32_t choice, time_point now);
  void note(const char* invariant, std::string what, time_point when);

  oracle& right_;
  serving_expectation expect_;
  bool undisturbed_ = false;
  std::vector<span> healthy_;
  std::vector<violation> violations_;
  uint64_t tokens_compared_ = 0;
  uint64_t logits_compared_ = 0;
};

} // namespace troupe::simulations
