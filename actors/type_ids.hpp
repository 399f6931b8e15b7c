// Wire numbers of every message. Append only; a retired line stays as a comment.
#pragma once

#include "base/status.hpp"

#include <caf/error.hpp>
#include <caf/make_message.hpp> // the error macro below does not compile without it
#include <caf/message.hpp>
#include <caf/type_id.hpp>

namespace troupe::actors {
// wiring.hpp
struct wire;
struct wired;
struct stop_part;
// ingress.hpp
struct open_stream;
struct cancel_stream;
struct tokens_emitted;
struct request_failed;
struct pipeline_failed;
// sequencer.hpp
struct submit_request;
struct end_choice;
struct pipeline_ready;
struct forward_done;
struct pages_updated;
struct step_failed;
struct rows_sampled;
struct sequencer_wake;
// kv_cache_manager.hpp
struct update_pages;
// attention_stage.hpp
struct forward_batch;
struct rows_combined;
struct layer_computed;
// gating_router.hpp
struct route_rows;
struct experts_done;
struct rows_routed;
struct combine_finished;
// expert_shard.hpp
struct expert_batch;
struct experts_computed;
// node_supervisor.hpp
struct restart_part;
struct fence_passed;
struct stop_node;
} // namespace troupe::actors

CAF_BEGIN_TYPE_ID_BLOCK(troupe, first_custom_type_id)
CAF_ADD_TYPE_ID(troupe, (troupe::status_code))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::wire))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::wired))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::stop_part))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::open_stream))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::cancel_stream))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::tokens_emitted))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::request_failed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::pipeline_failed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::submit_request))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::end_choice))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::pipeline_ready))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::forward_done))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::pages_updated))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::step_failed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::rows_sampled))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::sequencer_wake))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::update_pages))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::forward_batch))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::rows_combined))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::layer_computed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::route_rows))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::experts_done))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::rows_routed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::combine_finished))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::expert_batch))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::experts_computed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::restart_part))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::fence_passed))
CAF_ADD_TYPE_ID(troupe, (troupe::actors::stop_node))
CAF_END_TYPE_ID_BLOCK(troupe)

CAF_ERROR_CODE_ENUM(troupe::status_code, "troupe")
