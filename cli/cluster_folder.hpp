// The folder of a development cluster: its cluster file, secret and admin key, and for every node
// its data, its log, and how to find its process.
#pragma once

#include "base/clock.hpp"
#include "cli/cluster_file.hpp"
#include "cli/host_port.hpp"
#include "cli/node_process.hpp"
#include "storage/file_system.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

// One node as it was last started.
struct started_node {
  std::string name;
  bool joined = false; // through another node, under a spare name
  std::string listen;
  std::string http;
  uint32_t threads = 0; // of its executor
  process_mark process;
};

// What a new development cluster is made with.
struct new_cluster {
  uint32_t nodes = 3;
  uint32_t spare = 3;
  std::string model = ""; // absolute, or empty: the built-in one
  std::string quantize = "none";
  std::string coordination = "embedded";
  uint32_t voters = 0; // 0: what the cluster file has for a default
  uint32_t stages = 1;
  uint32_t shards = 0;
  uint32_t shard_copies = 0;
};

class cluster_folder {
public:
  // not_found: there is no cluster.
  static result<cluster_folder> open(const storage::file_system& files, const std::string& folder);
  // Makes the folder, and in it a cluster on free ports of this machine's own address.
  static result<cluster_folder> make(const storage::file_system& files, const std::string& folder,
                                     const new_cluster& plan);

  const std::string& path() const { return folder_; }
  const cluster_file& cluster() const { return cluster_; }
  const std::string& admin_key() const { return admin_key_; }

  // Every node that was started and not taken down, in the order of the cluster's names.
  std::vector<started_node> started() const;
  // invalid_argument: no such name (the message lists them).
  result<started_node> find(const std::string& name) const;
  // A node of the cluster file, or under a spare name on free ports, as if it had been started.
  result<started_node> plan_start(const std::string& name, uint32_t threads) const;

  // Starts the process and notes it. `seed`: through which node a joined one joins.
  status start(started_node& node, bool form, const std::string& seed) const;
  void forget(const std::string& name) const;

  // Whether the cluster ever served: from then on a voter without votes has lost them.
  bool has_served() const;
  status note_served() const;

  std::string log_of(const std::string& name) const { return folder_ + "/" + name + ".log"; }
  // Its last lines, indented, for messages.
  std::string log_tail(const std::string& name) const;

private:
  cluster_folder(const storage::file_system& files, std::string folder)
      : files_(&files), folder_(std::move(folder)) {}
  status load();
  std::vector<std::string> words_of(const started_node& node, bool form,
                                    const std::string& seed) const;
  result<started_node> read_note(const std::string& name) const;
  status write_note(const started_node& node) const;
  std::string note_of(const std::string& name) const { return folder_ + "/" + name + ".process"; }

  const storage::file_system* files_;
  std::string folder_; // absolute
  cluster_file cluster_;
  std::string admin_key_;
};

// Ports of 127.0.0.1 that nobody has now, from below those that systems hand out by themselves.
result<std::vector<uint16_t>> free_ports(size_t count);

// Notes of started nodes as text.
std::string to_text(const started_node& node);
result<started_node> parse_started_node(const std::string& text);

} // namespace troupe::cli
