// Stands between an endpoint and the actors of its node: reads frames and hands each to whom it
// concerns. Bytes that are no frame are counted and dropped here.
#pragma once

#include "actors/coordinator.hpp"
#include "actors/gateway.hpp"
#include "actors/membership.hpp"
#include "actors/shared_slot.hpp"
#include "transport/endpoint.hpp"

namespace troupe::actors {

class frame_sorter final : public transport::endpoint_listener {
public:
  // The layout outlives it.
  frame_sorter(const dataflow::cluster_layout& layout, schemas::node_index self,
               uint64_t incarnation, gateway_counters& counters)
      : layout_(&layout), self_(self), incarnation_(incarnation), counters_(&counters) {}

  // Once. Frames that come before are lost, as frames may be.
  void connect(gateway to_gateway, membership to_membership, coordinator to_coordinator);
  // Lets go of the actors; nothing is delivered any more. Any thread, also while frames come in.
  void disconnect();

  void frame_received(const transport::node_identity& from, std::span<const std::byte> header,
                      std::span<const std::byte> payload) override;
  void peer_up(const transport::node_identity&) override {}
  void peer_down(const transport::node_identity& peer) override;

private:
  struct listeners {
    gateway to_gateway;
    membership to_membership;
    coordinator to_coordinator;
  };

  const dataflow::cluster_layout* layout_;
  schemas::node_index self_;
  uint64_t incarnation_;
  gateway_counters* counters_;
  shared_slot<listeners> listeners_; // put and closed by whoever runs the node
};

} // namespace troupe::actors
