// Reports go to the membership, votes to the coordinator, all else to the gateway.
#include "actors/frame_sorter.hpp"

#include "schemas/frame_codec.hpp"

#include <caf/send.hpp>

#include <cstring>
#include <utility>

namespace troupe::actors {
namespace {

using schemas::frame_body;

bool is_vote(const frame_body& body) {
  return std::holds_alternative<schemas::register_prepare>(body) ||
         std::holds_alternative<schemas::register_promise>(body) ||
         std::holds_alternative<schemas::register_accept>(body) ||
         std::holds_alternative<schemas::register_accepted>(body) ||
         std::holds_alternative<schemas::register_recover>(body) ||
         std::holds_alternative<schemas::register_recovered>(body) ||
         std::holds_alternative<schemas::state_update>(body);
}

} // namespace

void frame_sorter::connect(gateway to_gateway, membership to_membership,
                           coordinator to_coordinator) {
  listeners_.put({std::move(to_gateway), std::move(to_membership), std::move(to_coordinator)});
}

void frame_sorter::disconnect() {
  listeners_.close();
}

void frame_sorter::frame_received(const transport::node_identity& from,
                                  std::span<const std::byte> header,
                                  std::span<const std::byte> payload) {
  const auto to = listeners_.get();
  if (!to) return;
  auto read = schemas::decode_frame(header, {});
  if (!read || read->payload_bytes() != payload.size() ||
      (!payload.empty() && schemas::checksum_of(payload) != read->payload_checksum)) {
    counters_->corrupt.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // Whose frame it is says the session it came through.
  if (read->source >= layout_->nodes.size() || layout_->nodes[read->source] != from.name ||
      from.incarnation != read->source_incarnation) {
    counters_->corrupt.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const bool for_us = (read->target == self_ || read->target == schemas::no_node) &&
                      (read->target_incarnation == incarnation_ || read->target_incarnation == 0);
  if (!for_us || read->source == self_) {
    counters_->stale.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (const auto* report = std::get_if<schemas::node_report>(&read->body)) {
    caf::anon_send(to->to_membership, report_arrived{make_local(*report)});
    return;
  }
  inbound_frame frame;
  frame.header = std::move(*read);
  if (is_vote(frame.header.body)) {
    const auto from = frame.header.source;
    const auto incarnation = frame.header.source_incarnation;
    caf::anon_send(to->to_coordinator,
                   vote_arrived{from, incarnation, make_local(std::move(frame.header.body))});
    return;
  }
  frame.payload = row_block::make(frame.header.rows, frame.header.columns);
  if (!payload.empty()) std::memcpy(frame.payload.values.data(), payload.data(), payload.size());
  caf::anon_send(to->to_gateway, frame_arrived{make_local(std::move(frame))});
}

void frame_sorter::peer_down(const transport::node_identity& peer) {
  const auto to = listeners_.get();
  const auto node = layout_->index_of(peer.name);
  if (to && node) caf::anon_send(to->to_membership, peer_cut_off{*node, peer.incarnation});
}

} // namespace troupe::actors
