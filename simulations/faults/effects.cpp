// Every change rebuilds the quality of its place from what it was without faults.
#include "simulations/faults/effects.hpp"

#include <algorithm>

namespace troupe::simulations {

effects::id effects::add(entry what) {
  const place where = what.where;
  const id out = next_++;
  entries_.emplace(out, std::move(what));
  apply(where);
  return out;
}

effects::id effects::on_link(uint32_t from, uint32_t to,
                             std::function<void(link_quality&)> change) {
  const place where{kind::link, from, to};
  links_.try_emplace(where, surface_.network().link(from, to));
  return add({.where = where, .link = std::move(change)});
}

effects::id effects::on_device(uint32_t node, std::function<void(device_quality&)> change) {
  const place where{kind::device, node, 0};
  devices_.try_emplace(where, surface_.device(node));
  return add({.where = where, .device = std::move(change)});
}

effects::id effects::on_disk(uint32_t node, std::function<void(disk_quality&)> change) {
  const place where{kind::disk, node, 0};
  disks_.try_emplace(where, surface_.disk(node).quality());
  return add({.where = where, .disk = std::move(change)});
}

effects::id effects::on_clock(uint32_t node, std::function<void(clock_fault&)> change) {
  return add({.where = {kind::clock, node, 0}, .clock = std::move(change)});
}

effects::id effects::on_messages(uint32_t node, duration cost) {
  return add({.where = {kind::messages, node, 0}, .cost = cost});
}

effects::id effects::on_pause(uint32_t node) {
  return add({.where = {kind::pause, node, 0}});
}

void effects::drop(id which) {
  const auto found = entries_.find(which);
  if (found == entries_.end()) return;
  const place where = found->second.where;
  entries_.erase(found);
  apply(where);
}

void effects::drop_within(const std::vector<bool>& core) {
  std::set<place> touched;
  for (auto at = entries_.begin(); at != entries_.end();) {
    const place where = at->second.where;
    const bool inside = core[where.node] && (where.what != kind::link || core[where.peer]);
    if (inside) touched.insert(where);
    at = inside ? entries_.erase(at) : std::next(at);
  }
  for (const auto& where : touched) apply(where);
}

template <class Quality>
Quality effects::composed(const place& where, Quality base,
                          std::function<void(Quality&)> entry::*change) const {
  for (const auto& [number, each] : entries_)
    if (each.where == where) (each.*change)(base);
  return base;
}

bool effects::any_at(const place& where) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& each) { return each.second.where == where; });
}

void effects::apply(const place& where) {
  switch (where.what) {
    case kind::link: {
      link_quality& link = surface_.network().link(where.node, where.peer);
      const bool was_held = link.held;
      link = composed(where, links_.at(where), &entry::link);
      if (was_held && !link.held) surface_.network().let_go(where.node, where.peer);
      return;
    }
    case kind::device:
      surface_.device(where.node) = composed(where, devices_.at(where), &entry::device);
      return;
    case kind::disk:
      surface_.disk(where.node).quality() = composed(where, disks_.at(where), &entry::disk);
      return;
    case kind::clock:
      surface_.set_clock(where.node, composed(where, clock_fault{}, &entry::clock));
      return;
    case kind::messages: {
      duration cost{};
      for (const auto& [number, each] : entries_)
        if (each.where == where) cost = std::max(cost, each.cost);
      surface_.set_message_cost(where.node, cost);
      return;
    }
    case kind::pause:
      if (any_at(where))
        surface_.pause(where.node);
      else
        surface_.resume(where.node);
      return;
  }
}

bool effects::paused(uint32_t node) const {
  return any_at({kind::pause, node, 0});
}

bool effects::lies(uint32_t node) const {
  const auto found = disks_.find({kind::disk, node, 0});
  if (found == disks_.end()) return false;
  const auto now = composed(found->first, found->second, &entry::disk);
  return now.sync_lies || now.sync_directory_lies;
}

void effects::process_ends(uint32_t node) {
  const place where{kind::pause, node, 0};
  if (!any_at(where)) return;
  std::erase_if(entries_, [&](const auto& each) { return each.second.where == where; });
  apply(where);
}

} // namespace troupe::simulations
