// Everything a fault can do to a simulated cluster. The injector speaks to this interface only.
#pragma once

#include "base/clock.hpp"
#include "dataflow/pipeline.hpp"
#include "simulations/kernel/world.hpp"
#include "simulations/seams/simulated_disk.hpp"
#include "simulations/seams/simulated_executor.hpp"
#include "simulations/seams/simulated_network.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe::simulations {

class fault_surface {
public:
  virtual ~fault_surface() = default;

  virtual world& base() = 0;
  virtual uint32_t nodes() const = 0;
  virtual bool up(uint32_t node) const = 0;

  // -- process
  virtual void crash(uint32_t node, crash_fate fate) = 0; // nothing when down
  virtual void wipe_disk(uint32_t node) = 0;              // only while down
  virtual void start(uint32_t node) = 0;                  // nothing when up
  virtual void pause(uint32_t node) = 0;
  virtual void resume(uint32_t node) = 0;
  virtual void set_message_cost(uint32_t node, duration cost) = 0;
  virtual void drain(uint32_t node) = 0; // asks the node to leave in good order
  // Ends the actor that plays the role on this node without a word; false when none does.
  virtual bool kill_part(uint32_t node, const dataflow::role& who) = 0;

  // -- network, device, disk, clock
  virtual simulated_network& network() = 0;
  virtual device_quality& device(uint32_t node) = 0;
  virtual simulated_disk& disk(uint32_t node) = 0;
  virtual void set_clock(uint32_t node, const clock_fault& fault) = 0;
  virtual void jump_clock(uint32_t node, duration ahead) = 0;

  // -- who is who now
  virtual std::optional<uint32_t> leader() const = 0; // as the nodes themselves see it
  virtual std::vector<uint32_t> hosts(const dataflow::role& who) const = 0; // by the newest epoch
  virtual uint32_t voters() const = 0;

  // -- clients
  virtual void disconnect_client(uint32_t client) = 0; // it comes back and resumes
  virtual void stall_client(uint32_t client, duration how_long) = 0;
  virtual void add_load(uint32_t requests) = 0; // a burst
};

} // namespace troupe::simulations
