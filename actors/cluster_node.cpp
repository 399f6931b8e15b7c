// Spawns the parts that tie a node to others, and its supervisor, and makes them known to each
// other.
#include "actors/cluster_node.hpp"

#include "actors/part_sizes.hpp"
#include "actors/store_coordinator.hpp"
#include "base/text.hpp"
#include "model/description.hpp"

#include <caf/send.hpp>

#include <utility>

namespace troupe::actors {

cluster_node::cluster_node(const cluster_node_options& options)
    : options_(options), state_(std::make_unique<node_state>()) {}

result<std::unique_ptr<cluster_node>> cluster_node::start(caf::actor_system& system,
                                                          std::shared_ptr<const model_bundle> model,
                                                          const cluster_node_seams& seams,
                                                          const cluster_node_options& options) {
  auto made = std::make_unique<cluster_node>(options);
  auto& layout = made->options_.layout;
  layout.layers = static_cast<uint32_t>(model->description->layers.size());
  layout.experts = model->description->experts_max();
  if (layout.experts == 0) layout.shards = 0;
  if (auto s = dataflow::validate(layout); !s.ok()) return fail(std::move(s));
  if (auto s = dataflow::validate(options.timing); !s.ok()) return fail(std::move(s));
  if (auto s = dataflow::validate(options.lease); !s.ok()) return fail(std::move(s));
  if (seams.store != nullptr) layout.voters = 0;
  if (options.self >= layout.nodes.size())
    return fail(status_code::invalid_argument,
                text("this node is number ", options.self, " of ", layout.nodes.size()));
  if (auto s = made->state_->prepare(std::move(model), {seams.executor, seams.time, seams.trace},
                                     options.node, &layout);
      !s.ok())
    return fail(std::move(s));
  layout.bytes = sizes_of_parts(made->state_->resources);
  made->spawn(system, seams);
  return made;
}

void cluster_node::spawn(caf::actor_system& system, const cluster_node_seams& seams) {
  auto& resources = state_->resources;
  resources.step_max = options_.timing.step_max;
  resources.reroute_after = options_.timing.reroute_after;
  resources.shard_copies = options_.layout.shard_copies;
  door_ = std::make_unique<door>(resources);
  sorter_ = std::make_unique<frame_sorter>(options_.layout, options_.self, options_.incarnation,
                                           counters_);
  endpoint_ = seams.open_endpoint(*sorter_);
  supervisor_ = spawn_node_supervisor(
      system, {.resources = &resources,
               .clustered = true,
               .ready = {},
               .started = [this](const dataflow::role& who,
                                 const caf::actor& part) { note_started(who, part); },
               .learned = options_.learned,
               .gave_up = options_.gave_up});
  const auto watcher = caf::actor_cast<cluster_watcher>(supervisor_);
  const auto gateway = spawn_gateway(system, {.layout = &options_.layout,
                                              .timing = &options_.timing,
                                              .self = options_.self,
                                              .incarnation = options_.incarnation,
                                              .endpoint = endpoint_.get(),
                                              .counters = &counters_,
                                              .time = seams.time,
                                              .trace = seams.trace,
                                              .link_frames_max = options_.link_frames_max,
                                              .courier = spawn_courier(system, seams)});
  const auto coordinator = spawn_coordinator_of(system, seams, gateway);
  membership_ = spawn_membership(system, {.layout = &options_.layout,
                                          .timing = &options_.timing,
                                          .self = options_.self,
                                          .incarnation = options_.incarnation,
                                          .model = resources.bundle->fingerprint,
                                          .layout_number = dataflow::fingerprint(options_.layout),
                                          .figures = options_.figures,
                                          .board = state_->board.get(),
                                          .graph = &state_->resources.graph,
                                          .time = seams.time,
                                          .trace = seams.trace,
                                          .peers = {gateway, coordinator, watcher},
                                          .drained = options_.drained,
                                          .heard = options_.heard,
                                          .unfit = options_.unfit});
  caf::anon_send(supervisor_,
                 join_cluster{make_local(cluster_seat{options_.self, options_.incarnation, gateway,
                                                      coordinator, membership_})});
  sorter_->connect(gateway, membership_, coordinator);
}

journal_courier cluster_node::spawn_courier(caf::actor_system& system,
                                            const cluster_node_seams& seams) {
  if (!seams.keep_entry) return {};
  auto made = spawn_journal_courier(system, {.self = options_.self,
                                             .time = seams.time,
                                             .keep = seams.keep_entry,
                                             .corrupt = &counters_.corrupt});
  courier_.put(made);
  return made;
}

coordinator cluster_node::spawn_coordinator_of(caf::actor_system& system,
                                               const cluster_node_seams& seams,
                                               const actors::gateway& gateway) {
  const auto watcher = caf::actor_cast<cluster_watcher>(supervisor_);
  if (seams.store != nullptr)
    return spawn_store_coordinator(system, {.layout = &options_.layout,
                                            .timing = &options_.timing,
                                            .lease = options_.lease,
                                            .self = options_.self,
                                            .incarnation = options_.incarnation,
                                            .store = seams.store,
                                            .time = seams.time,
                                            .trace = seams.trace,
                                            .gateway = gateway,
                                            .supervisor = watcher});
  return spawn_coordinator(system, {.layout = &options_.layout,
                                    .timing = &options_.timing,
                                    .self = options_.self,
                                    .incarnation = options_.incarnation,
                                    .votes = options_.votes,
                                    .remembers = options_.remembers,
                                    .keep_votes = seams.keep_votes,
                                    .time = seams.time,
                                    .trace = seams.trace,
                                    .gateway = gateway,
                                    .supervisor = watcher});
}

void cluster_node::note_started(const dataflow::role& who, const caf::actor& part) {
  if (who.kind == dataflow::role_kind::ingress) ingress_.put(caf::actor_cast<ingress>(part));
  if (options_.started) options_.started(who, part);
}

result<request_handle> cluster_node::submit(dataflow::generation_request request,
                                            engine::event_sink sink,
                                            engine::received_so_far received) {
  if (draining_.load(std::memory_order_relaxed))
    return fail(status_code::unavailable, "this node is draining; ask another one");
  const auto to = ingress_.get();
  if (!to) return fail(status_code::unavailable, "this node is starting or ending; try again soon");
  if (!received.empty() && received.size() != request.choices)
    return fail(status_code::invalid_argument, text("what was received is of ", received.size(),
                                                    " choices; the request has ", request.choices));
  if (auto s = door_->admit(request); !s.ok()) return fail(std::move(s));
  const auto handle =
      dataflow::make_request_id(options_.self, options_.incarnation,
                                next_request_.fetch_add(1, std::memory_order_relaxed) + 1);
  caf::anon_send(*to,
                 door_->opening(handle, std::move(request), std::move(sink), std::move(received)));
  return handle;
}

void cluster_node::cancel(request_handle handle) {
  if (const auto to = ingress_.get()) caf::anon_send(*to, cancel_stream{handle});
}

void cluster_node::replicate(std::span<const std::byte> entry, std::function<void(bool)> done) {
  const auto to = courier_.get();
  if (!to) return done(false);
  caf::anon_send(
      *to, replicate_entry{make_local(schemas::journal_entry{0, {entry.begin(), entry.end()}}),
                           {std::make_shared<const delivery>(std::move(done))}});
}

void cluster_node::drain() {
  if (!draining_.exchange(true)) caf::anon_send(membership_, begin_drain{});
}

void cluster_node::stop() {
  if (!supervisor_) return;
  ingress_.close();
  if (const auto courier = courier_.get()) caf::anon_send(*courier, stop_part{});
  courier_.close();
  sorter_->disconnect();
  caf::anon_send(supervisor_, stop_node{});
  supervisor_ = nullptr;
  membership_ = nullptr;
}

cluster_node::~cluster_node() {
  stop();
}

} // namespace troupe::actors
