// The loop that replaces CAF's workers: pick a runnable actor by seed, let it handle one message,
// and when nobody is runnable let time jump.
#include "simulations/simulated_node.hpp"

#include <caf/scheduled_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace troupe::simulations {
namespace {

constexpr uint64_t start_steps_max = 100'000;
constexpr uint64_t shutdown_steps_max = 1'000'000;

caf::scheduled_actor* front_actor(caf::scheduler::test_coordinator& coordinator) {
  return dynamic_cast<caf::scheduled_actor*>(coordinator.jobs.front());
}

// What the actor at the front is about to handle, as text without addresses.
std::string describe_front(caf::scheduler::test_coordinator& coordinator) {
  auto* actor = front_actor(coordinator);
  if (actor == nullptr) return "?";
  std::string out = actor->name();
  out += '#' + std::to_string(actor->id()) + ' ';
  if (actor->mailbox().closed() || actor->mailbox().blocked()) return out;
  if (auto* message = actor->mailbox().peek()) out += message->content().stringify();
  return out;
}

} // namespace

time_point virtual_clock::now() const {
  return std::chrono::time_point_cast<duration>(source_->now());
}

int64_t virtual_clock::wall_seconds() const {
  return std::chrono::duration_cast<std::chrono::seconds>(now().time_since_epoch()).count();
}

simulated_node::simulated_node(const simulated_node_options& options)
    : options_(options), state_(std::make_unique<actors::node_state>()) {
  config_.set("scheduler.policy", caf::atom("testing"));
}

result<std::unique_ptr<simulated_node>> simulated_node::make(
    std::shared_ptr<const actors::model_bundle> model, compute::executor& executor,
    const simulated_node_options& options) {
  auto made = std::make_unique<simulated_node>(options);
  if (auto s = made->state_->prepare(std::move(model), {&executor, &made->clock_, &made->trace_},
                                     options.node);
      !s.ok())
    return fail(std::move(s));
  made->system_ = std::make_unique<caf::actor_system>(made->config_);
  made->coordinator_ = &dynamic_cast<caf::scheduler::test_coordinator&>(made->system_->scheduler());
  made->clock_.follow(made->coordinator_->clock());
  made->supervisor_ = actors::spawn_node_supervisor(
      *made->system_,
      {.resources = &made->state_->resources,
       .clustered = false,
       .ready = {},
       .started = [parts = &made->parts_](const dataflow::role& who,
                                          const caf::actor& actor) { (*parts)[who] = actor; },
       .learned = {},
       .gave_up = {}});
  if (!made->run(start_steps_max))
    return fail(status_code::timed_out, "the simulated node's parts do not come to rest");
  return made;
}

simulated_node::~simulated_node() {
  if (!system_) return;
  caf::anon_send(supervisor_, actors::stop_node{});
  parts_.clear();
  run(shutdown_steps_max);
  supervisor_ = nullptr;
}

void simulated_node::submit(actors::request_handle handle, dataflow::generation_request request,
                            actors::engine::event_sink sink) {
  actors::stream_opening opening;
  opening.handle = handle;
  opening.request = std::make_shared<const dataflow::generation_request>(std::move(request));
  opening.sink = std::move(sink);
  opening.arrived = clock_.now();
  const auto to = caf::actor_cast<actors::ingress>(parts_.at({dataflow::role_kind::ingress, 0}));
  caf::anon_send(to, actors::open_stream{handle, actors::make_local(std::move(opening))});
}

void simulated_node::cancel(actors::request_handle handle) {
  const auto to = caf::actor_cast<actors::ingress>(parts_.at({dataflow::role_kind::ingress, 0}));
  caf::anon_send(to, actors::cancel_stream{handle});
}

bool simulated_node::step() {
  auto& jobs = coordinator_->jobs;
  if (!jobs.empty()) {
    std::swap(jobs[0], jobs[pick()]);
    note(describe_front(*coordinator_));
    return coordinator_->try_run_once();
  }
  if (!coordinator_->clock().has_pending_timeout()) return false;
  note("time");
  return coordinator_->clock().trigger_timeout();
}

bool simulated_node::run(uint64_t steps_max) {
  for (uint64_t i = 0; i < steps_max; ++i)
    if (!step()) return true;
  return false;
}

size_t simulated_node::pick() {
  if (options_.pick == strategy::fifo) return 0;
  return random_below({options_.seed, random_subsystem::scheduling, 0}, events_,
                      coordinator_->jobs.size());
}

void simulated_node::kill(const dataflow::role& who) {
  note("kill " + dataflow::to_string(who));
  const auto victim = parts_.at(who);
  caf::anon_send_exit(victim, caf::exit_reason::kill);
}

void simulated_node::note(std::string_view what) {
  ++events_;
  const auto mix = [this](uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8)
      hash_ = (hash_ ^ (value >> shift & 255)) * 1099511628211ull;
  };
  mix(static_cast<uint64_t>(clock_.now().time_since_epoch().count()));
  for (const unsigned char c : what) hash_ = (hash_ ^ c) * 1099511628211ull;
}

} // namespace troupe::simulations
