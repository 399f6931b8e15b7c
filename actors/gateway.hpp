// Protocol of the gateway: this node's mouth and ears. Parts on other nodes are addressed by
// sending it the message meant for them; what other nodes send reaches the parts of this node
// through it.
#pragma once

#include "actors/attention_stage.hpp"
#include "actors/carriage.hpp"
#include "actors/expert_shard.hpp"
#include "actors/gating_router.hpp"
#include "actors/ingress.hpp"
#include "actors/journal_courier.hpp"
#include "actors/sequencer.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "dataflow/cluster.hpp"
#include "dataflow/link.hpp"
#include "schemas/frame.hpp"
#include "transport/endpoint.hpp"

#include <atomic>
#include <memory>

namespace troupe::actors {

// A frame as it has come in, decoded and whole.
struct inbound_frame {
  schemas::frame_header header;
  row_block payload;
};

// From the endpoint.
struct frame_arrived {
  local_ref<inbound_frame> frame;
};

// From membership and coordinator: a message outside the ordered link, which may be lost.
// `target` no_node: to every other node.
struct send_datagram {
  schemas::node_index target = schemas::no_node;
  local_ref<schemas::frame_body> body;
};

// From the supervisor: every part is wired to this epoch, frames of it may come in.
struct open_gate {
  uint64_t epoch = 0;
};

// The messages of the parts it stands for, besides its own.
using gateway = wired_part::extend<
    caf::reacts_to<frame_arrived>, caf::reacts_to<send_datagram>, caf::reacts_to<send_on_link>,
    caf::reacts_to<open_gate>, caf::reacts_to<forward_batch>, caf::reacts_to<rows_combined>,
    caf::reacts_to<forward_done>, caf::reacts_to<expert_batch>, caf::reacts_to<route_rows>,
    caf::reacts_to<experts_done>, caf::reacts_to<step_failed>, caf::reacts_to<submit_request>,
    caf::reacts_to<end_choice>, caf::reacts_to<pipeline_ready>, caf::reacts_to<pages_updated>,
    caf::reacts_to<tokens_emitted>, caf::reacts_to<request_failed>, caf::reacts_to<open_stream>,
    caf::reacts_to<cancel_stream>, caf::reacts_to<pipeline_failed>>;

// What the gateway has done; read at any time.
struct gateway_counters {
  std::atomic<uint64_t> stale{0};     // frames of another epoch, incarnation or node
  std::atomic<uint64_t> corrupt{0};   // frames that could not be read
  std::atomic<uint64_t> misrouted{0}; // for a part that is not here
  std::atomic<uint64_t> resent{0};
  // Levels now:
  std::atomic<uint64_t> unacknowledged{0}; // frames sent to nodes of this epoch
  std::atomic<uint64_t> waiting{0};        // frames without credit
  std::atomic<uint64_t> held{0};           // frames that have come in and not been taken
};

// Everything pointed to outlives the actor.
struct gateway_options {
  const dataflow::cluster_layout* layout = nullptr;
  const dataflow::cluster_timing* timing = nullptr;
  schemas::node_index self = 0;
  uint64_t incarnation = 0;
  transport::endpoint* endpoint = nullptr;
  gateway_counters* counters = nullptr;
  const clock* time = nullptr;
  troupe::trace* trace = nullptr;
  uint32_t link_frames_max = 256; // to one peer without an acknowledgement; equal on all nodes
  uint64_t link_bytes_max = dataflow::link_limits().bytes_max; // of these
  uint32_t waiting_max = 1 << 16; // frames to one peer that may wait for credit; over it the epoch
                                  // is given up as stuck
  // What may be under way to one peer when a message of no epoch is still added.
  uint64_t loose_bytes_max = uint64_t{32} << 20;
  journal_courier courier = {}; // null: this node keeps nothing for others
  uint32_t part = 0;
};

gateway spawn_gateway(caf::actor_system& system, const gateway_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, frame_arrived& x) {
  return f(caf::meta::type_name("frame_arrived"), x.frame);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, send_datagram& x) {
  return f(caf::meta::type_name("send_datagram"), x.target, x.body);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, open_gate& x) {
  return f(caf::meta::type_name("open_gate"), x.epoch);
}

} // namespace troupe::actors
