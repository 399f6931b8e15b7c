// What every part of a node understands: which placement epoch it is, and who plays which role in
// it.
#pragma once

#include "actors/local_ref.hpp"
#include "actors/type_ids.hpp"
#include "dataflow/pipeline.hpp"

#include <caf/meta/type_name.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>

namespace troupe::actors {

struct route_table; // routes.hpp

// From the node supervisor, first thing and after every restart of a part. Work of lower epochs is
// dropped from here on. The answer, a `wired`, promises it.
struct wire {
  uint64_t epoch = 0;
  local_ref<route_table> routes;
  bool kv_lost = false; // the bytes behind the KV pages are gone
};

struct wired {
  uint64_t epoch = 0;
  uint32_t part = 0; // index in the route table's parts
};

// The part ends. (Supervisors do not rely on reference counts to end actors.)
struct stop_part {
  uint64_t epoch = 0;
};

// Where `wired` goes; the supervisor is one of these.
using wired_sink = caf::typed_actor<caf::reacts_to<wired>>;

// Every part is at least one of these.
using wired_part = caf::typed_actor<caf::reacts_to<wire>, caf::reacts_to<stop_part>>;

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, wire& x) {
  return f(caf::meta::type_name("wire"), x.epoch, x.routes, x.kv_lost);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, wired& x) {
  return f(caf::meta::type_name("wired"), x.epoch, x.part);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_part& x) {
  return f(caf::meta::type_name("stop_part"), x.epoch);
}

} // namespace troupe::actors
