// The state of a cluster kept in etcd: PREFIX/leader exists while the lease of who leads does, and
// PREFIX/state is only written in a transaction that compares the leader's creation and the state's
// last change.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "storage/etcd/etcd_messages.hpp"
#include "storage/etcd/etcd_options.hpp"
#include "storage/state_store.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace troupe::storage {

// With a thread of its own that waits for etcd. Its end waits for the calls that are under way,
// each at most options.call_timeout twice. Does not connect yet; fails when an option makes no
// sense. `time` outlives it.
result<std::unique_ptr<state_store>> open_etcd_store(const etcd_options& options,
                                                     const clock& time);

// -- the values, for tests

std::string write_leader(std::string_view node, uint64_t incarnation);
// Adds what the entry itself says: lease, and since when.
result<store_leader> read_leader(const etcd_entry& entry);

result<std::string> write_state(uint64_t layout, const schemas::cluster_state& state);
// Fills in layout, state and revision.
status read_state(const etcd_entry& entry, store_contents& out);

} // namespace troupe::storage
