// The loop: what is due, else a message, else time.
#include "simulations/kernel/world.hpp"

#include "base/check.hpp"
#include "simulations/kernel/world_parts.hpp"

#include <algorithm>

namespace troupe::simulations {

void world::parts::mix(hash_kind kind, uint32_t who, uint64_t what) {
  hash.mix(static_cast<uint64_t>(now.time_since_epoch().count()));
  hash.mix(static_cast<uint64_t>(kind) << 32 | who);
  hash.mix(what);
}

// Names are the same for every compiler of this platform; addresses and CAF's own numbers are not.
uint64_t world::parts::number_of(const std::type_info& type) {
  const auto [at, is_new] = type_numbers.try_emplace(&type, 0);
  if (is_new) at->second = hash_of(type.name());
  return at->second;
}

void world::parts::count_event() {
  ++events;
  if (options.log_draws) log.push_back(hash.value());
}

void world::parts::happened() {
  count_event();
  if (observer) observer();
}

void world::parts::refresh_timers() {
  // By index: reading a clock changes nothing, but a list that grows must not be walked.
  for (size_t i = 0; i < timers_changed.size(); ++i) {
    auto& m = *machines[timers_changed[i]]->parts_;
    m.timers_are_listed = false;
    timers.set(m.index, m.next_timer());
  }
  timers_changed.clear();
}

void world::parts::run_event() {
  timed_event event = heap.take();
  if (event.machine != no_machine) {
    auto& m = *machines[event.machine]->parts_;
    if (m.paused) {
      m.held.push_back(std::move(event));
      return;
    }
  }
  if (event.silent) {
    event.what();
    return;
  }
  mix(hash_kind::event, event.machine, event.label.hash());
  tail.add({tail_entry::kind_of::event, event.machine, now, 0, nullptr, {}, event.label.text()});
  event.what();
  event.what = nullptr; // what it holds may end here, before anyone looks
  happened();
}

void world::parts::run_timers(uint32_t who) {
  auto& m = *machines[who]->parts_;
  mix(hash_kind::timers, who, 0);
  tail.add({tail_entry::kind_of::timers, who, now, 0, nullptr, {}, {}});
  m.scheduler->clock().trigger_expired_timeouts();
  m.timers_changed();
  happened();
}

bool world::parts::run_due() {
  if (const auto first = heap.earliest(); first && *first <= now) {
    run_event();
    return true;
  }
  refresh_timers();
  if (timers.earliest() <= now) {
    run_timers(timers.first());
    return true;
  }
  return false;
}

world::world(const world_options& options) {
  TROUPE_CHECK(options.machines > 0 && options.machines < 4096);
  parts_ = std::make_unique<parts>(options);
  for (uint32_t i = 0; i < options.machines; ++i)
    parts_->machines.push_back(std::make_unique<machine>(*this, i));
}

world::~world() {
  for (auto& m : parts_->machines)
    if (m->up()) m->crash();
}

uint64_t world::seed() const {
  return parts_->options.seed;
}
time_point world::now() const {
  return parts_->now;
}
uint32_t world::machines() const {
  return parts_->options.machines;
}

machine& world::at(uint32_t index) {
  TROUPE_CHECK(index < parts_->machines.size());
  return *parts_->machines[index];
}

uint64_t world::schedule(time_point when, std::string_view label, std::function<void()> what) {
  TROUPE_CHECK(when >= parts_->now);
  return parts_->heap.add(when, {std::move(what), event_label(label), no_machine, false, false});
}

void world::cancel(uint64_t event) {
  parts_->heap.cancel(event);
}

bool world::step(time_point until) {
  auto& p = *parts_;
  if (p.now > until) return false;
  if (p.run_due()) return true;
  if (!p.ready.empty()) {
    const ready_job job = p.ready.pick();
    p.machines[job.machine]->parts_->handle_message(job);
    p.happened();
    return true;
  }
  const time_point next =
      std::min(p.heap.earliest().value_or(time_point::max()), p.timers.earliest());
  if (next > until || next == time_point::max()) {
    if (until != time_point::max()) p.now = until;
    return false;
  }
  p.now = next;
  return p.run_due();
}

bool world::run(time_point until, uint64_t events_max, const std::function<bool()>& done) {
  const uint64_t last = parts_->events + events_max;
  while (parts_->events < last) {
    if (done && done()) return true;
    if (!step(until)) return true;
  }
  return false;
}

uint64_t world::draw(random_subsystem subsystem, uint32_t entity, uint64_t n) {
  return random_bits({parts_->options.seed, subsystem, entity}, n);
}

void world::note(uint32_t machine, std::string_view what) {
  parts_->mix(hash_kind::note, machine, what.size());
  parts_->hash.mix(what);
  parts_->tail.add({tail_entry::kind_of::note, machine, parts_->now, 0, nullptr, {}, what});
}

void world::mix(uint64_t word) {
  parts_->hash.mix(word);
}

void world::mix(std::span<const std::byte> bytes) {
  parts_->hash.mix(bytes);
}

uint64_t world::events() const {
  return parts_->events;
}
uint64_t world::hash() const {
  return parts_->hash.value();
}
const std::vector<uint64_t>& world::draw_log() const {
  return parts_->log;
}

const std::deque<std::string>& world::tail() const {
  parts_->tail_lines = parts_->tail.lines();
  return parts_->tail_lines;
}

void world::set_observer(std::function<void()> observer) {
  parts_->observer = std::move(observer);
}

} // namespace troupe::simulations
