// Owns the actor system of a clustered node and everything that must end in order with it.
#include "actors/cluster_engine.hpp"

#include "actors/cluster_node.hpp"
#include "actors/epoch_watch.hpp"
#include "actors/system_config.hpp"
#include "base/text.hpp"
#include "dataflow/membership_rules.hpp"
#include "dataflow/placement.hpp"

#include <caf/actor_system.hpp>

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace troupe::actors {
namespace {

constexpr duration door_patience = std::chrono::seconds(1);

// Stands in for an endpoint that could not be opened until the node, which cannot run without, is
// gone again.
class closed_endpoint final : public transport::endpoint {
public:
  const transport::node_identity& self() const override { return nobody_; }
  status send(const std::string&, std::span<const std::byte>, std::span<const std::byte>) override {
    return status(status_code::unavailable, "the endpoint is not open");
  }
  size_t credit(const std::string&) const override { return 0; }
  std::vector<transport::node_identity> peers() const override { return {}; }
  transport::endpoint_counters counters() const override { return {}; }

private:
  transport::node_identity nobody_;
};

// Passes on what an endpoint tells, and hears what only the process can act on.
class endpoint_sentry final : public transport::endpoint_listener {
public:
  endpoint_sentry(transport::endpoint_listener& next, std::function<void()> outdated)
      : next_(next), outdated_(std::move(outdated)) {}
  void frame_received(const transport::node_identity& from, std::span<const std::byte> header,
                      std::span<const std::byte> payload) override {
    next_.frame_received(from, header, payload);
  }
  void peer_up(const transport::node_identity& peer) override { next_.peer_up(peer); }
  void peer_down(const transport::node_identity& peer) override { next_.peer_down(peer); }
  void outdated() override { outdated_(); }

private:
  transport::endpoint_listener& next_;
  std::function<void()> outdated_;
};

trace& nobody_watches() {
  static silent_trace nobody; // immutable
  return nobody;
}

class clustered final : public cluster_engine {
public:
  clustered(cluster_engine_seams seams, cluster_engine_options options)
      : seams_(std::move(seams)),
        options_(std::move(options)),
        watch_(*seams_.time, seams_.trace != nullptr ? *seams_.trace : nobody_watches(),
               [this] { tell(); }),
        system_(
            std::make_unique<caf::actor_system>(configure(config_, options_.node.actor_threads))),
        reports_(options_.layout.nodes.size()) {}

  // In the order that cluster_node asks for. Votes under way hold on to their actor, so the worker
  // ends before the system does.
  ~clustered() override {
    if (node_) node_->stop();
    system_->await_all_actors_done();
    seams_.worker.reset();
    seams_.store.reset();
    node_.reset();
    system_.reset();
  }

  status begin(std::shared_ptr<const model_bundle> model) {
    auto made = cluster_node::start(*system_, std::move(model), node_seams(), node_options_of());
    if (!made) return made.error();
    node_ = std::move(*made);
    return endpoint_failure_;
  }

  result<request_handle> submit(dataflow::generation_request request, event_sink sink,
                                received_so_far received) override {
    if (auto s = refusal(); !s.ok()) return fail(std::move(s));
    return node_->submit(std::move(request), std::move(sink), std::move(received));
  }
  void cancel(request_handle handle) override { node_->cancel(handle); }

  void begin_drain() override {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(draining_, true)) return;
    }
    node_->drain();
  }
  bool draining() const override {
    const std::lock_guard lock(mutex_);
    return draining_;
  }

  void replicate(std::span<const std::byte> entry, std::function<void(bool)> done) override {
    node_->replicate(entry, std::move(done));
  }

  bool serving() override { return watch_.read().begun && reaches_majority(); }

  cluster_picture cluster() const override;

private:
  // Between two epochs a request waits, for that is soon over. Who is outside of the cluster for
  // longer sends clients to other doors.
  status refusal() const {
    const auto seen = watch_.read();
    const bool waits = seen.state.epoch == 0 || seams_.time->now() - seen.known_at < door_patience;
    if (reaches_majority() && (seen.begun || waits)) return {};
    return status(status_code::unavailable,
                  "this node takes no part in its cluster now; ask another one");
  }

  cluster_node_seams node_seams() {
    cluster_node_seams out;
    out.executor = seams_.executor;
    out.time = seams_.time;
    out.trace = &watch_;
    out.store = seams_.store.get();
    out.open_endpoint = [this](transport::endpoint_listener& listener) {
      return open_endpoint(listener);
    };
    out.keep_entry = seams_.keep_entry;
    out.keep_votes = [votes = seams_.votes, worker = seams_.worker.get()](
                         const schemas::acceptor_state& state,
                         std::function<void(const status&)> done) {
      const auto taken = worker->submit([votes, state] { return votes->store(state); }, done);
      if (!taken.ok()) done(taken);
    };
    return out;
  }

  cluster_node_options node_options_of() {
    cluster_node_options out;
    out.node = options_.node;
    out.layout = options_.layout;
    out.timing = options_.timing;
    out.self = options_.self;
    out.incarnation = options_.incarnation;
    out.figures = options_.figures;
    out.votes = options_.votes;
    out.remembers = options_.remembers;
    out.gave_up = [this](const std::string& why) { give_up(why); };
    out.unfit = [this](const std::string& why) { give_up(why, true); };
    out.drained = [this] {
      {
        const std::lock_guard lock(mutex_);
        drained_ = true;
      }
      tell();
    };
    out.heard = [this](const schemas::node_report& report) { note(report); };
    out.learned = [this](const schemas::cluster_state& state) {
      watch_.learn(state);
      tell();
    };
    return out;
  }

  void give_up(const std::string& why, bool unfit = false) {
    {
      const std::lock_guard lock(mutex_);
      if (!gave_up_.empty()) return;
      gave_up_ = why;
      unfit_ = unfit;
    }
    tell();
  }

  void note(const schemas::node_report& report) {
    const std::lock_guard lock(mutex_);
    if (report.node < reports_.size()) reports_[report.node] = report;
  }
  std::vector<std::optional<schemas::node_report>> reports() const {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

  void tell() const {
    if (options_.changed) options_.changed();
  }

  // On the thread that starts the node. The seam of a node takes no refusal, so that is kept.
  std::unique_ptr<transport::endpoint> open_endpoint(transport::endpoint_listener& listener) {
    sentry_ = std::make_unique<endpoint_sentry>(
        listener, [this] { give_up("a later start of this node is or was part of the cluster"); });
    auto made = seams_.open_endpoint(*sentry_);
    if (made) {
      endpoint_ = made->get();
      return std::move(*made);
    }
    endpoint_failure_ = made.error();
    return std::make_unique<closed_endpoint>();
  }

  const node_resources& resources() const override { return node_->resources(); }

  bool is_connected(const std::vector<transport::node_identity>& peers,
                    schemas::node_index node) const {
    if (node == options_.self) return true;
    return std::any_of(peers.begin(), peers.end(), [&](const transport::node_identity& peer) {
      return peer.name == options_.layout.nodes[node];
    });
  }

  bool reaches_majority() const { return has_majority(endpoint_->peers()); }
  bool has_majority(const std::vector<transport::node_identity>& peers) const {
    if (seams_.store != nullptr) return true; // no node votes
    uint32_t reached = 0;
    for (schemas::node_index node = 0; node < options_.layout.voters; ++node)
      if (is_connected(peers, node)) ++reached;
    return reached >= options_.layout.majority();
  }

  std::string name_of(schemas::node_index node) const {
    return node < options_.layout.nodes.size() ? options_.layout.nodes[node] : std::string();
  }
  void put_members(cluster_picture& out, const schemas::cluster_state& state) const;
  void put_placement(cluster_picture& out, const schemas::placement& where) const;
  void put_figures(cluster_picture& out, const schemas::cluster_state& state) const;

  cluster_engine_seams seams_;
  const cluster_engine_options options_;
  epoch_watch watch_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::unique_ptr<endpoint_sentry> sentry_; // outlives the endpoint
  transport::endpoint* endpoint_ = nullptr; // the node's
  status endpoint_failure_;
  std::unique_ptr<cluster_node> node_;

  // waiver thread: of what follows; held for a copy, a few times in an epoch.
  mutable std::mutex mutex_;
  std::vector<std::optional<schemas::node_report>> reports_; // per node: its latest
  bool draining_ = false;
  bool drained_ = false;
  std::string gave_up_;
  bool unfit_ = false;
};

cluster_picture clustered::cluster() const {
  const auto seen = watch_.read();
  const auto& counters = node_->counters();
  cluster_picture out;
  out.self = name_of(options_.self);
  out.incarnation = options_.incarnation;
  out.epoch = seen.state.epoch;
  out.kv_version = seen.state.kv_version;
  put_members(out, seen.state);
  put_placement(out, seen.state.where);
  put_figures(out, seen.state);
  out.majority = reaches_majority();
  out.serving = seen.begun && out.majority;
  out.recoveries = seen.recoveries;
  if (seen.last) {
    const auto& last = *seen.last;
    out.last_recovery = {last.epoch, {},         last.took,   last.wall_seconds, last.suspected,
                         last.known, last.ready, last.served, last.flowing};
    for (const auto node : seen.last->lost) out.last_recovery->lost.push_back(name_of(node));
  }
  out.gateway = {counters.stale,          counters.corrupt, counters.misrouted, counters.resent,
                 counters.unacknowledged, counters.waiting, counters.held};
  out.transport = endpoint_->counters();
  const std::lock_guard lock(mutex_);
  out.draining = draining_;
  out.drained = drained_;
  out.gave_up = gave_up_;
  out.unfit = unfit_;
  return out;
}

void clustered::put_members(cluster_picture& out, const schemas::cluster_state& state) const {
  const auto peers = endpoint_->peers();
  for (schemas::node_index node = 0; node < options_.layout.nodes.size(); ++node) {
    member_picture member;
    member.name = options_.layout.nodes[node];
    member.voter = seams_.store == nullptr && options_.layout.is_voter(node);
    member.connected = is_connected(peers, node);
    if (node < state.members.size()) {
      member.incarnation = state.members[node].incarnation;
      member.present = state.members[node].present;
      member.serving = state.members[node].serving;
    }
    for (const auto& role : dataflow::roles_of(state.where, node))
      member.roles.push_back(dataflow::to_string(role));
    out.members.push_back(std::move(member));
  }
}

void clustered::put_placement(cluster_picture& out, const schemas::placement& where) const {
  out.sequencer = name_of(where.sequencer);
  for (const auto node : where.stages) out.stages.push_back(name_of(node));
  for (const auto& copies : where.shards) {
    auto& names = out.shards.emplace_back();
    for (const auto node : copies) names.push_back(name_of(node));
  }
}

// Of those that take part; what others told before they went is no matter any more.
void clustered::put_figures(cluster_picture& out, const schemas::cluster_state& state) const {
  const auto& layout = node_->layout();
  auto told = reports();
  std::vector<bool> serving(told.size(), false);
  for (schemas::node_index node = 0; node < told.size(); ++node) {
    const bool member = node < state.members.size() && state.members[node].present;
    if (!member) told[node].reset();
    serving[node] = member && state.members[node].serving;
  }
  const auto figures = dataflow::figures_of(told);
  for (schemas::node_index node = 0; node < told.size(); ++node) {
    out.members[node].speed = figures.nodes[node].speed;
    out.members[node].memory = figures.nodes[node].memory;
    out.members[node].memory_roles = dataflow::bytes_on(layout, state.where, node);
  }
  out.shard_rows = figures.shard_rows;
  if (state.where == schemas::placement{})
    out.no_room = dataflow::why_no_room(layout, serving, figures);
}

} // namespace

result<std::unique_ptr<cluster_engine>> cluster_engine::start(
    std::shared_ptr<const model_bundle> model, cluster_engine_seams seams,
    cluster_engine_options options) {
  auto made = std::make_unique<clustered>(std::move(seams), std::move(options));
  if (auto s = made->begin(std::move(model)); !s.ok()) return fail(std::move(s));
  return made;
}

} // namespace troupe::actors
