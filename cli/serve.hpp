// troupe serve: the model behind an HTTP server.
#pragma once

#include "cli/command.hpp"
#include "cli/engine_setup.hpp"
#include "cli/settings.hpp"

namespace troupe::cli {

struct serve_settings {
  model_settings model;
  std::string served_model_name;
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::vector<std::string> api_key;
  std::string api_key_file;
  bool allow_open_network = false;
  uint32_t drain_timeout = 30;
  uint32_t http_threads = 1;
  uint32_t max_connections = 4096;
  byte_size max_body = {4 << 20};
  byte_size max_header = {32 << 10};
  uint32_t max_choices = 128;
  bool metrics_need_key = false;
  std::string cors_origin;
  std::string data_dir;
  byte_size journal_bytes = {64 << 20};
  uint32_t journal_age = 3600;
  bool event_ids = true;
  std::string persist_kv;
  byte_size persist_kv_bytes = {uint64_t{4} << 30};
  std::string weights_dir;
  uint32_t weights_canary = 0;
  uint32_t weights_canary_answers = 100;
  uint32_t weights_in_memory = 2;
  std::string ingest;
  byte_size ingest_bytes = {uint64_t{1} << 30};
  std::vector<std::string> ingest_key;
  std::string ingest_key_file;
  device_settings device;
  engine_settings engine;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    model.for_each_field(visit);
    visit({.name = "served-model-name",
           .value = "NAME",
           .help = "how clients call the model",
           .unset = "the last part of its path"},
          served_model_name);
    visit({.name = "host",
           .value = "ADDRESS",
           .help = "IP address to listen on; 0.0.0.0 or :: for all"},
          host);
    visit(
        {.name = "port", .value = "PORT", .help = "TCP port; 0 takes a free one", .aliases = "-p"},
        port);
    visit({.name = "api-key",
           .value = "KEY",
           .help = "key that clients must send as a bearer token; may be repeated",
           .secret = true},
          api_key);
    visit({.name = "api-key-file",
           .value = "FILE",
           .help = "file with such keys, one a line",
           .unset = "none"},
          api_key_file);
    visit({.name = "allow-open-network", .help = "listen beyond this machine without a key"},
          allow_open_network);
    visit({.name = "drain-timeout",
           .value = "SECONDS",
           .help = "how long running answers may take to finish after SIGTERM or Ctrl-C",
           .range = {0, 86400}},
          drain_timeout);
    visit({.name = "http-threads",
           .value = "COUNT",
           .help = "threads that move bytes between clients and the engine",
           .range = {1, 64}},
          http_threads);
    visit({.name = "max-connections",
           .value = "COUNT",
           .help = "open connections; beyond it new ones get 503",
           .range = {1, 1048576}},
          max_connections);
    visit({.name = "max-body",
           .value = "BYTES",
           .help = "largest request body",
           .range = {1024, 1073741824}},
          max_body);
    visit({.name = "max-header",
           .value = "BYTES",
           .help = "largest request header",
           .range = {1024, 1048576}},
          max_header);
    visit({.name = "max-choices",
           .value = "COUNT",
           .help = "largest n of a request",
           .range = {1, 1024}},
          max_choices);
    visit({.name = "metrics-need-key", .help = "ask for the key on /metrics too"},
          metrics_need_key);
    visit({.name = "cors-origin",
           .value = "ORIGIN",
           .help = "let browser pages of this origin ask; * for all",
           .unset = "none"},
          cors_origin);
    visit({.name = "data-dir",
           .value = "DIR",
           .help = "folder of this node alone, for what it must not forget",
           .unset = "none; requests that can be resumed are then kept in memory"},
          data_dir);
    visit({.name = "journal-bytes",
           .value = "BYTES",
           .help = "room for the requests of streams, so that these can be resumed by their id",
           .range = {65536, 1099511627776}},
          journal_bytes);
    visit({.name = "journal-age",
           .value = "SECONDS",
           .help = "how long a stream can be resumed by its id",
           .range = {1, 31536000}},
          journal_age);
    visit({.name = "event-ids",
           .help = "give every event of a stream an id, from which a client can go on"},
          event_ids);
    visit({.name = "persist-kv",
           .value = "DIR",
           .help = "folder of this process alone, for computed beginnings of prompts: they "
                   "survive a restart",
           .unset = "none"},
          persist_kv);
    visit({.name = "persist-kv-bytes",
           .value = "BYTES",
           .help = "most bytes there; the least recently used go first",
           .range = {1048576, 1125899906842624}},
          persist_kv_bytes);
    visit({.name = "weights-dir",
           .value = "DIR",
           .help = "folder of published weights, one version in each numbered folder",
           .unset = "none"},
          weights_dir);
    visit({.name = "weights-canary",
           .value = "PERCENT",
           .help = "share of requests that a newly promoted version answers first; a failure sends "
                   "it back",
           .range = {0, 100}},
          weights_canary);
    visit({.name = "weights-canary-answers",
           .value = "COUNT",
           .help = "good answers after which it answers all",
           .range = {1, 1000000000}},
          weights_canary_answers);
    visit({.name = "weights-in-memory",
           .value = "COUNT",
           .help = "most versions in memory at once, each with KV memory of its own",
           .range = {2, 16}},
          weights_in_memory);
    visit({.name = "ingest",
           .value = "DIR",
           .help = "folder of a log of documents to learn from",
           .unset = "none"},
          ingest);
    visit({.name = "ingest-bytes",
           .value = "BYTES",
           .help = "room for the log; when it is full of what nobody has learnt from yet, nothing "
                   "more is taken in",
           .range = {1048576, 1125899906842624}},
          ingest_bytes);
    visit({.name = "ingest-key",
           .value = "KEY",
           .help = "key that clients must send as a bearer token to POST /v1/data; may be repeated",
           .secret = true},
          ingest_key);
    visit({.name = "ingest-key-file",
           .value = "FILE",
           .help = "file with such keys to POST /v1/data, one a line",
           .unset = "none"},
          ingest_key_file);
    device.for_each_field(visit);
    engine.for_each_field(visit);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_serve();

// --- Decisions of serve that need no server
// ---------------------------------------------------------------------------

// Whether nobody beyond this machine can reach the address.
bool is_loopback(std::string_view address);

// Whether it can be listened on: an IP address, or "localhost". Names are not looked up.
bool is_address(const std::string& host);

// The keys of a file: one a line, empty lines and lines beginning with # left out.
std::vector<std::string> keys_of_file(std::string_view content);

// "http://127.0.0.1:8000" for an address to listen on; all addresses are reachable as this
// machine's own.
std::string url_of(std::string_view address, uint16_t port);

// The header with a key for the line to copy; never the key itself. Empty when none is needed.
std::string key_header_hint(const serve_settings& settings, bool key_from_environment);

} // namespace troupe::cli
