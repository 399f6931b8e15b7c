// What is in force on links, devices, disks and clocks: several faults may bend the same thing at
// once, and each of them ends without undoing the others.
#pragma once

#include "simulations/cluster/fault_surface.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace troupe::simulations {

class effects {
public:
  // The surface must outlive it.
  explicit effects(fault_surface& surface) : surface_(surface) {}

  using id = uint64_t;
  // Each changes the quality on top of what else is in force, until drop().
  id on_link(uint32_t from, uint32_t to, std::function<void(link_quality&)> change);
  id on_device(uint32_t node, std::function<void(device_quality&)> change);
  id on_disk(uint32_t node, std::function<void(disk_quality&)> change);
  id on_clock(uint32_t node, std::function<void(clock_fault&)> change);
  id on_messages(uint32_t node, duration cost); // the largest counts
  id on_pause(uint32_t node);                   // runs again after the last one
  void drop(id which);                          // nothing when it is gone already

  // Drops what lies on nodes of the core and on links between two of them.
  void drop_within(const std::vector<bool>& core);
  bool paused(uint32_t node) const;
  bool lies(uint32_t node) const; // its disk, now
  // Before a crash: a process that is gone does not stand still, and the next one runs.
  void process_ends(uint32_t node);

private:
  enum class kind : uint8_t { link, device, disk, clock, messages, pause };
  struct place {
    kind what = kind::link;
    uint32_t node = 0, peer = 0;
    auto operator<=>(const place&) const = default;
  };
  struct entry {
    place where;
    std::function<void(link_quality&)> link = {};
    std::function<void(device_quality&)> device = {};
    std::function<void(disk_quality&)> disk = {};
    std::function<void(clock_fault&)> clock = {};
    duration cost{};
  };

  id add(entry what);
  void apply(const place& where);
  template <class Quality>
  Quality composed(const place& where, Quality base,
                   std::function<void(Quality&)> entry::*change) const;
  bool any_at(const place& where) const;

  fault_surface& surface_;
  std::map<id, entry> entries_;
  id next_ = 1;
  std::map<place, link_quality> links_; // as they are without faults
  std::map<place, device_quality> devices_;
  std::map<place, disk_quality> disks_;
};

} // namespace troupe::simulations
