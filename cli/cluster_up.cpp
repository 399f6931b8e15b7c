// troupe cluster up: makes a development cluster, or starts the one that is there, and looks after
// it until Ctrl-C.
#include "base/text.hpp"
#include "cli/built_in_model.hpp"
#include "cli/cluster.hpp"
#include "cli/http_setup.hpp"

#include <csignal>

#include <algorithm>
#include <filesystem>
#include <thread>

namespace troupe::cli {
namespace {

constexpr duration look_every = std::chrono::milliseconds(200);

struct cluster_up_settings {
  uint32_t nodes = 3;
  uint32_t spare = 3;
  model_choice model;
  std::string coordination = "embedded";
  uint32_t voters = 0;
  uint32_t stages = 1;
  uint32_t shards = 0;
  uint32_t shard_copies = 0;
  uint32_t threads = 0;
  bool detach = false;
  cluster_folder_settings folder;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "nodes",
           .value = "COUNT",
           .help = "nodes to start, each a process of its own",
           .range = {1, 64}},
          nodes);
    visit({.name = "spare",
           .value = "COUNT",
           .help = "names for nodes that are added later",
           .range = {0, 64}},
          spare);
    model.for_each_field(visit);
    visit({.name = "coordination",
           .value = "WHERE",
           .help = "where the agreed state is kept: embedded, by votes of nodes, or "
                   "etcd://HOST:PORT[,HOST:PORT...][/PREFIX] (etcds:// with TLS)"},
          coordination);
    visit({.name = "voters",
           .value = "COUNT",
           .help = "nodes that keep the cluster's state; it works while a majority of them does",
           .range = {0, 64},
           .unset = "3, or 1 for fewer than three nodes"},
          voters);
    visit({.name = "stages",
           .value = "COUNT",
           .help = "parts the layers are divided into",
           .range = {1, 1024}},
          stages);
    visit({.name = "shards",
           .value = "COUNT",
           .help = "parts the experts are divided into",
           .range = {0, 1024},
           .unset = "one per node, at most one per expert"},
          shards);
    visit({.name = "shard-copies",
           .value = "COUNT",
           .help = "nodes that each of these is on; fewer when there are fewer nodes",
           .range = {0, 64},
           .unset = "2, or 1 for a single node"},
          shard_copies);
    visit({.name = "threads",
           .value = "COUNT",
           .help = "compute threads; never changes the result",
           .range = {0, 1024},
           .aliases = "-t",
           .unset = "one per processor"},
          threads);
    visit({.name = "detach", .help = "leave the nodes running and exit when they serve"}, detach);
    folder.for_each_field(visit);
    common.for_each_field(visit);
  }
};

// The processors are shared: every node gets its part of them.
uint32_t threads_of(const cluster_up_settings& settings) {
  if (settings.threads != 0) return settings.threads;
  return std::max(1u, std::thread::hardware_concurrency() / settings.nodes);
}

result<cluster_folder> make_folder(program& context, const cluster_up_settings& settings) {
  new_cluster plan;
  plan.nodes = settings.nodes;
  plan.spare = settings.spare;
  plan.quantize = settings.model.quantize;
  plan.coordination = settings.coordination;
  plan.voters = settings.voters;
  plan.stages = settings.stages;
  plan.shards = settings.shards;
  plan.shard_copies = settings.shard_copies;
  if (!settings.model.model.empty()) {
    std::error_code error;
    plan.model = std::filesystem::canonical(settings.model.model, error).string();
    if (error)
      return fail(status_code::invalid_argument,
                  text("--model ", settings.model.model, ": ", error.message()));
  }
  return cluster_folder::make(context.files, settings.folder.dir, plan);
}

// The nodes to start: those that were started before, or all of the cluster file.
result<std::vector<started_node>> nodes_to_start(const cluster_folder& folder, uint32_t threads) {
  auto out = folder.started();
  for (const auto& node : out)
    if (is_running(node.process))
      return fail(status_code::unavailable,
                  text("node ", node.name, " of ", folder.path(),
                       " runs already; troupe cluster status shows them, troupe cluster restart "
                       "starts one that has ended"));
  if (!out.empty()) return out;
  for (const auto& node : folder.cluster().nodes) {
    auto planned = folder.plan_start(node.name, threads);
    if (!planned) return fail(std::move(planned.error()));
    out.push_back(std::move(*planned));
  }
  return out;
}

// Voters that were never heard of begin with no votes as long as the cluster has never served.
status start_all(program& context, const cluster_folder& folder, std::vector<started_node>& nodes,
                 stop_request& stop) {
  const bool form = !folder.has_served();
  for (auto& node : nodes) TROUPE_RETURN_IF_ERROR(folder.start(node, form, nodes.front().listen));
  for (const auto& node : nodes)
    TROUPE_RETURN_IF_ERROR(
        wait_until_ready(context, folder, node, [&stop] { return stop.heard(); }));
  return folder.note_served();
}

void announce(program& context, const cluster_folder& folder,
              const std::vector<started_node>& nodes, bool detached) {
  std::string out = text("cluster in ", folder.path(), "\n");
  for (const auto& node : nodes) out += text("  ", node.name, " http://", node.http, "\n");
  out += text("ready http://", nodes.front().http, "\n  troupe cluster status --dir ",
              folder.path(), "\n  troupe top --dir ", folder.path(), "\n");
  out += detached ? text("  troupe cluster down --dir ", folder.path(), "\n")
                  : std::string("Ctrl-C takes it down\n");
  (void)context.err.write(out);
}

void tell_of_ends(program& context, const cluster_folder& folder) {
  const auto nodes = folder.started();
  for (const auto& end : reap_children()) {
    for (const auto& node : nodes)
      if (node.process.pid == end.pid)
        (void)context.err.write(
            end.signal != 0 ? text("node ", node.name, " was ended by signal ", end.signal, "\n")
                            : text("node ", node.name, " ended with code ", end.code, "\n"));
  }
}

int run_up(program& context, const cluster_up_settings& settings) {
  stop_request stop;
  const signal_scope signals(context.signals, [&stop](int signal) { return stop.hear(signal); });
  auto folder = cluster_folder::open(context.files, settings.folder.dir);
  const bool fresh = !folder && folder.error().code() == status_code::not_found;
  if (fresh) folder = make_folder(context, settings);
  if (!folder) return context.complain(folder.error(), exit_usage);
  if (!fresh)
    (void)context.err.write(text(folder->path(), " holds a cluster; starting it as it is\n"));
  auto nodes = nodes_to_start(*folder, threads_of(settings));
  if (!nodes) return context.complain(nodes.error());
  if (auto s = start_all(context, *folder, *nodes, stop); !s.ok()) {
    const int code = context.complain(s);
    (void)take_down(context, *folder, {.patience = {}});
    return code;
  }
  announce(context, *folder, *nodes, settings.detach);
  if (settings.detach) return exit_done;
  while (!stop.heard()) {
    stop.pause(look_every);
    tell_of_ends(context, *folder);
  }
  const auto down = take_down(context, *folder, {});
  return down.ok() ? static_cast<int>(exit_done) : context.complain(down);
}

constexpr command_info info = {
    .name = "cluster up",
    .section = "cluster-up",
    .summary = "starts a development cluster on this machine",
    .notes =
        "Makes --dir with a cluster file, a secret, an admin key and, for every node, its data and "
        "its log.\n"
        "When the folder holds a cluster already, that one is started as it is. Stays until "
        "Ctrl-C, and\n"
        "then takes the nodes down, unless --detach.\n"
        "\n"
        "exit codes: 0 all nodes are down again, or serve (--detach); 1 a node did not start (the "
        "end of\n"
        "  its log is shown); 2 wrong usage\n"
        "\n"
        "examples:\n"
        "  troupe cluster up --nodes 3\n"
        "  troupe cluster up --nodes 4 --shard-copies 2 --dir /tmp/four --detach\n",
};

} // namespace

std::unique_ptr<command> make_cluster_up() {
  return make_command<cluster_up_settings>(info, run_up);
}

} // namespace troupe::cli
