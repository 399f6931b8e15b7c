// Protocol of the sequencer: the running requests of one pipeline replica. It forms the steps,
// draws the tokens and tells the ingress.
#pragma once

#include "actors/engine.hpp"
#include "actors/kv_cache_manager.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "compute/executor.hpp"
#include "dataflow/batcher.hpp"
#include "dataflow/request.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe::model {
class tokenizer;
struct description;
} // namespace troupe::model

namespace troupe::actors {

class metrics_board;
class step_pool;
struct row_block;

// A request as the ingress hands it over: new, or, in a new epoch, with the tokens its choices
// already have.
struct request_submission {
  request_handle handle = 0;
  std::shared_ptr<const dataflow::generation_request> request; // shared with the ingress
  time_point arrived{};
  std::vector<std::vector<int32_t>> drawn; // per choice
  std::vector<bool> finished;              // per choice: not to be continued
  std::vector<bool> prompt_scored;         // per choice
};
struct submit_request {
  uint64_t epoch = 0;
  uint64_t handle = 0;
  local_ref<request_submission> work;
};

// From the ingress: no more tokens of this choice are wanted.
struct end_choice {
  uint64_t epoch = 0;
  uint64_t handle = 0;
  uint32_t choice = 0;
};

// From the supervisor, when every part has been wired and nothing of an earlier epoch computes any
// more.
struct pipeline_ready {
  uint64_t epoch = 0;
};

// From the last attention stage: the step is through all layers.
struct forward_done {
  uint64_t epoch = 0;
  uint64_t step = 0;
  local_ref<row_block> wanted; // rows that need logits; null: they are in the sequencer's slot
};

// From any part that could not do its share of a step.
struct step_failed {
  uint64_t epoch = 0;
  uint64_t step = 0;
  status_code code = status_code::ok;
  std::string why;
};

// From the KV-cache manager.
struct pages_updated {
  uint64_t epoch = 0;
  uint64_t round = 0;
  local_ref<page_round_result> outcome;
};

using sequencer = wired_part::extend<caf::reacts_to<submit_request>, caf::reacts_to<end_choice>,
                                     caf::reacts_to<pipeline_ready>, caf::reacts_to<forward_done>,
                                     caf::reacts_to<step_failed>, caf::reacts_to<pages_updated>>;

// Everything pointed to outlives the actor.
struct sequencer_options {
  dataflow::batcher_limits limits;
  uint32_t positions_max = 0;
  uint32_t page_tokens = 0;
  bool prefix_cache = true;
  uint32_t draft_tokens_max = 0; // guessed of one sequence in a step
  bool restores_pages = false;   // the KV-cache manager may have pages of a request on a disk
  uint64_t weight_version = 0;
  std::vector<int32_t> eos_ids; // end a stream, unless it asks to go on
  const model::description* description = nullptr;
  const model::tokenizer* tokenizer = nullptr; // what constraints are about
  compute::executor* executor = nullptr;
  step_pool* steps = nullptr;
  metrics_board* board = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  duration step_max{}; // a step that takes longer is stuck
  uint32_t part = 0;
};

sequencer spawn_sequencer(caf::actor_system& system, const sequencer_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, submit_request& x) {
  return f(caf::meta::type_name("submit_request"), x.epoch, x.handle, x.work);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, end_choice& x) {
  return f(caf::meta::type_name("end_choice"), x.epoch, x.handle, x.choice);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pipeline_ready& x) {
  return f(caf::meta::type_name("pipeline_ready"), x.epoch);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, forward_done& x) {
  return f(caf::meta::type_name("forward_done"), x.epoch, x.step, x.wanted);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, step_failed& x) {
  return f(caf::meta::type_name("step_failed"), x.epoch, x.step, x.code, x.why);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pages_updated& x) {
  return f(caf::meta::type_name("pages_updated"), x.epoch, x.round, x.outcome);
}

} // namespace troupe::actors
