// troupe top: a cluster, live in the terminal.
#pragma once

#include "cli/command.hpp"
#include "cli/settings.hpp"

#include <string>

namespace troupe::cli {

struct top_settings {
  std::string dir = "troupe-cluster";
  std::string url;
  std::string admin_key_file;
  bool once = false;
  uint32_t interval_ms = 1000;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "dir", .value = "DIR", .help = "folder of the development cluster"}, dir);
    visit({.name = "url",
           .value = "URL",
           .help = "HTTP address of one node, to see the cluster as that node knows it",
           .unset = "the nodes of --dir"},
          url);
    visit({.name = "admin-key-file",
           .value = "FILE",
           .help = "file with such a key, readable by nobody else",
           .unset = "none"},
          admin_key_file);
    visit({.name = "once", .help = "print one look and exit, for scripts"}, once);
    visit({.name = "interval-ms",
           .value = "MILLISECONDS",
           .help = "between two looks",
           .range = {100, 3600000}},
          interval_ms);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_top();

} // namespace troupe::cli
