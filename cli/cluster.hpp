// troupe cluster: a development cluster on one machine, every node a process of its own.
#pragma once

#include "cli/cluster_folder.hpp"
#include "cli/cluster_view.hpp"
#include "cli/command.hpp"
#include "cli/program.hpp"
#include "cli/settings.hpp"

#include <functional>
#include <string>
#include <vector>

namespace troupe::cli {

// Which development cluster.
struct cluster_folder_settings {
  std::string dir = "troupe-cluster";

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "dir", .value = "DIR", .help = "folder of the development cluster"}, dir);
  }
};

// What every command that names nodes takes.
struct cluster_node_settings {
  std::vector<std::string> node;
  cluster_folder_settings folder;
  uint32_t drain_timeout = 30;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "node", .value = "NODE", .help = "name of a node", .positional = true}, node);
    folder.for_each_field(visit);
    visit({.name = "drain-timeout",
           .value = "SECONDS",
           .help = "how long running answers may take to finish after SIGTERM or Ctrl-C",
           .range = {0, 86400}},
          drain_timeout);
    common.for_each_field(visit);
  }
};

// up, status, kill, drain, restart, add, down.
void add_cluster_commands(command_list& out);

// --- What they have in common

// Asks every node that was started.
cluster_view look_at(const program& context, const cluster_folder& folder);

// Waits until the node's own door says that it serves. Fails when its process ends or it takes too
// long (the message has the end of its log), or when whoever waits has changed their mind.
status wait_until_ready(program& context, const cluster_folder& folder, const started_node& node,
                        const std::function<bool()>& changed_mind = {});

// Ends every node that runs, first kindly, and forgets them all. Says so.
struct take_down_args {
  duration patience = std::chrono::seconds(10); // before it is unkind
};
status take_down(program& context, const cluster_folder& folder, const take_down_args& args);

// "troupe cluster up" itself is long enough for a file of its own.
std::unique_ptr<command> make_cluster_up();

} // namespace troupe::cli
