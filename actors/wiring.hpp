// What every part of a node understands: which placement epoch it is, and who plays which role in
// it.
#pragma once

#include "actors/local_ref.hpp"
#include "actors/type_ids.hpp"
#include "dataflow/pipeline.hpp"

#include <caf/meta/type_name.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>
#include <string>

namespace troupe::actors {

struct route_table; // routes.hpp

// From the node supervisor, first thing and in every new epoch. Work of other epochs is dropped
// from here on. The answer, a `wired`, promises it.
struct wire {
  uint64_t epoch = 0;
  local_ref<route_table> routes;
  bool kv_lost = false; // the bytes behind the KV pages are gone
};

struct wired {
  uint64_t epoch = 0;
  uint32_t part = 0; // the number the supervisor gave it
};

// The part ends. (Supervisors do not rely on reference counts to end actors.)
struct stop_part {
  uint64_t epoch = 0;
};

// A step of this epoch does not come to an end.
struct pipeline_stuck {
  uint64_t epoch = 0;
  uint64_t step = 0;
};

// The device takes no work any more.
struct device_failed {
  uint64_t epoch = 0;
  std::string why;
};

// What the parts tell the supervisor.
using pipeline_watcher = caf::typed_actor<caf::reacts_to<wired>, caf::reacts_to<pipeline_stuck>,
                                          caf::reacts_to<device_failed>>;

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
typename Inspector::result_type inspect(Inspector& f, pipeline_stuck& x) {
  return f(caf::meta::type_name("pipeline_stuck"), x.epoch, x.step);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, device_failed& x) {
  return f(caf::meta::type_name("device_failed"), x.epoch, x.why);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_part& x) {
  return f(caf::meta::type_name("stop_part"), x.epoch);
}

} // namespace troupe::actors
