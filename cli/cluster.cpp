// The commands that look after the nodes of a development cluster.
#include "cli/cluster.hpp"

#include "base/text.hpp"
#include "cli/http_get.hpp"
#include "cli/node.hpp"

#include <csignal>

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace troupe::cli {
namespace {

constexpr duration ready_patience = std::chrono::seconds(120); // large models take long to load
constexpr duration poll = std::chrono::milliseconds(50);
constexpr duration unkind_patience = std::chrono::seconds(2);
constexpr duration end_patience = std::chrono::seconds(5); // for a node that drained for too long
constexpr duration kill_patience = std::chrono::seconds(5);

void pass_time(duration how_long) {
  std::mutex mutex;
  std::condition_variable nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, how_long, [] { return false; });
}

// Whether they all end in time. Children are waited for, so that they do not stay as zombies.
bool wait_for_end(program& context, const std::vector<started_node>& nodes, duration at_most) {
  const auto deadline = context.clock.now() + at_most;
  for (;;) {
    (void)reap_children();
    const bool over = std::none_of(nodes.begin(), nodes.end(), [](const started_node& node) {
      return is_running(node.process);
    });
    if (over || context.clock.now() >= deadline) return over;
    pass_time(poll);
  }
}

std::string names_of(const std::vector<started_node>& nodes) {
  std::string out;
  for (const auto& node : nodes) out += text(out.empty() ? "" : ", ", node.name);
  return out;
}

std::vector<started_node> running(std::vector<started_node> nodes) {
  std::erase_if(nodes, [](const started_node& node) { return !is_running(node.process); });
  return nodes;
}

void signal_all(program& context, const std::vector<started_node>& nodes, int signal) {
  for (const auto& node : nodes)
    if (const auto sent = send_signal(node.process, signal); !sent.ok())
      context.complain(sent.within(node.name));
}

// A node through which others join.
result<std::string> seed_of(const cluster_folder& folder) {
  const auto nodes = running(folder.started());
  if (nodes.empty())
    return fail(status_code::unavailable,
                text("no node of ", folder.path(), " runs; troupe cluster up starts them"));
  return nodes.front().listen;
}

// --- Commands on nodes by name

using node_action = status (*)(program&, const cluster_folder&, started_node,
                               const cluster_node_settings&);

int for_each_node(program& context, const cluster_node_settings& settings, node_action act) {
  const auto folder = cluster_folder::open(context.files, settings.folder.dir);
  if (!folder) return context.complain(folder.error(), exit_usage);
  if (settings.node.empty())
    return context.complain(status(status_code::invalid_argument,
                                   text("which node? There are ", names_of(folder->started()))),
                            exit_usage);
  for (const auto& name : settings.node) {
    const auto found = folder->find(name);
    if (!found) return context.complain(found.error(), exit_usage);
    if (auto s = act(context, *folder, *found, settings); !s.ok()) return context.complain(s);
  }
  return exit_done;
}

status not_running(const started_node& node) {
  return status(status_code::unavailable,
                text(node.name, " does not run; troupe cluster restart ", node.name, " starts it"));
}

status kill_node(program& context, const cluster_folder&, started_node node,
                 const cluster_node_settings&) {
  if (!is_running(node.process)) return not_running(node);
  TROUPE_RETURN_IF_ERROR(send_signal(node.process, SIGKILL));
  if (!wait_for_end(context, {node}, kill_patience))
    return status(status_code::timed_out, text(node.name, " was killed and does not end"));
  (void)context.err.write(text("killed ", node.name, "\n"));
  return {};
}

status drain_node(program& context, const cluster_folder& folder, started_node node,
                  const cluster_node_settings& settings) {
  if (!is_running(node.process)) return not_running(node);
  const auto deadline = context.clock.now() + std::chrono::seconds(settings.drain_timeout);
  TROUPE_RETURN_IF_ERROR(
      send_signal(node.process, SIGTERM, number_for_drain(settings.drain_timeout)));
  // What it is then still busy with it cuts off, and ends.
  const bool ended = wait_for_end(context, {node}, deadline - context.clock.now() + end_patience);
  if (!ended || context.clock.now() >= deadline)
    return status(status_code::timed_out,
                  text(node.name, ended ? " was not drained within " : " is still draining after ",
                       settings.drain_timeout, " s (--drain-timeout)", folder.log_tail(node.name)));
  (void)context.err.write(text(node.name, " has ended; its log says how\n"));
  return {};
}

status start_again(program& context, const cluster_folder& folder, started_node node,
                   const cluster_node_settings& settings) {
  if (is_running(node.process)) {
    const auto drained = drain_node(context, folder, node, settings);
    if (is_running(node.process)) return drained;
    if (!drained.ok()) context.complain(drained); // it has ended, if not as it should
  }
  std::string seed;
  if (node.joined) {
    auto found = seed_of(folder);
    if (!found) return found.error();
    seed = std::move(*found);
  }
  TROUPE_RETURN_IF_ERROR(folder.start(node, false, seed));
  TROUPE_RETURN_IF_ERROR(wait_until_ready(context, folder, node));
  (void)context.err.write(text("ready ", node.name, " http://", node.http, "\n"));
  return {};
}

int run_kill(program& context, const cluster_node_settings& settings) {
  return for_each_node(context, settings, kill_node);
}
int run_drain(program& context, const cluster_node_settings& settings) {
  return for_each_node(context, settings, drain_node);
}
int run_restart(program& context, const cluster_node_settings& settings) {
  return for_each_node(context, settings, start_again);
}

// --- The others

// The spare node that is asked for, or the first that can be started: one that never was, else one
// that has ended. Not joined: it never was.
result<started_node> node_to_add(const cluster_folder& folder, const cluster_node_settings& from) {
  const auto& spare = folder.cluster().spare;
  if (from.node.size() > 1)
    return fail(status_code::invalid_argument, "one node is added at a time");
  const auto started = folder.started();
  started_node fresh;
  std::optional<started_node> ended;
  std::string known;
  for (const auto& name : spare) {
    known += text(known.empty() ? "" : ", ", name);
    if (!from.node.empty() && name != from.node.front()) continue;
    const auto found =
        std::find_if(started.begin(), started.end(),
                     [&name](const started_node& node) { return node.name == name; });
    if (found == started.end()) {
      fresh.name = name;
      return fresh;
    }
    if (!ended && !is_running(found->process)) ended = *found;
    if (!from.node.empty() && !ended)
      return fail(status_code::invalid_argument, text(name, " was added already, and runs"));
  }
  if (ended) return *ended;
  if (from.node.empty())
    return fail(status_code::exhausted,
                text("all spare nodes run: ", known.empty() ? "there are none" : known));
  return fail(status_code::invalid_argument,
              text(quoted_text(from.node.front()), " is no spare name of the cluster",
                   known.empty() ? "" : text("; there are ", known)));
}

int run_add(program& context, const cluster_node_settings& settings) {
  const auto folder = cluster_folder::open(context.files, settings.folder.dir);
  if (!folder) return context.complain(folder.error(), exit_usage);
  const auto wanted = node_to_add(*folder, settings);
  if (!wanted) return context.complain(wanted.error(), exit_usage);
  if (wanted->joined) {
    const auto again = start_again(context, *folder, *wanted, settings);
    return again.ok() ? static_cast<int>(exit_done) : context.complain(again);
  }
  const auto seed = seed_of(*folder);
  if (!seed) return context.complain(seed.error());
  auto node = folder->plan_start(wanted->name, folder->started().front().threads);
  if (!node) return context.complain(node.error());
  if (auto s = folder->start(*node, false, *seed); !s.ok()) return context.complain(s);
  if (auto s = wait_until_ready(context, *folder, *node); !s.ok()) {
    (void)send_signal(node->process, SIGKILL);
    folder->forget(node->name);
    return context.complain(s);
  }
  (void)context.err.write(text("ready ", node->name, " http://", node->http, "\n"));
  return exit_done;
}

struct cluster_status_settings {
  cluster_folder_settings folder;
  bool json = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    folder.for_each_field(visit);
    visit({.name = "json", .help = "print JSON"}, json);
    common.for_each_field(visit);
  }
};

int run_status(program& context, const cluster_status_settings& settings) {
  const auto folder = cluster_folder::open(context.files, settings.folder.dir);
  if (!folder) return context.complain(folder.error(), exit_usage);
  const auto view = look_at(context, *folder);
  (void)context.out.write(settings.json ? status_json(view) : status_text(view));
  const bool fine = !view.nodes.empty() &&
                    std::all_of(view.nodes.begin(), view.nodes.end(),
                                [](const node_view& node) { return state_of(node) == "serving"; });
  const int code = context.exit_after_output();
  return code == exit_done && !fine ? static_cast<int>(exit_failed) : code;
}

struct cluster_down_settings {
  cluster_folder_settings folder;
  uint32_t patience = 10;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    folder.for_each_field(visit);
    visit({.name = "patience",
           .value = "SECONDS",
           .help = "how long nodes may take to drain before they are ended at once",
           .range = {0, 86400}},
          patience);
    common.for_each_field(visit);
  }
};

int run_down(program& context, const cluster_down_settings& settings) {
  const auto folder = cluster_folder::open(context.files, settings.folder.dir);
  if (!folder) return context.complain(folder.error(), exit_usage);
  const auto done =
      take_down(context, *folder, {.patience = std::chrono::seconds(settings.patience)});
  return done.ok() ? static_cast<int>(exit_done) : context.complain(done);
}

constexpr command_info kill_info = {
    .name = "cluster kill",
    .section = "cluster-kill",
    .summary = "kills nodes of a development cluster, as a crash would (SIGKILL)",
    .notes = "exit codes: 0 done; 1 it did not run; 2 wrong usage\n",
};
constexpr command_info drain_info = {
    .name = "cluster drain",
    .section = "cluster-drain",
    .summary = "lets nodes of a development cluster hand over and leave (SIGTERM)",
    .notes = "exit codes: 0 they left; 1 it did not run, or took too long; 2 wrong usage\n",
};
constexpr command_info restart_info = {
    .name = "cluster restart",
    .section = "cluster-restart",
    .summary = "starts nodes of a development cluster again; what runs is drained first",
    .notes = "exit codes: 0 they serve; 1 it failed; 2 wrong usage\n",
};
constexpr command_info add_info = {
    .name = "cluster add",
    .section = "cluster-add",
    .summary = "adds a node to a development cluster, under a spare name",
    .notes = "exit codes: 0 it serves; 1 it failed; 2 wrong usage, or no name is left\n",
};
constexpr command_info status_info = {
    .name = "cluster status",
    .section = "cluster-status",
    .summary = "shows the nodes of a development cluster",
    .notes = "exit codes: 0 every node that was started serves; 1 some do not; 2 wrong usage\n",
};
constexpr command_info down_info = {
    .name = "cluster down",
    .section = "cluster-down",
    .summary = "ends every node of a development cluster",
    .notes =
        "The folder stays; troupe cluster up starts the nodes of its cluster.toml again.\n\n"
        "exit codes: 0 no process is left; 1 one is; 2 wrong usage\n",
};

} // namespace

cluster_view look_at(const program& context, const cluster_folder& folder) {
  cluster_view out;
  out.taken = context.clock.now();
  out.wall_seconds = context.clock.wall_seconds();
  for (const auto& node : folder.started()) {
    node_view view;
    view.url = text("http://", node.http);
    view.pid = node.process.pid;
    view.ended = !is_running(node.process);
    const auto http = parse_host_port(node.http);
    if (!view.ended && http) ask_node(context.clock, *http, folder.admin_key(), view);
    if (view.ended) view.pid = 0;
    view.name = node.name;
    out.nodes.push_back(std::move(view));
  }
  return out;
}

status wait_until_ready(program& context, const cluster_folder& folder, const started_node& node,
                        const std::function<bool()>& changed_mind) {
  const auto http = parse_host_port(node.http);
  TROUPE_CHECK(http.has_value());
  const auto deadline = context.clock.now() + ready_patience;
  for (;;) {
    (void)reap_children();
    if (!is_running(node.process))
      return status(status_code::unavailable,
                    text("node ", node.name, " has ended", folder.log_tail(node.name)));
    const auto answer = http_get(context.clock, {.server = *http, .path = "/health/ready"});
    if (answer && answer->status == 200) return {};
    if (changed_mind && changed_mind()) return status(status_code::cancelled, "interrupted");
    if (context.clock.now() >= deadline)
      return status(status_code::timed_out,
                    text("node ", node.name, " does not serve", folder.log_tail(node.name)));
    pass_time(poll);
  }
}

status take_down(program& context, const cluster_folder& folder, const take_down_args& args) {
  const auto all = folder.started();
  const auto polite = running(all);
  signal_all(context, polite, SIGTERM);
  if (!wait_for_end(context, polite, args.patience)) {
    (void)context.err.write(text("still draining: ", names_of(running(polite)), "; ending them\n"));
    signal_all(context, running(polite), SIGTERM); // the second one ends at once
    if (!wait_for_end(context, polite, unkind_patience)) {
      signal_all(context, running(polite), SIGKILL);
      wait_for_end(context, polite, kill_patience);
    }
  }
  const auto left = running(all);
  if (!left.empty()) return status(status_code::timed_out, text("still running: ", names_of(left)));
  for (const auto& node : all) folder.forget(node.name);
  (void)context.err.write(text("down: ", all.size(), " nodes\n"));
  return {};
}

void add_cluster_commands(command_list& out) {
  out.push_back(make_cluster_up());
  out.push_back(make_command<cluster_status_settings>(status_info, run_status));
  out.push_back(make_command<cluster_node_settings>(kill_info, run_kill));
  out.push_back(make_command<cluster_node_settings>(drain_info, run_drain));
  out.push_back(make_command<cluster_node_settings>(restart_info, run_restart));
  out.push_back(make_command<cluster_node_settings>(add_info, run_add));
  out.push_back(make_command<cluster_down_settings>(down_info, run_down));
}

} // namespace troupe::cli
