// The page /metrics: Prometheus' text format, version 0.0.4.
#pragma once

#include "actors/engine.hpp"
#include "server/http_metrics.hpp"
#include "storage/ingest_log.hpp"
#include "storage/request_journal.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::server {

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

struct transport_metrics {
  uint64_t connections_total = 0;
  uint64_t connections_refused = 0;
  uint64_t connections_open = 0;
  uint64_t streams_open = 0;
  uint64_t clients_gone = 0;
  uint64_t slow_readers = 0;
  uint64_t bad_messages = 0;
};

struct resume_metrics {
  storage::journal_counters journal;
  uint64_t streams_resumed = 0;
};

// A version of the weights.
struct weights_in_memory {
  uint64_t version = 0;
  std::string_view state; // serving, canary, or aside: finishes what it began
  uint64_t streams = 0;   // open
  uint64_t answered = 0;
  uint64_t failed = 0;
};

struct metrics_page {
  const actors::engine_metrics& engine;
  const transport_metrics& transport;
  const http_metrics::counts& requests;
  std::string_view model_name;
  resume_metrics resume = {};
  std::optional<storage::ingest_log_counters> ingest = std::nullopt; // none: nothing is taken in
  std::vector<weights_in_memory> weights = {};                       // empty: they never change
};

// Own series (troupe_*) and the ones dashboards made for vLLM look for (vllm:*).
std::string metrics_text(const metrics_page& page);

// A label value with backslashes, quotes and line ends escaped.
std::string escaped_label(std::string_view value);

} // namespace troupe::server
