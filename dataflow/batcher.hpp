// Decides what each step computes: continuous batching with chunked prefill. Decodes go first, one
// token each; what is left of the step's token budget goes to prompts in chunks, fewer where there
// are decodes, whose next tokens wait for the step. Within a priority the first come is the first
// served.
//
// A step, seen from the sequencer:
//   for (;;) {
//     batcher.plan_starts(room, plan);          // drop plan.dropped; break when plan.starts is
//     empty for id in plan.starts: open its pages, then batcher.on_started(id, cached_tokens)
//   }
//   batcher.plan_rows(plan);                    // plan.entries, or plan.wait_until
//   for entry in plan.entries: extend its pages; while that is `exhausted`:
//     victim = batcher.choose_victim(); close its pages; batcher.on_preempted(victim);
//     plan.remove(victim); (the victim may be the entry's own sequence; one that is alone and still
//     does not fit never will: it fails)
//   … compute …
//   for entry: batcher.on_computed(entry.sequence, entry.count);
//              where entry.wants_logits: sample, then batcher.on_sampled or batcher.remove
//
// Several steps may be under way: a plan never gives out a token twice, nor one not yet sampled.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "dataflow/ids.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace troupe::dataflow {

struct batcher_limits {
  uint32_t tokens_max = 512;             // of a step
  uint32_t sequences_max = 64;           // running
  uint32_t queue_max = 1024;             // waiting; preempted ones may exceed it
  uint32_t prefill_chunk_max = 256;      // tokens of one sequence in one step
  uint32_t mixed_prefill_max = 1u << 30; // prompt tokens of a step in which others decode
  uint32_t max_batch_size = 0;           // sequences in a step; 0: sequences_max
  duration max_wait{
      0}; // how long the first of an idle engine's sequences waits for company; decodes never wait
};

// The message names the field, its value and the range.
status validate(const batcher_limits& limits);

struct sequence_arrival {
  sequence_id id = 0;
  uint32_t prompt_tokens = 0; // at least 1
  int32_t priority = 0;       // lower goes first
  time_point arrived{};
  std::optional<time_point> deadline{};
  // Sequences of one gang (a request's choices; 0: none) have the same prompt: the second starts
  // when the first has computed it, so that its pages can be shared.
  uint64_t gang = 0;
  // Was admitted before (by a sequencer that is gone), or belongs to a request of which a part is:
  // the limit of the queue is not for it.
  bool never_refused = false;
};

// What the world looks like when a step is planned.
struct step_room {
  time_point now{};
  uint64_t kv_pages = UINT32_MAX; // kv_pages::available()
  uint32_t page_tokens = 1;
  duration step_time_min{0}; // no step is faster; 0: unknown. Makes hopeless deadlines provable
};

struct step_entry {
  sequence_id sequence = 0;
  uint32_t begin = 0; // position of the first token
  uint32_t count = 0;
  bool wants_logits = false; // the chunk ends with the last known token: a token is drawn after it
};

// Reused from step to step so that planning does not allocate.
struct step_plan {
  std::vector<sequence_id> starts;      // running from now on; on_started is due
  std::vector<sequence_id> dropped;     // deadline passed or out of reach; already removed
  std::vector<step_entry> entries;      // decodes first
  uint32_t tokens = 0;                  // sum of counts
  std::optional<time_point> wait_until; // no entries because company is awaited: plan again then
  void clear();
  void remove(sequence_id id); // its entries, if any
};

class batcher {
public:
  // Requires validate(limits).ok().
  explicit batcher(const batcher_limits& limits);

  // Puts a sequence into the waiting queue, or says `exhausted`. The id must be new.
  status admit(const sequence_arrival& arrival);

  // Cancelled or finished, in any state. Unknown ids are ignored.
  void remove(sequence_id id);

  // Clears the plan, drops sequences that cannot meet their deadline, and starts waiting ones as
  // far as budget, sequences_max and KV room allow. Nobody overtakes a sequence of the same
  // priority that lacks room. An empty engine starts its first sequence whatever the room: whether
  // it fits at all is for the page table to say.
  void plan_starts(const step_room& room, step_plan& plan);

  // Fills plan.entries and marks their tokens as under way.
  void plan_rows(step_plan& plan);

  // The sequence's first cached_tokens need no computing (less than all it has).
  void on_started(sequence_id id, uint32_t cached_tokens);
  // An entry of this sequence is done. Not for entries of a sequence removed or preempted since.
  void on_computed(sequence_id id, uint32_t count);
  // Of the tokens guessed behind the last known one so many are the sequence's next, and have been
  // computed in the same entry; all others must have been computed. on_sampled comes next.
  void on_accepted(sequence_id id, uint32_t count);
  // The sequence has one more token; all others must have been computed.
  void on_sampled(sequence_id id);

  // The running sequence to give up first: lowest priority, then latest arrival.
  std::optional<sequence_id> choose_victim(std::optional<sequence_id> excluding = {}) const;
  // Back to the front of the waiting queue of its priority; everything it has is to be recomputed.
  // Also undoes a start that failed.
  void on_preempted(sequence_id id);

  uint32_t running() const { return static_cast<uint32_t>(running_.size()); }
  uint32_t waiting() const { return static_cast<uint32_t>(waiting_.size()); }
  // How many more admit() would take now.
  uint32_t queue_room() const;
  bool contains(sequence_id id) const { return sequences_.count(id) != 0; }
  // Whether a plan could contain something: running sequences with known tokens, or waiting ones.
  bool has_work() const;
  // Tokens of a sequence: prompt and sampled.
  uint32_t known_tokens(sequence_id id) const;

  // Ends the process when the books do not balance. Slow: for tests.
  void check_invariants() const;

private:
  enum class sequence_state : uint8_t { waiting, starting, running };

  struct sequence {
    sequence_arrival arrival;
    uint64_t number = 0; // of admission
    sequence_state state = sequence_state::waiting;
    bool preempted = false; // waits at the front
    uint32_t known = 0;     // tokens: prompt and sampled
    uint32_t scheduled = 0; // of these computed or under way
    uint32_t computed = 0;  // of these computed
    uint64_t served_at = 0; // step of its last entry
    uint64_t turn = 0;      // number of its last entry among all
    uint32_t remaining() const { return known - scheduled; }
    bool decodes() const { return remaining() == 1 && known > arrival.prompt_tokens; }
  };

  // priority, not preempted, arrival, admission: the order of the waiting queue.
  using queue_key = std::tuple<int32_t, bool, time_point, uint64_t>;
  static queue_key key_of(const sequence& s);
  static bool goes_before(const sequence& a, const sequence& b);

  // Rows and tokens of a step that are for decodes, or for prefills.
  struct share {
    uint32_t rows = 0;
    uint32_t tokens = 0;
  };

  sequence& find(sequence_id id);
  const sequence& find(sequence_id id) const;
  uint32_t rows_max() const;
  bool is_late(const sequence& s, const step_room& room) const;
  void drop_late(const step_room& room, step_plan& plan);
  std::optional<time_point> company_until(const step_room& room) const;
  bool gang_is_computing(const sequence& s) const;
  bool step_has_room(const sequence& s) const;
  bool kv_has_room(const sequence& s, const step_room& room) const;
  void enter_waiting(sequence& s);
  void leave_waiting(sequence& s);
  void enter_running(sequence& s);
  void leave_running(sequence& s);
  void collect(bool decodes);
  share decode_share(bool prefills_pending) const;
  uint32_t left_to_prompts(uint32_t decodes, uint32_t tokens_left) const;
  void add_entry(sequence& s, uint32_t count, step_plan& plan);
  void plan_decodes(share limit, step_plan& plan);
  void plan_prefills(share limit, step_plan& plan);

  batcher_limits limits_;
  std::map<sequence_id, sequence> sequences_;
  std::map<queue_key, sequence*> waiting_;
  std::set<std::pair<time_point, sequence_id>> waiting_deadlines_;
  std::vector<sequence*> running_;    // starting and running, best first
  std::vector<sequence*> candidates_; // scratch of a plan
  uint64_t admissions_ = 0;
  uint64_t step_ = 0;
  uint64_t entries_ = 0;
  bool decoded_last_ = false; // whose turn it is when a step has room for one sequence only
};

} // namespace troupe::dataflow
