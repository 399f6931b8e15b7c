// The HTTP front end: OpenAI's API, health and metrics over one engine.
#pragma once

#include "actors/cluster_picture.hpp"
#include "actors/engine.hpp"
#include "base/clock.hpp"
#include "base/random.hpp"
#include "base/status.hpp"
#include "server/engine_choice.hpp"
#include "server/limits.hpp"
#include "server/metrics_text.hpp"
#include "server/openai_request.hpp"
#include "server/text_codec.hpp"
#include "storage/ingest_queue.hpp"
#include "storage/request_journal.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::server {

struct server_options {
  std::string address = "127.0.0.1"; // an IP address of this machine; "0.0.0.0" or "::" for all
  uint16_t port = 0;                 // 0: any free one
  uint32_t io_threads = 1;
  uint32_t connections_max = 4096; // over it: 503 and closed
  std::string served_model_name;
  std::vector<std::string> api_keys;    // empty: no key needed
  std::vector<std::string> admin_keys;  // empty: there is no admin route for anybody
  std::vector<std::string> ingest_keys; // empty: nobody may send documents to learn from
  bool metrics_need_key = false;
  std::string cors_origin;           // "*" or one origin; empty: pages of other origins may not ask
  size_t aside_bytes_min = 16 << 10; // larger request bodies are parsed off the I/O threads
  bool event_ids = true;             // in streams whose request does not say otherwise
  connection_limits connection;
  request_limits request;
};

// What the server works with. The engine and the clock must outlive it.
struct server_parts {
  actors::engine& engine;
  const class clock& clock;
  std::shared_ptr<const text_codec> codec; // shared with the answers under way
  uint32_t vocabulary = 0;
  sampling_defaults defaults;
  std::function<uint64_t()> seeds =
      entropy_seed; // for requests without a seed, and ids; any thread
  std::function<actors::cluster_picture()> cluster = nullptr; // none: a node of its own; any thread
  // Where the requests of streams are noted, so that they can be resumed by their id. Shared with
  // the answers under way; none: in memory, bounded, for this server alone.
  std::shared_ptr<storage::request_journal> journal = nullptr;
  // Where several versions of the weights serve: the engine of one answer, which lives as long as
  // that holds it; any thread. None: it is always `engine`.
  engine_choice choose_engine = nullptr;
  // The versions in memory; any thread. None: there are none.
  std::function<std::vector<weights_in_memory>()> weights = nullptr;
  // Where documents to learn from are kept, shared with those under way; none: they are refused.
  std::shared_ptr<storage::ingest_queue> ingest = nullptr;
};

class http_server {
public:
  // Listens when it returns. Fails when an option is out of range or the address cannot be had.
  static result<std::unique_ptr<http_server>> start(server_parts parts, server_options options);

  // Cuts off whoever is left.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  uint16_t port() const;
  std::string address() const;
  uint64_t connections_open() const;
  uint64_t streams_open() const;

  // Accepts nobody any more, lets answers under way finish for at most `patience`, then cuts them
  // off (the engine hears a cancel) and ends all threads. Not from one of the server's own threads.
  // A second call does nothing.
  void stop(duration patience);

private:
  struct parts;
  explicit http_server(std::unique_ptr<parts> inner);

  std::unique_ptr<parts> parts_;
};

} // namespace troupe::server
