// A ring of entries with room for a short text in each, so that an event allocates nothing.
#include "simulations/kernel/event_tail.hpp"

#include "base/text.hpp"
#include "simulations/kernel/event_heap.hpp"

#include <algorithm>

namespace troupe::simulations {
namespace {

// The last identifier of a mangled name, which has its length before it: "N6troupe6actors4pingE" is
// a ping. Names without one (int) stay as they are.
std::string name_of(const std::type_info* type) {
  if (type == nullptr) return "start";
  const std::string_view mangled = type->name();
  std::string_view found = mangled;
  for (size_t i = 0; i < mangled.size();) {
    size_t length = 0, digits = i;
    for (; digits < mangled.size() && mangled[digits] >= '0' && mangled[digits] <= '9'; ++digits)
      length = length * 10 + static_cast<size_t>(mangled[digits] - '0');
    if (digits == i || length == 0 || length > mangled.size() - digits) {
      i = std::max(digits, i + 1);
      continue;
    }
    found = mangled.substr(digits, length);
    i = digits + length;
  }
  return std::string(found);
}

// Seconds with all nine places, so that lines can be compared by eye.
std::string seconds(time_point when) {
  const int64_t ns = when.time_since_epoch().count();
  std::string fraction = std::to_string(ns % 1'000'000'000);
  fraction.insert(0, 9 - fraction.size(), '0');
  return text(ns / 1'000'000'000, '.', fraction);
}

} // namespace

void event_tail::add(const tail_entry& entry) {
  if (entries_.empty()) return;
  kept& k = entries_[added_++ % entries_.size()];
  k.entry = entry;
  k.size = static_cast<uint8_t>(std::min(entry.what.size(), k.text.size()));
  std::copy_n(entry.what.data(), k.size, k.text.data());
}

std::string event_tail::line(const kept& k) {
  const tail_entry& e = k.entry;
  std::string out = seconds(e.when);
  out += e.machine == no_machine ? std::string(" world") : text(" n", e.machine);
  const std::string_view what(k.text.data(), k.size);
  switch (e.kind) {
    case tail_entry::kind_of::message:
      return text(out, ' ', e.name, '#', e.actor, ' ', name_of(e.type));
    case tail_entry::kind_of::timers:
      return out + " timers";
    case tail_entry::kind_of::event:
      return text(out, " event ", what);
    case tail_entry::kind_of::note:
      return text(out, " note ", what);
  }
  return out;
}

std::deque<std::string> event_tail::lines() const {
  std::deque<std::string> out;
  const uint64_t count = std::min<uint64_t>(added_, entries_.size());
  for (uint64_t i = added_ - count; i < added_; ++i)
    out.push_back(line(entries_[i % entries_.size()]));
  return out;
}

} // namespace troupe::simulations
