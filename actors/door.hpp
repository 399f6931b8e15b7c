// What every request passes before an ingress sees it: is it something this model can answer, and
// is there room.
#pragma once

#include "actors/ingress.hpp"
#include "actors/node_supervisor.hpp"

namespace troupe::actors {

// Any thread.
class door {
public:
  explicit door(const node_resources& resources) : resources_(&resources) {}

  // Counts the request's streams in, or says why not: invalid_argument (the message names the
  // field), exhausted (full, try later), unavailable (the node has failed). What has been let in
  // must be opened.
  status admit(const dataflow::generation_request& request);

  // The message for the ingress.
  open_stream opening(request_handle handle, dataflow::generation_request request,
                      engine::event_sink sink, engine::received_so_far received) const;

private:
  status check(const dataflow::generation_request& request) const;
  status take_room(uint32_t choices);

  const node_resources* resources_;
};

} // namespace troupe::actors
