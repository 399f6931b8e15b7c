// Protocol of the ingress: the owner of the clients' streams. It keeps every request and the tokens
// already given out, so that a stream survives the loss of everything behind it.
#pragma once

#include "actors/engine.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "dataflow/request.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe::actors {

class metrics_board;

struct stream_opening {
  request_handle handle = 0;
  std::shared_ptr<const dataflow::generation_request> request; // shared with the sequencer
  engine::event_sink sink;
  time_point arrived{};
  engine::received_so_far received; // by a client that was cut off and has come back
};

// From the engine. The request is valid and admitted.
struct open_stream {
  uint64_t handle = 0;
  local_ref<stream_opening> opening;
};

// From the engine: the client has gone.
struct cancel_stream {
  uint64_t handle = 0;
};

// What the last step drew, for every stream of it.
struct emission {
  struct entry {
    request_handle handle = 0;
    uint32_t choice = 0;
    std::vector<dataflow::token_record> prompt; // non-empty once, when the prompt was to be scored
    std::vector<dataflow::token_record> tokens; // drawn now: none or one
    uint32_t begin = 0; // index among the choice's drawn tokens of the first of `tokens`
    bool finished = false;
    dataflow::finish_reason reason = dataflow::finish_reason::stop;
    bool ends_with_stop_id = false; // the last token has no text of its own
    uint32_t cached_tokens = 0;
    bool first = false;   // of the choice
    time_point started{}; // when the choice left the queue
  };
  std::vector<entry> entries;
};
struct tokens_emitted {
  uint64_t epoch = 0;
  local_ref<emission> work;
};

// From the sequencer: this request cannot be served.
struct request_failed {
  uint64_t epoch = 0;
  uint64_t handle = 0;
  status_code code = status_code::ok;
  std::string why;
};

// From the supervisor: nothing behind the ingress will come back.
struct pipeline_failed {
  std::string why;
};

using ingress = wired_part::extend<caf::reacts_to<open_stream>, caf::reacts_to<cancel_stream>,
                                   caf::reacts_to<tokens_emitted>, caf::reacts_to<request_failed>,
                                   caf::reacts_to<pipeline_failed>>;

// Everything pointed to outlives the actor.
struct ingress_options {
  const model::tokenizer* tokenizer = nullptr;
  metrics_board* board = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  uint32_t part = 0;
};

ingress spawn_ingress(caf::actor_system& system, const ingress_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, open_stream& x) {
  return f(caf::meta::type_name("open_stream"), x.handle, x.opening);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, cancel_stream& x) {
  return f(caf::meta::type_name("cancel_stream"), x.handle);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, tokens_emitted& x) {
  return f(caf::meta::type_name("tokens_emitted"), x.epoch, x.work);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, request_failed& x) {
  return f(caf::meta::type_name("request_failed"), x.epoch, x.handle, x.code, x.why);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pipeline_failed& x) {
  return f(caf::meta::type_name("pipeline_failed"), x.why);
}

} // namespace troupe::actors
