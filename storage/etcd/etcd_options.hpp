// How an etcd is reached, and what of it belongs to the cluster.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

struct etcd_options {
  std::vector<std::string> endpoints; // "host:port", tried in turn
  bool tls = false;
  std::string prefix = "/troupe"; // of every key; one cluster, one prefix

  // Secrets: never part of an address, never logged.
  std::string user; // empty: no login
  std::string password;
  // PEM files; all need tls. Without ca_file the machine's authorities are trusted.
  std::string ca_file;
  std::string certificate_file; // of this client, with key_file
  std::string key_file;

  duration call_timeout = std::chrono::milliseconds(1200);   // for a call with all its attempts
  duration attempt_timeout = std::chrono::milliseconds(500); // for one of several endpoints
};

// "etcd://HOST:PORT[,HOST:PORT...][/PREFIX]", or etcds:// for TLS. The message says what is wrong
// and where.
result<etcd_options> parse_etcd_address(std::string_view address);
status validate(const etcd_options& options);

} // namespace troupe::storage
