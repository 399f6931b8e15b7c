// troupe node: one node of a cluster, with its own HTTP door.
#pragma once

#include "cli/cluster_file.hpp"
#include "cli/command.hpp"
#include "cli/host_port.hpp"
#include "cli/program.hpp"
#include "cli/serve.hpp"
#include "dataflow/cluster.hpp"
#include "transport/session/secret.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

// What goes along with a SIGTERM that says how long draining may take, see signal_watch::number().
// A second is added, so that 0 seconds are not nothing.
constexpr int number_for_drain(uint32_t seconds) {
  return static_cast<int>(seconds) + 1;
}
// `usual`: what the node was started with.
constexpr uint32_t drain_timeout_of(int number, uint32_t usual) {
  return number > 0 ? static_cast<uint32_t>(number) - 1 : usual;
}

// Which of serve's settings a node does not have: they are the cluster file's, or said by --http.
bool is_of_serve_alone(std::string_view option);

struct node_settings {
  std::string cluster;
  std::string join;
  std::string name;
  std::string data_dir;
  bool form = false;
  std::string http;
  std::string listen;
  std::string advertise;
  std::string secret_file;
  std::string coordination;
  std::string etcd_user;
  std::string etcd_password_file;
  std::string etcd_ca_file;
  std::string etcd_cert_file;
  std::string etcd_key_file;
  byte_size memory;
  std::string transport_encryption = "on";
  bool trusted_network = false;
  std::string admin_key;
  std::string admin_key_file;
  serve_settings serve;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "cluster",
           .value = "FILE",
           .help = "cluster file that lists this node",
           .unset = "none; then --join"},
          cluster);
    visit({.name = "join",
           .value = "HOST:PORT",
           .help = "address of any node of the cluster, which gives the cluster file",
           .unset = "none; then --cluster"},
          join);
    visit({.name = "name",
           .value = "NAME",
           .help = "which node of the cluster this is",
           .unset = "with --join, a name that nobody has taken"},
          name);
    visit({.name = "data-dir",
           .value = "DIR",
           .help = "folder of this node alone, for what it must not forget",
           .unset = "troupe-data/NAME"},
          data_dir);
    visit({.name = "form",
           .help = "the cluster begins its life: voters that have never run start with no votes. "
                   "For the first start alone; later it changes nothing"},
          form);
    visit({.name = "http",
           .value = "HOST:PORT",
           .help = "where to answer clients; port 0 takes a free one",
           .unset = "what the cluster file says, or 127.0.0.1:0"},
          http);
    visit({.name = "listen",
           .value = "HOST:PORT",
           .help = "where to listen for other nodes",
           .unset = "the node's address in the cluster file, or 127.0.0.1:0"},
          listen);
    visit({.name = "advertise",
           .value = "HOST:PORT",
           .help = "address that other nodes are told",
           .unset = "the node's address in the cluster file, or where it listens"},
          advertise);
    visit({.name = "secret-file",
           .value = "FILE",
           .help = "the cluster's secret, readable by nobody else; there is no flag for the secret "
                   "itself",
           .unset = "secret_file of the cluster file, or TROUPE_CLUSTER_SECRET"},
          secret_file);
    visit({.name = "coordination",
           .value = "WHERE",
           .help = "where the agreed state is kept: embedded, by votes of nodes, or "
                   "etcd://HOST:PORT[,HOST:PORT...][/PREFIX] (etcds:// with TLS)",
           .unset = "what the cluster file says"},
          coordination);
    visit({.name = "etcd-user", .value = "NAME", .help = "login at etcd", .unset = "none"},
          etcd_user);
    visit({.name = "etcd-password-file",
           .value = "FILE",
           .help = "its password, readable by nobody else",
           .unset = "none"},
          etcd_password_file);
    visit({.name = "etcd-ca-file",
           .value = "FILE",
           .help = "authority of etcd's certificate",
           .unset = "those of this machine"},
          etcd_ca_file);
    visit({.name = "etcd-cert-file",
           .value = "FILE",
           .help = "certificate shown to etcd",
           .unset = "none"},
          etcd_cert_file);
    visit({.name = "etcd-key-file",
           .value = "FILE",
           .help = "key of that certificate",
           .unset = "none"},
          etcd_key_file);
    visit(
        {.name = "memory",
         .value = "SIZE",
         .help = "what this node gives to weights and KV pages; roles that need more go to others",
         .unset = "what the cluster file says, or what machine and control group have left"},
        memory);
    visit({.name = "transport-encryption",
           .value = "SWITCH",
           .help = "off lets frames travel in clear, where they can be read and forged; equal on "
                   "all nodes, and only with --trusted-network",
           .choices = "on|off"},
          transport_encryption);
    visit({.name = "trusted-network", .help = "nobody but the nodes can reach their network"},
          trusted_network);
    visit({.name = "admin-key",
           .value = "KEY",
           .help = "key of the routes under /admin; without one they are off",
           .secret = true},
          admin_key);
    visit({.name = "admin-key-file",
           .value = "FILE",
           .help = "file with such a key, readable by nobody else",
           .unset = "none"},
          admin_key_file);
    serve.for_each_field([&visit]<class Value>(const field& from, Value& member) {
      if (!is_of_serve_alone(from.name)) visit(from, member);
    });
  }
};

std::unique_ptr<command> make_node();

// --- What a node decides before it opens anything
// ---------------------------------------------------------------------------

struct node_plan {
  cluster_file cluster;
  std::string name;
  schemas::node_index self = 0;
  bool voter = false;
  host_port http;
  std::string listen;
  std::string advertise;                                  // empty: what listen became
  std::vector<std::pair<std::string, std::string>> peers; // name and address
  std::string data_dir;
  std::string secret_file; // empty: from the environment
  bool encrypt = true;
  uint64_t memory = 0; // 0: nobody said
};

// What is wrong with the settings themselves, whatever the cluster.
status check_node_settings(const node_settings& settings);
// `file`: where the cluster's description came from, for messages and for what is relative to it;
// with --join the seed. `settings.name` is set.
result<node_plan> plan_node(const node_settings& settings, cluster_file cluster,
                            const std::string& file);
// The first name of the cluster that nobody has; spare ones first.
result<std::string> free_name(const cluster_file& cluster, const std::vector<std::string>& taken);

} // namespace troupe::cli
