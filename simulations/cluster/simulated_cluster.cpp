// Boots, ends and joins the simulated machines, and stands between clients and doors.
#include "simulations/cluster/simulated_cluster.hpp"

#include "actors/stage_memory.hpp"
#include "base/random.hpp"
#include "dataflow/placement.hpp"
#include "model/description.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <utility>

namespace troupe::simulations {
namespace {

// Some seeds have so little credit between nodes that frames must wait for it.
uint32_t link_frames_of(uint64_t seed) {
  constexpr std::array<uint32_t, 4> frames = {2, 8, 64, 256};
  constexpr uint32_t link_entity = UINT32_MAX - 1;
  const random_key key{seed, random_subsystem::scheduling, link_entity};
  return frames[random_below(key, 0, frames.size())];
}

std::vector<std::string> names_of(uint32_t nodes) {
  std::vector<std::string> out;
  for (uint32_t i = 0; i < nodes; ++i) out.push_back("n" + std::to_string(i));
  return out;
}

constexpr duration look_at_load_every = std::chrono::milliseconds(500);

uint32_t speed_of(const scenario_cluster& cluster, uint32_t node) {
  const auto& speeds = cluster.node_speeds;
  return speeds.empty() ? 1 : speeds[node % speeds.size()];
}

uint32_t fastest_of(const scenario_cluster& cluster) {
  uint32_t out = 1;
  for (const uint32_t each : cluster.node_speeds) out = std::max(out, each);
  return out;
}

// As a node measures it: eighths of octaves, 8 more for twice as fast.
uint32_t told_speed(const scenario_cluster& cluster, uint32_t node) {
  if (cluster.node_speeds.empty()) return 0;
  return 1 + static_cast<uint32_t>(std::lround(8 * std::log2(speed_of(cluster, node))));
}

} // namespace

// Tells the observer which node has hit a probe.
class simulated_cluster::host_trace final : public trace {
public:
  host_trace(simulated_cluster& owner, uint32_t node) : owner_(owner), node_(node) {}
  void hit(std::string_view probe, uint64_t value) override {
    if (probe == "leader.begins") owner_.leader_ = node_;
    owner_.observer_.on_probe(node_, probe, value);
  }

private:
  simulated_cluster& owner_;
  uint32_t node_;
};

// What one machine has: some of it survives a crash, the rest is the process.
struct simulated_cluster::host {
  host(simulated_cluster& owner, uint32_t node, compute::executor& kernels)
      : index(node),
        where(owner.world_.at(node)),
        disk(owner.world_, node),
        device(where, kernels),
        trace(owner, node) {}

  uint32_t index;
  machine& where;
  simulated_disk disk;
  simulated_executor device;
  host_trace trace;
  bool started_before = false;
  // The process.
  std::unique_ptr<storage::disk> files;
  std::unique_ptr<storage::io_worker> worker;
  std::unique_ptr<storage::vote_store> votes;
  std::map<dataflow::role, caf::actor> parts;
  std::map<std::pair<uint32_t, uint32_t>, actors::request_handle> calls; // client, attempt
  std::unique_ptr<actors::cluster_node> node;
};

simulated_cluster::simulated_cluster(world& w, std::shared_ptr<const actors::model_bundle> model,
                                     compute::executor& kernels,
                                     const simulated_cluster_options& options,
                                     cluster_observer& observer)
    : world_(w),
      model_(std::move(model)),
      kernels_(kernels),
      options_(options),
      observer_(observer),
      network_(w, names_of(options.cluster.nodes)),
      timers_(w) {
  layout_.nodes = names_of(options.cluster.nodes);
  layout_.voters = options.cluster.voters;
  layout_.stages = options.cluster.stages;
  layout_.shards = options.cluster.shards;
  layout_.shard_copies = options.cluster.shard_copies;
  layout_.shard_copies_max = options.cluster.shard_copies_max;
  if (options.cluster.shard_copies_max > 0) options_.timing.rebalance_every = look_at_load_every;
  options_.node.sequences_max = options.cluster.sequences_max;
  options_.node.queue_max = options.cluster.queue_max;
  options_.node.kv_bytes =
      options.cluster.kv_pages *
      actors::kv_bytes_per_page(*model_->description, options_.node.page_tokens);
  for (uint32_t i = 0; i < options.cluster.nodes; ++i) {
    hosts_.push_back(std::make_unique<host>(*this, i, kernels_));
    auto& cost = hosts_.back()->device.quality().job_cost;
    cost = cost * fastest_of(options.cluster) / speed_of(options.cluster, i);
  }
}

simulated_cluster::~simulated_cluster() {
  for (auto& h : hosts_)
    if (h->node) end(*h, crash_fate::keep_all, "end");
}

// -- processes

status simulated_cluster::form() {
  for (auto& h : hosts_) TROUPE_RETURN_IF_ERROR(boot(*h));
  return {};
}

status simulated_cluster::boot(host& h) {
  auto& system = h.where.boot();
  h.files = h.disk.open();
  h.worker = h.disk.worker();
  h.votes = std::make_unique<storage::vote_store>(*h.files);
  actors::cluster_node_options options;
  options.node = options_.node;
  options.layout = layout_;
  options.timing = options_.timing;
  options.figures.speed = told_speed(options_.cluster, h.index);
  options.self = h.index;
  options.incarnation = h.where.incarnation();
  options.link_frames_max = link_frames_of(options_.seed);
  if (auto read = load_votes(h, options); !read.ok()) {
    h.votes.reset();
    h.worker.reset();
    h.files.reset();
    h.where.crash();
    return read;
  }
  options.gave_up = [this, node = h.index](const std::string&) { end_soon(node, "gave up", true); };
  options.drained = [this, node = h.index] {
    observer_.on_process(node, "drained");
    end_soon(node, "drained", false);
  };
  options.learned = [this, node = h.index](const dataflow::cluster_state& state) {
    if (state.epoch > newest_.epoch) newest_ = state;
    observer_.on_learned(node, state);
  };
  options.started = [parts = &h.parts](const dataflow::role& who, const caf::actor& part) {
    (*parts)[who] = part;
  };
  actors::cluster_node_seams seams;
  seams.executor = &h.device;
  seams.time = &h.where.local_clock();
  seams.trace = &h.trace;
  seams.open_endpoint = [this, &h](transport::endpoint_listener& listener) {
    return network_.attach(h.index, h.where.incarnation(), listener);
  };
  seams.keep_votes = [&h](const schemas::acceptor_state& state,
                          const std::function<void(const status&)>& done) {
    const auto s =
        h.worker->submit([store = h.votes.get(), state] { return store->store(state); }, done);
    if (!s.ok()) done(s);
  };
  auto made = actors::cluster_node::start(system, model_, seams, options);
  if (!made) return made.error();
  h.node = std::move(*made);
  h.started_before = true;
  world_.note(h.index, "start");
  observer_.on_process(h.index, "start");
  return {};
}

// A new cluster's voters begin with nothing to remember; later nothing, or something unreadable,
// means that the memory is lost. A disk that does not answer says nothing about what is on it.
status simulated_cluster::load_votes(host& h, actors::cluster_node_options& options) {
  auto loaded = h.votes->load();
  if (loaded) {
    options.votes = std::move(*loaded);
    return {};
  }
  const auto code = loaded.error().code();
  if (code != status_code::not_found && code != status_code::corrupt) return loaded.error();
  options.remembers = !h.started_before && code == status_code::not_found;
  return {};
}

void simulated_cluster::end(host& h, crash_fate fate, std::string_view why) {
  world_.note(h.index, why);
  tokens_of_the_gone_ += h.node->metrics().generated_tokens;
  h.parts.clear();
  h.calls.clear();
  h.node->stop(); // lets go of its actors, which are gone before they hear of it
  h.where.crash();
  if (fate == crash_fate::keep_all) network_.process_gone(h.index); // else the power is gone
  h.disk.crash(fate);
  h.node.reset();
  h.votes.reset();
  h.worker.reset();
  h.files.reset();
  cut_clients_of(h.index);
  observer_.on_process(h.index, "crash");
}

// From inside the process.
void simulated_cluster::end_soon(uint32_t node, std::string_view why, bool comes_back) {
  const uint64_t incarnation = incarnation_of(node);
  world_.schedule(world_.now(), why, [this, node, incarnation, comes_back] {
    if (incarnation_of(node) != incarnation || !up(node)) return;
    end(*hosts_[node], crash_fate::keep_all, "exit");
    if (comes_back)
      world_.schedule(world_.now() + options_.restart_after, "restart",
                      [this, node] { start(node); });
  });
}

bool simulated_cluster::up(uint32_t node) const {
  return hosts_[node]->node != nullptr;
}

void simulated_cluster::crash(uint32_t node, crash_fate fate) {
  if (up(node)) end(*hosts_[node], fate, "crash");
}

void simulated_cluster::wipe_disk(uint32_t node) {
  if (!up(node)) hosts_[node]->disk.wipe();
}

void simulated_cluster::start(uint32_t node) {
  if (up(node)) return;
  if (boot(*hosts_[node]).ok()) return;
  // Its disk cannot be read: whoever watches over the process starts it again and again.
  world_.schedule(world_.now() + options_.restart_after, "restart", [this, node] { start(node); });
}

void simulated_cluster::pause(uint32_t node) {
  if (!up(node) || paused(node)) return;
  world_.note(node, "pause");
  hosts_[node]->where.pause();
  observer_.on_process(node, "pause");
}

void simulated_cluster::resume(uint32_t node) {
  if (!paused(node)) return;
  world_.note(node, "resume");
  hosts_[node]->where.resume();
  observer_.on_process(node, "resume");
}

void simulated_cluster::set_message_cost(uint32_t node, duration cost) {
  hosts_[node]->where.set_message_cost(cost);
}

void simulated_cluster::drain(uint32_t node) {
  if (!up(node)) return;
  world_.note(node, "drain");
  hosts_[node]->node->drain();
}

bool simulated_cluster::kill_part(uint32_t node, const dataflow::role& who) {
  auto& h = *hosts_[node];
  const auto part = h.parts.find(who);
  if (!h.node || part == h.parts.end()) return false;
  const auto roles = dataflow::roles_of(newest_.where, node);
  const bool of_node = who.kind == dataflow::role_kind::ingress ||
                       who.kind == dataflow::role_kind::membership ||
                       who.kind == dataflow::role_kind::coordinator;
  if (!of_node && std::find(roles.begin(), roles.end(), who) == roles.end()) return false;
  world_.note(node, "kill " + dataflow::to_string(who));
  caf::anon_send_exit(part->second, caf::exit_reason::kill);
  return true;
}

device_quality& simulated_cluster::device(uint32_t node) {
  return hosts_[node]->device.quality();
}

simulated_disk& simulated_cluster::disk(uint32_t node) {
  return hosts_[node]->disk;
}

void simulated_cluster::set_clock(uint32_t node, const clock_fault& fault) {
  hosts_[node]->where.set_clock(fault);
}

void simulated_cluster::jump_clock(uint32_t node, duration ahead) {
  hosts_[node]->where.jump_clock(ahead);
}

// -- who is who

const actors::cluster_node* simulated_cluster::node(uint32_t index) const {
  return hosts_[index]->node.get();
}

uint64_t simulated_cluster::incarnation_of(uint32_t index) const {
  return hosts_[index]->where.incarnation();
}

bool simulated_cluster::paused(uint32_t index) const {
  return up(index) && hosts_[index]->where.paused();
}

std::optional<uint32_t> simulated_cluster::leader() const {
  return leader_ && up(*leader_) ? leader_ : std::nullopt;
}

std::vector<uint32_t> simulated_cluster::hosts(const dataflow::role& who) const {
  std::vector<uint32_t> out;
  for (uint32_t node = 0; node < hosts_.size(); ++node) {
    const auto roles = dataflow::roles_of(newest_.where, node);
    if (std::find(roles.begin(), roles.end(), who) != roles.end()) out.push_back(node);
  }
  return out;
}

uint64_t simulated_cluster::tokens_drawn() const {
  uint64_t out = tokens_of_the_gone_;
  for (const auto& h : hosts_)
    if (h->node) out += h->node->metrics().generated_tokens;
  return out;
}

// -- clients

void simulated_cluster::begin_workload() {
  add_clients(make_workload(options_.workload, options_.seed), duration(0));
}

void simulated_cluster::add_load(uint32_t requests) {
  add_clients(make_burst(options_.workload, options_.seed, ++bursts_,
                         static_cast<uint32_t>(clients_.size()), requests),
              duration(0));
}

void simulated_cluster::add_clients(std::vector<client_request> requests, duration offset) {
  for (auto& request : requests) {
    const auto when = world_.now() + offset + request.arrives;
    clients_.push_back(
        std::make_unique<client>(std::move(request),
                                 client_options{.seed = options_.seed,
                                                .patience = options_.workload.patience,
                                                .attempts_max = options_.workload.retries_max},
                                 *this, timers_));
    world_.schedule(when, "client arrives", [who = clients_.back().get()] { who->arrive(); });
  }
}

bool simulated_cluster::all_clients_done() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->done(); });
}

void simulated_cluster::disconnect_client(uint32_t client) {
  if (client < clients_.size() && clients_[client]->arrived()) clients_[client]->disconnect();
}

void simulated_cluster::stall_client(uint32_t client, duration how_long) {
  if (client < clients_.size() && clients_[client]->arrived()) clients_[client]->stall(how_long);
}

uint32_t simulated_cluster::doors() const {
  return options_.cluster.doors == 0 ? nodes() : std::min(options_.cluster.doors, nodes());
}

status simulated_cluster::submit(const door_call& call,
                                 std::shared_ptr<const dataflow::generation_request> request,
                                 const std::vector<choice_received>& received) {
  auto& h = *hosts_[call.door];
  if (!h.node) return status(status_code::unavailable, "nobody listens there");
  actors::engine::received_so_far has;
  const bool any = std::any_of(received.begin(), received.end(), [](const auto& choice) {
    return choice.tokens > 0 || choice.prompt_scored || choice.finished;
  });
  if (any)
    for (const auto& choice : received)
      has.push_back({choice.tokens, choice.text.size(), choice.finished, choice.prompt_scored});
  const event_origin origin{
      .attempt = call.attempt, .door = call.door, .incarnation = h.where.incarnation(), .epoch = 0};
  auto sink = [this, call, origin](dataflow::stream_event event) {
    deliver(call, origin, std::move(event));
  };
  auto asked = *request;
  // What is left until then, by the door's clock.
  if (const auto& record = clients_[call.client]->record(); record.asked.deadline)
    asked.deadline =
        h.where.local_clock().now() + (record.arrived + *record.asked.deadline - world_.now());
  auto handle = h.node->submit(std::move(asked), std::move(sink), std::move(has));
  if (!handle) return handle.error();
  h.calls[{call.client, call.attempt}] = *handle;
  return {};
}

// What is under way when the door's process ends is lost.
void simulated_cluster::deliver(const door_call& call, const event_origin& origin,
                                dataflow::stream_event event) {
  world_.schedule(world_.now() + options_.client_delay, "client hears",
                  [this, call, origin, event = std::move(event)] {
                    if (!up(call.door) || incarnation_of(call.door) != origin.incarnation) return;
                    auto& who = *clients_[call.client];
                    observer_.on_client_event(who, event);
                    who.on_event(origin, event);
                  });
}

void simulated_cluster::cancel(const door_call& call) {
  auto& h = *hosts_[call.door];
  const auto found = h.calls.find({call.client, call.attempt});
  if (h.node && found != h.calls.end()) h.node->cancel(found->second);
}

void simulated_cluster::hang_up(const door_call& call) {
  cancel(call);
  hosts_[call.door]->calls.erase({call.client, call.attempt});
}

void simulated_cluster::cut_clients_of(uint32_t node) {
  for (auto& who : clients_) {
    const auto open = who->connection();
    if (!open || open->door != node) continue;
    world_.schedule(world_.now() + options_.client_delay, "client cut off",
                    [c = who.get(), attempt = open->attempt] { c->on_disconnected(attempt); });
  }
}

bool simulated_cluster::stands() const {
  return newest_.epoch > 0;
}

} // namespace troupe::simulations
