// Slots hold the callbacks and are used again; the heap itself moves only small items.
#include "simulations/kernel/event_heap.hpp"

#include "base/check.hpp"
#include "simulations/kernel/event_hash.hpp"

#include <algorithm>
#include <utility>

namespace troupe::simulations {

event_label::event_label(std::string_view text)
    : hash_(hash_of(text)), size_(static_cast<uint8_t>(std::min(text.size(), text_max))) {
  std::copy_n(text.data(), size_, text_.data());
}

uint64_t event_heap::add(time_point when, timed_event event) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  slot& s = slots_[index];
  s.event = std::move(event);
  s.taken = true;
  ++s.generation;
  items_.push_back({when, ++order_, index, s.generation});
  std::push_heap(items_.begin(), items_.end(), later);
  return uint64_t{s.generation} << 32 | index;
}

void event_heap::release(uint32_t index) {
  slot& s = slots_[index];
  ++s.generation;
  s.taken = false;
  free_.push_back(index);
}

void event_heap::cancel(uint64_t id) {
  const auto index = static_cast<uint32_t>(id);
  if (index >= slots_.size() || slots_[index].generation != id >> 32) return;
  const auto dropped = std::move(slots_[index].event.what); // may call back when destroyed
  slots_[index].event.what = nullptr;
  release(index);
}

void event_heap::skip_stale() {
  while (!items_.empty() && stale(items_.front())) {
    std::pop_heap(items_.begin(), items_.end(), later);
    items_.pop_back();
  }
}

std::optional<time_point> event_heap::earliest() {
  skip_stale();
  if (items_.empty()) return std::nullopt;
  return items_.front().when;
}

timed_event event_heap::take() {
  skip_stale();
  TROUPE_CHECK(!items_.empty());
  const uint32_t index = items_.front().slot;
  std::pop_heap(items_.begin(), items_.end(), later);
  items_.pop_back();
  timed_event out = std::move(slots_[index].event);
  slots_[index].event.what = nullptr;
  release(index);
  return out;
}

void event_heap::drop_bound(uint32_t machine) {
  std::vector<std::function<void()>> dropped; // destroyed last: they may call back
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    slot& s = slots_[i];
    if (!s.taken || !s.event.bound || s.event.machine != machine) continue;
    dropped.push_back(std::move(s.event.what));
    s.event.what = nullptr;
    release(i);
  }
}

} // namespace troupe::simulations
