// The network between simulated machines behind the endpoint seam: delay, loss, repetition,
// reordering, cuts, changed bits, and frames of earlier incarnations.
#pragma once

#include "simulations/kernel/world.hpp"
#include "transport/endpoint.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::simulations {

// One direction from one machine to another. Rates are per million frames.
struct link_quality {
  duration delay_min = std::chrono::microseconds(20);
  duration delay_mean = std::chrono::microseconds(60); // exponential above the minimum …
  uint32_t tail_ppm = 0;                               // … and so often a hundred times as long
  uint32_t loss_ppm = 0;
  uint32_t repeat_ppm = 0;
  uint32_t reorder_ppm = 0; // overtakes: delayed by up to 20 means
  uint32_t flip_ppm = 0;    // a bit of the frame is changed
  uint32_t truncate_ppm = 0;
  uint64_t bytes_per_s = uint64_t{10} << 30;
  bool cut = false; // nothing gets through
  bool held = false; // what is sent waits until it is let go
};

struct network_counters {
  uint64_t sent = 0, delivered = 0, lost = 0, repeated = 0, reordered = 0, flipped = 0, cut = 0,
           stale = 0, bytes = 0;
};

class simulated_network {
public:
  simulated_network(world& w, std::vector<std::string> names);
  ~simulated_network();

  // The endpoint of a machine that has just booted (its incarnation as given); frames for earlier
  // incarnations of it still arrive when `stale_delivery` is on, marked as theirs by what is in
  // them alone. Listener calls happen as events of that machine. Gone when the machine crashes
  // (detach).
  std::unique_ptr<transport::endpoint> attach(uint32_t machine, uint64_t incarnation,
                                              transport::endpoint_listener& listener);

  link_quality& link(uint32_t from, uint32_t to);
  void let_go(uint32_t from, uint32_t to); // frames that were held, in order
  // A connection reset: everything under way between the two, in both directions, is lost.
  void reset(uint32_t a, uint32_t b);
  const network_counters& counters() const;
};

} // namespace troupe::simulations
