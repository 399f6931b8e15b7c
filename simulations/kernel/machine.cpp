// One machine: what its actors are about to do, its clock, and how it dies.
#include "base/check.hpp"
#include "simulations/kernel/world_parts.hpp"

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>

#include <algorithm>
#include <utility>

namespace troupe::simulations {
namespace {

constexpr size_t sweep_step = 4096;

// CAF keeps what a function-based actor was spawned with, until it starts, in a protected place.
struct unstarted : caf::local_actor {
  static constexpr auto behavior_maker = &unstarted::initial_behavior_fac_;
};

// As if the power had gone: it learns nothing and tells nobody. CAF leaves the handlers of an ended
// actor to its destructor, which never comes for actors that hold handles of each other.
void end_actor(caf::scheduled_actor& ending) {
  if (!ending.mailbox().closed()) ending.on_exit(); // destroys its state, once
  ending.cleanup(caf::make_error(caf::exit_reason::kill), nullptr);
  ending.bhvr_stack().clear();
  ending.bhvr_stack().cleanup();
  ending.*unstarted::behavior_maker = nullptr;
  ending.set_default_handler(caf::drop);
  ending.set_error_handler([](caf::scheduled_actor*, caf::error&) {});
  ending.set_down_handler([](caf::scheduled_actor*, caf::down_msg&) {});
  ending.set_exit_handler([](caf::scheduled_actor*, caf::exit_msg&) {});
}

} // namespace

// -- messages

machine::parts::known_actor& machine::parts::know(caf::scheduled_actor& actor) {
  const auto id = static_cast<size_t>(actor.id());
  if (id >= actors.size()) actors.resize(id + 1);
  known_actor& entry = actors[id];
  if (entry.handle) return entry;
  entry.handle = caf::actor_cast<caf::weak_actor_ptr>(&actor);
  entry.priority = shared.ready.priority(index, incarnation, id);
  entry.name = &*shared.names.insert(actor.name()).first;
  if (actors.size() >= actors_swept + sweep_step) sweep_actors();
  return actors[id];
}

// A weak handle keeps an ended actor's memory.
void machine::parts::sweep_actors() {
  for (auto& entry : actors)
    if (entry.handle && entry.handle.lock() == nullptr) entry = {};
  actors_swept = actors.size();
}

void machine::parts::became_ready(caf::resumable* job) {
  if (dying) {
    leftovers.push_back(job);
    return;
  }
  TROUPE_CHECK(job->subtype() == caf::resumable::scheduled_actor); // no brokers, no threads
  ready_job entry;
  entry.actor = static_cast<caf::scheduled_actor*>(job);
  entry.machine = index;
  entry.id = entry.actor->id();
  entry.priority = know(*entry.actor).priority;
  if (handling > 0 && eligible() && shared.ready.overlaps(handling))
    handle_overlapping(entry);
  else
    list_ready(entry);
}

// As another of the machine's threads would, between two sends of the actor that is at it. Nobody
// looks at the actors meanwhile, and it costs no time of its own.
void machine::parts::handle_overlapping(ready_job job) {
  shared.ready.stamp(job);
  const duration cost = std::exchange(message_cost, {});
  handle_message(job);
  message_cost = cost;
  shared.count_event();
}

void machine::parts::list_ready(ready_job job) {
  shared.ready.stamp(job);
  if (eligible())
    shared.ready.add(job);
  else
    parked.push_back(job);
}

void machine::parts::park() {
  shared.ready.take_machine(index, parked);
}

void machine::parts::unpark() {
  if (!eligible()) return;
  for (const ready_job& job : parked) shared.ready.add(job);
  parked.clear();
}

void machine::parts::handle_message(ready_job job) {
  known_actor& known = actors[job.id];
  known.priority = job.priority;
  tail_entry entry{
      tail_entry::kind_of::message, index, shared.now, job.id, nullptr, *known.name, {}};
  uint64_t type = 0;
  auto& mailbox = job.actor->mailbox();
  if (!mailbox.closed() && !mailbox.blocked()) {
    if (auto* message = mailbox.peek(); message != nullptr && !message->content().empty()) {
      const auto [number, info] = message->content().type(0);
      entry.type = info;
      type = number != 0 ? number : shared.number_of(*info);
      type = type * 64 + message->content().size();
    }
  }
  shared.mix(hash_kind::message, index, job.id);
  shared.hash.mix(type);
  shared.tail.add(entry);
  ++handling;
  const auto result = job.actor->resume(&scheduler->unit(), 1);
  --handling;
  finish_message(job, result);
  if (message_cost.count() > 0) become_busy();
}

void machine::parts::finish_message(ready_job job, caf::resumable::resume_result result) {
  if (result == caf::resumable::resume_later)
    list_ready(job);
  else if (result != caf::resumable::shutdown_execution_unit)
    intrusive_ptr_release(static_cast<caf::resumable*>(job.actor));
}

void machine::parts::become_busy() {
  busy = true;
  park();
  timed_event idle;
  idle.what = [this] {
    busy = false;
    unpark();
  };
  idle.machine = index;
  idle.bound = idle.silent = true;
  add_event(shared.now + message_cost, std::move(idle));
}

// -- time

int64_t machine::parts::visible_clock::wall_seconds() const {
  const auto since_start = owner->local().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(since_start).count() +
         owner->time.wall_offset_s();
}

void machine::parts::timers_changed() noexcept {
  if (timers_are_listed) return;
  timers_are_listed = true;
  shared.timers_changed.push_back(index);
}

time_point machine::parts::next_timer() const {
  if (!up || paused) return time_point::max();
  const auto& schedule = scheduler->clock().schedule();
  if (schedule.empty()) return time_point::max();
  const auto due = std::chrono::time_point_cast<duration>(schedule.begin()->first);
  return time.reaches(due, shared.now);
}

uint64_t machine::parts::add_event(time_point when, timed_event event) {
  return shared.heap.add(std::max(when, shared.now), std::move(event));
}

// -- the machine

machine::machine(world& w, uint32_t index) : parts_(std::make_unique<parts>(w, index)) {
  auto& config = parts_->config;
  config.load<simulated_scheduler>();
  config.set("logger.file-verbosity", caf::atom("quiet"));
  config.set("logger.console-verbosity", caf::atom("quiet"));
  config.set("logger.inline-output", true);
}

machine::~machine() {
  if (parts_->up) crash();
}

world& machine::home() const {
  return parts_->in;
}
uint32_t machine::index() const {
  return parts_->index;
}
bool machine::up() const {
  return parts_->up;
}
bool machine::paused() const {
  return parts_->paused;
}
uint64_t machine::incarnation() const {
  return parts_->incarnation;
}
time_point machine::ended() const {
  return parts_->ended;
}
const clock& machine::local_clock() const {
  return parts_->visible;
}
time_point machine::local_now() const {
  return parts_->local();
}
void machine::set_message_cost(duration cost) {
  parts_->message_cost = cost;
}

caf::actor_system& machine::boot() {
  auto& p = *parts_;
  TROUPE_CHECK(!p.up);
  ++p.incarnation;
  p.shared.mix(hash_kind::boot, p.index, p.incarnation);
  p.up = true;
  p.system = std::make_unique<caf::actor_system>(p.config);
  p.system->await_actors_before_shutdown(false);
  p.scheduler = dynamic_cast<simulated_scheduler*>(&p.system->scheduler());
  TROUPE_CHECK(p.scheduler != nullptr);
  p.scheduler->report_to(&p);
  p.timers_changed();
  return *p.system;
}

caf::actor_system& machine::system() {
  TROUPE_CHECK(parts_->up);
  return *parts_->system;
}

void machine::parts::end_actors() {
  std::vector<caf::strong_actor_ptr> living;
  for (auto& entry : actors)
    if (auto actor = entry.handle.lock()) living.push_back(std::move(actor));
  actors.clear();
  actors_swept = 0;
  for (auto& actor : living)
    end_actor(*static_cast<caf::scheduled_actor*>(caf::actor_cast<caf::abstract_actor*>(actor)));
  scheduler->clock().cancel_all(); // what ending actors have set
  living.clear();
  // Releasing one may end it and make others ready.
  while (!leftovers.empty()) {
    auto* job = leftovers.back();
    leftovers.pop_back();
    intrusive_ptr_release(job);
  }
}

void machine::crash() {
  auto& p = *parts_;
  TROUPE_CHECK(p.up);
  TROUPE_CHECK(p.handling ==
               0); // an actor of it is on the stack: schedule the crash for now instead
  p.shared.mix(hash_kind::crash, p.index, p.incarnation);
  p.up = false;
  p.dying = true;
  p.ended = p.shared.now;
  p.shared.heap.drop_bound(p.index);
  for (auto& event : std::exchange(p.held, {}))
    if (!event.bound) p.add_event(p.shared.now, std::move(event));
  p.park();
  for (const ready_job& job : p.parked) p.leftovers.push_back(job.actor);
  p.parked.clear();
  p.scheduler->clock().cancel_all();
  p.end_actors();
  p.paused = p.busy = false;
  p.scheduler->report_to(nullptr);
  p.scheduler = nullptr;
  p.system.reset();
  p.dying = false;
  p.timers_changed();
}

void machine::pause() {
  auto& p = *parts_;
  if (!p.up || p.paused) return;
  p.shared.mix(hash_kind::pause, p.index, 0);
  p.paused = true;
  p.park();
  p.timers_changed();
}

void machine::resume() {
  auto& p = *parts_;
  if (!p.paused) return;
  p.shared.mix(hash_kind::resume, p.index, 0);
  p.paused = false;
  for (auto& event : std::exchange(p.held, {})) p.add_event(p.shared.now, std::move(event));
  p.unpark();
  p.timers_changed();
}

void machine::set_clock(const clock_fault& fault) {
  parts_->time.set(fault, parts_->shared.now);
  parts_->timers_changed();
}

void machine::jump_clock(duration ahead) {
  parts_->time.jump(ahead);
  parts_->timers_changed();
}

void machine::after(duration delay, std::string_view label, std::function<void()> what) {
  TROUPE_CHECK(delay.count() >= 0);
  TROUPE_CHECK(parts_->up);
  parts_->add_event(parts_->shared.now + delay,
                    {std::move(what), event_label(label), parts_->index, true, false});
}

void machine::poll_after(duration delay, std::function<void()> what) {
  TROUPE_CHECK(delay.count() >= 0);
  TROUPE_CHECK(parts_->up);
  parts_->add_event(parts_->shared.now + delay, {std::move(what), {}, parts_->index, true, true});
}

void machine::arrive(time_point when, std::string_view label, std::function<void()> what) {
  parts_->add_event(when, {std::move(what), event_label(label), parts_->index, false, false});
}

std::vector<std::pair<std::string, size_t>> machine::mailboxes() const {
  std::vector<std::pair<std::string, size_t>> out;
  for (const auto& entry : parts_->actors) {
    const auto actor = entry.handle.lock();
    if (!actor) continue;
    auto* found = static_cast<caf::scheduled_actor*>(caf::actor_cast<caf::abstract_actor*>(actor));
    auto& mailbox = found->mailbox();
    const size_t waiting = mailbox.closed() || mailbox.blocked() ? 0 : mailbox.size();
    if (waiting > 0) out.emplace_back(*entry.name, waiting);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return out;
}

} // namespace troupe::simulations
