// The network between simulated machines behind the endpoint seam: delay, loss, repetition,
// reordering, cuts, changed bits, and frames of earlier incarnations.
#pragma once

#include "simulations/kernel/world.hpp"
#include "transport/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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
  uint32_t reorder_ppm = 0; // overtaken: delayed by up to 20 means, the others pass it
  uint32_t flip_ppm = 0;    // a bit of the frame is changed
  uint32_t truncate_ppm = 0;
  uint64_t bytes_per_s = uint64_t{10} << 30;
  bool cut = false;           // nothing gets through, nor does what is under way
  bool held = false;          // what is sent waits until it is let go
  bool stale_delivery = true; // frames sent before their target restarted arrive at the new one
};

// sent = delivered + lost + cut + what is under way or held, when each repetition counts as sent.
struct network_counters {
  uint64_t sent = 0, delivered = 0, lost = 0, repeated = 0, reordered = 0, flipped = 0, cut = 0,
           stale = 0, bytes = 0;
};

// What became of a frame, for diagrams. The spans are valid during the call only.
struct frame_fate {
  uint32_t from = 0, to = 0;
  time_point sent{}, arrived{}; // arrived == time_point{}: never
  std::span<const std::byte> header;
};

// Unreliable like the real one: a machine that is down, or cut off, looks like one that is silent,
// and send() says `unavailable` only for names that do not exist. Of a process that ends on a
// machine that goes on, peers mostly hear (peer_down), because its connections are closed; nobody
// ever hears peer_up. The frames of a link keep their order unless reordering or repetition
// strikes. The n-th frame of a link always uses the n-th draws of that link.
class simulated_network {
public:
  simulated_network(world& w, std::vector<std::string> names);
  ~simulated_network();

  // The endpoint of a machine that has just booted (its incarnation as given); frames for earlier
  // incarnations of it still arrive when `stale_delivery` is on, marked as theirs by what is in
  // them alone. Listener calls happen as events of that machine, and end with the endpoint or
  // the machine's crash. The endpoint must not outlive the network. Sends of one machine to itself
  // take the way over the network too.
  std::unique_ptr<transport::endpoint> attach(uint32_t machine, uint64_t incarnation,
                                              transport::endpoint_listener& listener,
                                              const transport::endpoint_options& options = {});

  link_quality& link(uint32_t from, uint32_t to);
  // The machine's process has ended and the machine has not. Peers that are there now, and
  // reachable when it would arrive, hear peer_down after 1 to 50 ms; one time in four nobody hears,
  // as when the machine went down too.
  void process_gone(uint32_t machine);
  // Ends `held`: the frames that were held are sent now, in order.
  void let_go(uint32_t from, uint32_t to);
  // A connection reset: everything under way between the two, in both directions, is lost.
  void reset(uint32_t a, uint32_t b);
  const network_counters& counters() const;

  // Called when a frame arrives, or when it is certain that it never will; null: nobody.
  void set_watcher(std::function<void(const frame_fate&)> watcher);

  struct parts;

private:
  std::unique_ptr<parts> parts_;
};

} // namespace troupe::simulations
