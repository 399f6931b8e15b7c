// Protocol of the journal's courier: it takes requests that this node keeps to other nodes, so that
// clients may come back to any of them, and hands this node what others keep.
#pragma once

#include "actors/local_ref.hpp"
#include "actors/type_ids.hpp"
#include "actors/wiring.hpp"
#include "base/clock.hpp"
#include "base/status.hpp"
#include "dataflow/entry_replication.hpp"
#include "schemas/frame.hpp"

#include <caf/actor_system.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/typed_actor.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace troupe::actors {

// Tells whether another node has an entry: once, and at the latest when nobody is left who could.
class delivery {
public:
  explicit delivery(std::function<void(bool)> done) : done_(std::move(done)) {}
  ~delivery() { tell(false); }
  delivery(const delivery&) = delete;
  delivery& operator=(const delivery&) = delete;

  // By its holder alone.
  void tell(bool kept) const {
    if (const auto done = std::exchange(done_, nullptr)) done(kept);
  }

private:
  mutable std::function<void(bool)> done_;
};

// From the front door: what other nodes shall keep.
struct replicate_entry {
  local_ref<schemas::journal_entry> entry; // without its number
  local_ref<delivery> outcome;
};

// For the gateway: a message on the ordered link that is of no epoch. Dropped when the node is not
// there, or takes too little.
struct send_on_link {
  schemas::node_index target = schemas::no_node;
  local_ref<schemas::frame_body> body;
};
using link_carrier = caf::typed_actor<caf::reacts_to<send_on_link>>;

// From the gateway in every epoch: who takes part, as incarnations by node, 0 for who does not.
struct members_present {
  std::vector<uint64_t> incarnations;
  link_carrier carrier;
};

// From the gateway: what another node keeps.
struct entry_arrived {
  schemas::node_index from = schemas::no_node;
  local_ref<schemas::journal_entry> entry;
};

// From the gateway: whether another node keeps what it was sent.
struct answer_arrived {
  schemas::node_index from = schemas::no_node;
  uint64_t number = 0;
  bool kept = false;
};

using journal_courier =
    caf::typed_actor<caf::reacts_to<replicate_entry>, caf::reacts_to<members_present>,
                     caf::reacts_to<entry_arrived>, caf::reacts_to<answer_arrived>,
                     caf::reacts_to<stop_part>>;

// Everything pointed to outlives the actor.
struct journal_courier_options {
  schemas::node_index self = 0;
  const clock* time = nullptr;
  // Keeps an entry of another node, whose bytes may be anything. Must not block.
  std::function<status(std::span<const std::byte>)> keep;
  std::atomic<uint64_t>* corrupt = nullptr; // counts entries that are none
  dataflow::replication_limits limits = {};
};

journal_courier spawn_journal_courier(caf::actor_system& system,
                                      const journal_courier_options& options);

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, replicate_entry& x) {
  return f(caf::meta::type_name("replicate_entry"), x.entry, x.outcome);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, send_on_link& x) {
  return f(caf::meta::type_name("send_on_link"), x.target, x.body);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, members_present& x) {
  return f(caf::meta::type_name("members_present"), x.incarnations, x.carrier);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, entry_arrived& x) {
  return f(caf::meta::type_name("entry_arrived"), x.from, x.entry);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, answer_arrived& x) {
  return f(caf::meta::type_name("answer_arrived"), x.from, x.number, x.kept);
}

} // namespace troupe::actors
