// The phases of a run: form, trouble, heal, settle, rest; and what is judged in each.
#include "simulations/runner/run_once.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "compute/cpu_executor.hpp"
#include "dataflow/placement.hpp"
#include "schemas/frame_codec.hpp"
#include "simulations/checkers/known_answers.hpp"
#include "simulations/checkers/membership.hpp"
#include "simulations/checkers/oracle.hpp"
#include "simulations/checkers/recovery_times.hpp"
#include "simulations/checkers/serving.hpp"
#include "simulations/cluster/simulated_cluster.hpp"
#include "simulations/faults/expansion.hpp"
#include "simulations/faults/injector.hpp"
#include "simulations/seams/tiny_model.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

namespace troupe::simulations {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr duration formation_max = seconds(30);
constexpr duration trouble_max = seconds(120); // then the cluster is healed whatever the plan says
constexpr duration rest_max = seconds(20);
constexpr duration silence_max = milliseconds(1500);
constexpr duration look_every = milliseconds(50);
constexpr uint64_t events_max = 20'000'000;
constexpr uint64_t mailbox_max = 4096;
constexpr uint64_t late_tokens_most = 64; // for a stream that has ended: what a lost frame holds up

actors::node_options node_options_of_runs(uint64_t seed) {
  actors::node_options out;
  out.positions_max = 128;
  out.page_tokens = 8;
  out.step_tokens_max = 64;
  out.prefill_chunk_max = 16;
  out.draft_tokens_max = seed % 8 == 5 ? 4 : 0; // changes nothing that a client sees
  return out;
}

// Of the alternatives of frame_body, for diagrams.
constexpr std::array<const char*, std::variant_size_v<schemas::frame_body>> body_names = {
    "ack",        "report",      "prepare", "promise", "accept",     "accepted",
    "recover",    "recovered",   "state",   "stage",   "stage done", "shard",
    "shard done", "step failed", "submit",  "end",     "tokens",     "request failed"};

// Nothing but processes that end and start: silence then means an end, and detection is quick.
bool only_processes_end(const fault_plan& plan) {
  static const std::set<std::string_view> ids = {"F01", "F02", "F03", "F04", "F05", "F12", "F13"};
  return std::all_of(plan.faults.begin(), plan.faults.end(),
                     [](const fault& f) { return ids.count(f.id) != 0; });
}

// Nothing but processes and devices suffers: once they do so no more than before, the others go on
// without them.
bool only_nodes_suffer(const fault_plan& plan) {
  static const std::set<std::string_view> ids = {"F01", "F02", "F03", "F04", "F05", "F07", "F08",
                                                 "F12", "F13", "F40", "F41", "F44", "F45"};
  return std::all_of(plan.faults.begin(), plan.faults.end(),
                     [](const fault& f) { return ids.count(f.id) != 0; });
}

} // namespace

struct laboratory::parts {
  std::unique_ptr<compute::executor> kernels;
  std::shared_ptr<const actors::model_bundle> model; // shared with every node of every run
  std::unique_ptr<oracle> right;
  uint64_t answers = 0; // their fingerprint
};

namespace {

// One run under way.
class experiment final : public cluster_observer {
public:
  experiment(laboratory::parts& lab, const run_spec& spec)
      : spec_(spec),
        world_({.seed = spec.seed,
                .machines = spec.what.cluster.nodes,
                .strategy = spec.strategy,
                .tail_events = spec.tail_events,
                .log_draws = spec.log_draws}),
        cluster_(world_, lab.model, *lab.kernels,
                 {.cluster = spec.what.cluster,
                  .workload = spec.what.workload,
                  .timing = timing_,
                  .node = node_options_of_runs(spec.seed),
                  .seed = spec.seed},
                 *this),
        serving_(*lab.right, {.explicit_errors = spec.what.expect.explicit_errors}) {
    out_.seed = spec.seed;
    out_.strategy = resolve(spec.strategy.kind, spec.seed);
    out_.plan = spec.plan ? *spec.plan : expand(spec.what, spec.seed);
    membership_limits limits;
    limits.fault_free = out_.plan.faults.empty();
    // Where load alone may begin an epoch, streams compute again what they had.
    if (limits.fault_free && spec.what.cluster.shard_copies_max == 0)
      serving_.nothing_is_done_twice();
    if (lab.answers != known_answers)
      note("S2", text("an undisturbed node answers otherwise than ever: fingerprint ", lab.answers,
                      ", expected ", known_answers));
    if (only_processes_end(out_.plan)) limits.detection_max = calm_detection_bound(timing_);
    membership_.emplace(cluster_.layout(), timing_, limits);
    injector_.emplace(cluster_, out_.plan, spec.what);
    if (spec.record_messages)
      cluster_.network().set_watcher([this](const frame_fate& f) { record(f); });
  }

  run_result run() {
    if (const auto s = cluster_.form(); !s.ok())
      note("HARNESS", s.why());
    else
      go_through();
    conclude();
    return std::move(out_);
  }

  // -- cluster_observer

  void on_probe(uint32_t node, std::string_view probe, uint64_t value) override {
    ++probes_[probe];
    const auto now = world_.now();
    const uint64_t incarnation = cluster_.incarnation_of(node);
    const auto which = static_cast<uint32_t>(value);
    if (probe == "stage.started")
      worked(node, value >> 32, {dataflow::role_kind::attention_stage, which}, 0);
    else if (probe == "shard.started")
      worked(node, value >> 32, {dataflow::role_kind::expert_shard, which}, 0);
    else if (probe == "step.started")
      worked(node, value >> 32, {dataflow::role_kind::sequencer, 0}, which);
    else if (probe == "frame.taken" || probe == "tokens.relayed" || probe == "request.taken")
      took_effect(node, probe, value >> 32, which);
    else if (probe == "tokens.unwanted")
      drew_for_nobody(node, value >> 32, which);
    else if (probe == "tokens.late")
      ++late_tokens_[value];
    else if (probe == "votes.told" || probe == "votes.loaded")
      voted(node, probe, value);
    else if (probe == "epoch.proposed")
      recoveries_.proposed(value, now);
    else if (probe == "epoch.agreed")
      agreed(node, value);
    else if (probe == "epoch.ready")
      membership_->ready(node, incarnation, value, now);
    else if (probe == "epoch.go")
      went(node, incarnation, value);
    else if (probe == "node.suspected")
      membership_->suspected(node, static_cast<uint32_t>(value), now);
    else if (probe == "part.restarted")
      recoveries_.failed(now);
    if (injector_) injector_->on_probe(probe, value);
  }

  void on_learned(uint32_t node, const dataflow::cluster_state& state) override {
    learned_[node] = state.epoch;
    membership_->learned(node, cluster_.incarnation_of(node), state, world_.now());
  }

  void on_process(uint32_t node, std::string_view what) override {
    const auto now = world_.now();
    last_stir_ = now;
    mark(node, std::string(what));
    if (what == "start") {
      learned_[node] = 0;
      membership_->started(node, cluster_.incarnation_of(node), now);
    } else if (what == "crash") {
      membership_->crashed(node, now);
      recoveries_.failed(now);
    } else if (what == "pause") {
      membership_->paused(node, now);
      recoveries_.failed(now);
    } else if (what == "drained") {
      const uint64_t open = cluster_.node(node)->streams_open();
      if (open > 0)
        note("S6", "node " + std::to_string(node) + " has drained and leaves " +
                       std::to_string(open) + " streams alone");
    } else if (what == "resume") {
      membership_->resumed(node, now);
    }
  }

  void on_client_event(const client& who, const dataflow::stream_event& event) override {
    const uint64_t stream = who.record().asked.client;
    if (opened_.insert(stream).second) recoveries_.stream_opened(stream);
    if (!event.tokens.empty()) recoveries_.token(stream, world_.now());
    if (event.what == dataflow::stream_event::kind::completed ||
        event.what == dataflow::stream_event::kind::failed)
      recoveries_.stream_ended(stream, world_.now());
  }

private:
  // -- phases

  void go_through() {
    look();
    if (!run_until(formation_max, [this] { return first_go_; })) {
      membership_->check_stuck({{.what = "the cluster does not form"}}, world_.now());
      return;
    }
    cluster_.begin_workload();
    injector_->arm();
    armed_ = true;
    last_change_ = injector_->last_change(); // that alone takes nothing away
    membership_->disturbed(world_.now());
    run_until(
        trouble_max,
        [this] { return injector_->all_ended() && cluster_.all_clients_done() && at_rest(); },
        [this] { return injector_->all_ended() && !out_.plan.faults.empty() && quiet_long(); });
    heal();
    run_until(spec_.what.expect.settle, [this] { return cluster_.all_clients_done(); });
    check_open();
    run_until(rest_max, [this] { return at_rest() && converged(); });
    check_rest();
  }

  // Whether `done` came true within the time.
  template <class Done>
  bool run_until(duration most, const Done& done) {
    return run_until(most, done, [] { return false; });
  }
  template <class Done, class Enough>
  bool run_until(duration most, const Done& done, const Enough& enough) {
    const auto until = world_.now() + most;
    bool met = false;
    const bool in_bound = world_.run(until, events_max, [&] {
      if (world_.now() < next_check_) return false;
      next_check_ = world_.now() + milliseconds(5);
      met = done();
      return met || enough();
    });
    if (!in_bound && world_.events() >= events_max)
      note("HARNESS", "the run does not end within " + std::to_string(events_max) + " events");
    return met;
  }

  // The last fault has ended, and long enough ago that whatever it broke should be mended: from
  // here on the liveness phase judges.
  bool quiet_long() const { return world_.now() > injector_->last_change() + seconds(3); }

  void heal() {
    std::vector<uint32_t> core;
    if (spec_.what.expect.core_only) {
      const auto chosen = draw_core(spec_.what, spec_.seed, injector_->forgetful());
      for (uint32_t node = 0; node < chosen.size(); ++node)
        if (chosen[node]) core.push_back(node);
      injector_->heal(chosen);
    } else {
      for (uint32_t node = 0; node < cluster_.nodes(); ++node) core.push_back(node);
      injector_->heal_all();
    }
    core_ = {core.begin(), core.end()};
    last_change_ = injector_->last_change(); // the heal itself: look() must not take it back
    last_stir_ = world_.now();
    membership_->disturbed(world_.now());
    membership_->healed(core, world_.now());
    serving_.healthy(true, world_.now());
  }

  // -- what is looked at now and then

  void look() {
    const auto now = world_.now();
    if (armed_ && injector_->last_change() > last_change_) {
      last_change_ = injector_->last_change();
      last_stir_ = now;
      membership_->disturbed(now);
      recoveries_.failed(last_change_);
    }
    // Told when it changes: every word of it begins the bounds anew.
    if (const bool is = majority_connected(); is != majority_) {
      majority_ = is;
      membership_->majority(is, now);
    }
    membership_->check(now);
    look_for_health(now);
    for (uint32_t node = 0; node < cluster_.nodes(); ++node) look_at(node, now);
    look_at_silences();
    world_.schedule(now + look_every, "look", [this] { look(); });
  }

  // Another door hides from the client that this one has forgotten its stream; so a silence that
  // nothing explains is told here. A stream that waits for its turn is known to the sequencer.
  void look_at_silences() {
    if (sequencer_has_work()) last_stir_ = world_.now();
    size_t at = 0;
    for (const auto& c : cluster_.clients()) {
      const auto& silences = c->record().silences;
      if (judged_silences_.size() <= at) judged_silences_.push_back(0);
      for (size_t& n = judged_silences_[at++]; n < silences.size(); ++n)
        judge_silence(silences[n], c->describe());
    }
  }

  bool sequencer_has_work() {
    const uint32_t node = cluster_.newest().where.sequencer;
    if (node >= cluster_.nodes() || !cluster_.up(node)) return false;
    const auto metrics = cluster_.node(node)->metrics();
    return metrics.requests_running + metrics.requests_waiting > 0;
  }

  void judge_silence(const client_silence& what, const std::string& who) {
    const duration calm = what.until - std::max(what.from, last_stir_);
    if (calm < silence_max || !injector_->all_ended() || !majority_connected()) return;
    const auto& members = cluster_.newest().members;
    if (what.door >= members.size() || !members[what.door].present) return; // not in the epoch
    if (!cluster_.up(what.door) || cluster_.paused(what.door) || !converged()) return;
    note("S10", "door " + std::to_string(what.door) + " said nothing for " +
                    std::to_string(calm / milliseconds(1)) +
                    " ms although nothing was wrong or left to do; " + who);
  }

  // A cluster that has had time to get over what happened to its nodes is as good as healed.
  void look_for_health(time_point now) {
    if (!armed_ || !core_.empty() || !spec_.what.expect.survivable) return;
    const bool calm = now > injector_->last_change() + seconds(15);
    serving_.healthy(calm && majority_ && only_nodes_suffer(out_.plan), now);
  }

  void look_at(uint32_t node, time_point now) {
    const auto* n = cluster_.node(node);
    if (n == nullptr || cluster_.paused(node)) return;
    serving_.check_bound({.node = node,
                          .what = "frames waiting for credit",
                          .reached = n->counters().waiting.load(),
                          .bound = 1 << 16},
                         now);
    look_at_queues(node, now);
    const auto boxes = world_.at(node).mailboxes();
    if (!boxes.empty())
      serving_.check_bound({.node = node,
                            .what = "mailbox of " + boxes.front().first,
                            .reached = boxes.front().second,
                            .bound = mailbox_max},
                           now);
  }

  void look_at_queues(uint32_t node, time_point now) {
    const auto& limits = spec_.what.cluster;
    const auto metrics = cluster_.node(node)->metrics();
    serving_.check_bound({.node = node,
                          .what = "sequences running",
                          .reached = metrics.requests_running,
                          .bound = limits.sequences_max},
                         now);
    // What was running once, and the choices of one request, may wait beyond the limit.
    constexpr uint32_t choices_most = 8;
    serving_.check_bound({.node = node,
                          .what = "sequences waiting",
                          .reached = metrics.requests_waiting,
                          .bound = limits.queue_max + 2 * limits.sequences_max + choices_most},
                         now);
    serving_.check_bound({.node = node,
                          .what = "streams at the door",
                          .reached = cluster_.node(node)->streams_open(),
                          .bound = limits.queue_max + limits.sequences_max},
                         now);
  }

  // Whether some majority of the voters is up and connected both ways with every node that is up;
  // whom the heal left out does not count.
  bool majority_connected() {
    const uint32_t nodes = cluster_.nodes();
    const auto alive = [this](uint32_t n) { return counts(n); };
    const auto joined = [this](uint32_t a, uint32_t b) {
      auto& there = cluster_.network().link(a, b);
      auto& back = cluster_.network().link(b, a);
      return !there.cut && !back.cut && !there.held && !back.held;
    };
    uint32_t good = 0;
    for (uint32_t voter = 0; voter < cluster_.voters(); ++voter) {
      if (!alive(voter)) continue;
      bool all = true;
      for (uint32_t n = 0; n < nodes && all; ++n)
        if (n != voter && alive(n)) all = joined(voter, n);
      if (all) ++good;
    }
    return good >= cluster_.layout().majority();
  }

  // -- the end

  bool at_rest() {
    for (uint32_t node = 0; node < cluster_.nodes(); ++node) {
      if (!counts(node)) continue;
      const auto left = residue_of(node);
      if (left.sequences_live + left.pages_used + left.streams_open + left.frames_unacknowledged +
              left.frames_held + left.device_jobs >
          0)
        return false;
    }
    return true;
  }

  bool converged() {
    const uint64_t newest = membership_->newest_epoch();
    for (uint32_t node = 0; node < cluster_.nodes(); ++node)
      if (counts(node) && learned_[node] != newest) return false;
    return true;
  }

  // Up, unpaused, and not left out by the heal.
  bool counts(uint32_t node) {
    if (!cluster_.up(node) || cluster_.paused(node)) return false;
    return core_.empty() || core_.count(node) != 0;
  }

  node_residue residue_of(uint32_t node) {
    const auto& n = *cluster_.node(node);
    const auto metrics = n.metrics();
    node_residue out;
    out.node = node;
    const auto roles = dataflow::roles_of(cluster_.newest().where, node);
    const bool sequencer =
        std::find(roles.begin(), roles.end(), dataflow::role{dataflow::role_kind::sequencer, 0}) !=
        roles.end();
    if (sequencer) { // its books are stale where it has left
      out.pages_total = metrics.pages_total;
      out.pages_used = metrics.pages_used;
      out.pages_cached = metrics.pages_cached;
      out.pages_free = metrics.pages_total - metrics.pages_used - metrics.pages_cached;
      out.sequences_live = metrics.requests_running + metrics.requests_waiting;
    }
    out.streams_open = n.streams_open();
    out.frames_unacknowledged = n.counters().unacknowledged.load();
    out.frames_held = n.counters().held.load();
    return out;
  }

  void check_open() {
    std::vector<stuck_work> open;
    for (const auto& c : cluster_.clients()) {
      serving_.check_client(c->record(), world_.now());
      serving_.check_ended(c->record(), c->describe(), world_.now());
      serving_.check_waits(c->record(), world_.now());
      if (!c->done()) open.push_back({.what = c->describe()});
    }
    membership_->check_stuck(open, world_.now());
  }

  void check_rest() {
    membership_->check(world_.now());
    if (!cluster_.all_clients_done()) return; // what is open may hold what it needs
    for (uint32_t node = 0; node < cluster_.nodes(); ++node) {
      if (!counts(node)) continue;
      serving_.check_pages(residue_of(node), world_.now());
      serving_.check_idle(residue_of(node), world_.now());
    }
  }

  void conclude() {
    injector_->stop();
    if (out_.plan.faults.empty()) check_ended_streams();
    for (const auto& v : serving_.violations()) out_.violations.push_back(v);
    for (const auto& v : membership_->violations()) out_.violations.push_back(v);
    std::stable_sort(out_.violations.begin(), out_.violations.end(),
                     [](const violation& a, const violation& b) { return a.when < b.when; });
    out_.hash = world_.hash();
    out_.events = world_.events();
    out_.virtual_time = world_.now() - time_point{};
    out_.faults = injector_->counts();
    for (const auto& [name, hits] : probes_) out_.probes[std::string(name)] = hits;
    out_.recoveries = recoveries_.done();
    out_.epochs = membership_->newest_epoch();
    uint64_t received = 0;
    for (const auto& c : cluster_.clients()) {
      out_.streams += c->record().choices.size();
      received += c->record().tokens();
      if (c->record().end == client_end::failed) out_.streams_failed += c->record().choices.size();
    }
    out_.tokens = received;
    const uint64_t drawn = cluster_.tokens_drawn();
    out_.tokens_recomputed = drawn > received ? drawn - received : 0;
    out_.tail = world_.tail();
    if (spec_.log_draws) out_.event_hashes = world_.draw_log();
    for (const auto& hit : injector_->history())
      if (hit.what == injected_fault::outcome::done)
        out_.marks.push_back({hit.node, hit.when, hit.id});
  }

  // -- small things

  void agreed(uint32_t node, uint64_t epoch) {
    recoveries_.agreed(epoch, world_.now());
    mark(node, "epoch " + std::to_string(epoch) + " agreed");
  }

  void worked(uint32_t node, uint64_t epoch, const dataflow::role& who, uint64_t step) {
    membership_->work_done(node, cluster_.incarnation_of(node), epoch, who, step, world_.now());
  }

  // S8, where it happens: what a part acts on is of the epoch it is in.
  void took_effect(uint32_t node, std::string_view probe, uint32_t of, uint32_t in) {
    if (of != in)
      note("S8", text("n", node, ": ", probe, " of epoch ", of, " has an effect in epoch ", in));
  }

  // Nothing in the way: word that a client has left is not longer under way than a few steps take.
  void check_ended_streams() {
    for (const auto& [stream, times] : late_tokens_)
      if (times > late_tokens_most)
        note("S9", text("tokens of stream ", stream, " came ", times, " times after its end"));
  }

  // A choice that had ended in an earlier epoch was not handed over to this one.
  void drew_for_nobody(uint32_t node, uint32_t ended, uint32_t epoch) {
    if (ended != epoch)
      note("S9", text("n", node, ": tokens are drawn in epoch ", epoch,
                      " for a choice that ended in epoch ", ended));
  }

  void went(uint32_t node, uint64_t incarnation, uint64_t epoch) {
    last_stir_ = world_.now();
    first_go_ = true;
    recoveries_.go(epoch, world_.now());
    membership_->go(node, incarnation, epoch, world_.now());
  }

  // What a voter has told others it still knows after a restart, unless its disk has lied to it.
  void voted(uint32_t node, std::string_view probe, uint64_t round) {
    uint64_t& told = told_rounds_[node];
    if (probe == "votes.told") told = std::max(told, round);
    const auto lies = [](const fault& f) {
      return f.id == "F54" || f.id == "F56" || f.id == "F57";
    };
    if (probe == "votes.told" || round >= told ||
        std::any_of(out_.plan.faults.begin(), out_.plan.faults.end(), lies))
      return;
    note("M1", "voter " + std::to_string(node) + " begins with round " + std::to_string(round) +
                   " although it has told of round " + std::to_string(told));
  }

  void mark(uint32_t node, std::string what) {
    out_.marks.push_back({node, world_.now(), std::move(what)});
  }

  void record(const frame_fate& fate) {
    const auto header = schemas::decode_frame(fate.header, {});
    out_.messages.push_back({fate.from, fate.to, fate.sent, fate.arrived,
                             header ? body_names[header->body.index()] : "damaged"});
  }

  void note(const char* invariant, std::string what) {
    out_.violations.push_back({invariant, std::move(what), world_.now()});
  }

  const run_spec& spec_;
  dataflow::cluster_timing timing_;
  run_result out_;
  std::map<std::string_view, uint64_t> probes_;
  std::map<uint64_t, uint64_t> late_tokens_; // by stream: emissions after its end
  std::map<uint32_t, uint64_t> learned_;     // newest epoch, by node
  std::map<uint32_t, uint64_t> told_rounds_; // of its votes, the newest that left it, by node
  recovery_times recoveries_;
  std::set<uint64_t> opened_; // streams that have begun to be answered
  std::optional<membership_checker> membership_;
  std::set<uint32_t> core_; // after the heal
  bool first_go_ = false;
  bool armed_ = false;
  bool majority_ = true; // as the membership checker was told
  time_point next_check_{};
  time_point last_change_{};
  time_point last_stir_{};              // of anything that may make a stream stand still
  std::vector<size_t> judged_silences_; // by client
  world world_;
  simulated_cluster cluster_;
  serving_checker serving_;
  std::optional<injector> injector_;
};

} // namespace

laboratory::laboratory(std::unique_ptr<parts> made) : parts_(std::move(made)) {}
laboratory::~laboratory() = default;

result<std::unique_ptr<laboratory>> laboratory::make() {
  auto made = std::make_unique<parts>();
  auto kernels = compute::make_cpu_executor({.threads = 1});
  if (!kernels) return fail(kernels.error());
  made->kernels = std::move(*kernels);
  auto model = make_tiny_model(*made->kernels, {});
  if (!model) return fail(model.error().within("the tiny model"));
  made->model = std::move(*model);
  auto right = oracle::make(made->model, *made->kernels,
                            {.positions_max = node_options_of_runs(0).positions_max});
  if (!right) return fail(right.error().within("the undisturbed node"));
  made->right = std::move(*right);
  made->answers = fingerprint_of_answers(*made->right);
  return std::make_unique<laboratory>(std::move(made));
}

run_result laboratory::run(const run_spec& spec) {
  return experiment(*parts_, spec).run();
}

run_result run_once(const run_spec& spec) {
  // Made once in a process: what it remembers changes no result.
  // waiver new: never destroyed; when a process ends, CAF lets go of what its systems need first.
  static const auto& lab = *new auto(laboratory::make());
  if (lab) return (*lab)->run(spec);
  run_result out;
  out.seed = spec.seed;
  out.violations.push_back({"HARNESS", lab.error().why(), {}});
  return out;
}

} // namespace troupe::simulations
