// troupe simulate capacity: how many nodes, and how many copies of each expert, for a load and a
// failure rate.
#pragma once

#include "cli/command.hpp"
#include "cli/settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

struct simulate_capacity_settings {
  std::string model = "mixtral-8x7b";
  std::string weight_bits = "published";
  std::string device = "h100";
  std::string profile;
  std::string nodes = "1";
  uint32_t copies = 1;
  uint32_t nodes_per_replica = 0;
  std::string trace = "azure_conversation";
  std::optional<double> rate;
  double duration = 300;
  double warm_up = 30;
  double ttft_ms = 2000;
  double tpot_ms = 100;
  double within = 0.99;
  std::string failures = "llama3";
  std::optional<double> failure_rate;
  double failure_scale = 0;
  uint32_t failure_samples = 4;
  std::string restore_from = "disk";
  bool answer = false;
  uint32_t copies_max = 2;
  double availability = 0.999;
  std::optional<double> skew;
  uint32_t max_running = 1024;
  uint32_t max_queued_requests = 65536;
  uint32_t max_batch_tokens = 2048;
  uint32_t prefill_chunk = 2048;
  bool prefix_cache = true;
  uint64_t seed = 1;
  std::string json, svg;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "model",
           .value = "NAME",
           .help = "mixtral-8x7b, qwen3-30b-a3b, deepseek-v3, or a directory whose config.json is "
                   "read",
           .aliases = "-m"},
          model);
    visit({.name = "weight-bits",
           .value = "BITS",
           .help = "of a parameter as served; published is 16, and 8 for deepseek-v3",
           .choices = "published|16|8|4"},
          weight_bits);
    visit({.name = "device", .value = "NAME", .help = "h100, a100 or cpu: speeds of the machines"},
          device);
    visit(
        {.name = "profile",
         .value = "FILE",
         .help = "TOML file whose [device], [failures], [routing] and [recovery] replace numbers"},
        profile);
    visit({.name = "node-counts",
           .value = "COUNTS",
           .help = "sizes of the cluster to look at: 4,8,16",
           .aliases = "--nodes"},
          nodes);
    visit({.name = "copies",
           .value = "COUNT",
           .help = "of each expert, on different nodes of a replica",
           .range = {1, 16}},
          copies);
    visit({.name = "nodes-per-replica",
           .value = "COUNT",
           .help = "nodes that share one pipeline",
           .range = {0, 2048},
           .unset = "the fewest that hold the model and survive a loss"},
          nodes_per_replica);
    visit({.name = "trace",
           .value = "NAME",
           .help = "whose arrivals, lengths and prefixes are imitated",
           .choices = "azure_code|azure_conversation|mooncake_conversation"},
          trace);
    visit({.name = "rate",
           .value = "NUMBER",
           .help = "requests a second, on average",
           .range = {0.001, 1000000},
           .unset = "the trace's own"},
          rate);
    visit({.name = "duration",
           .value = "SECONDS",
           .help = "of virtual time in which requests come",
           .range = {1, 86400}},
          duration);
    visit({.name = "warm-up",
           .value = "SECONDS",
           .help = "of these, at the beginning, that are not measured",
           .range = {0, 86400}},
          warm_up);
    visit({.name = "ttft-ms",
           .value = "MILLISECONDS",
           .help = "objective for the first token of a request",
           .range = {0.001, 10000000}},
          ttft_ms);
    visit({.name = "tpot-ms",
           .value = "MILLISECONDS",
           .help = "objective for each further token, on average over the request",
           .range = {0.001, 10000000}},
          tpot_ms);
    visit({.name = "within",
           .value = "SHARE",
           .help = "of the requests that must meet both objectives",
           .range = {0.000001, 1}},
          within);
    visit({.name = "failures",
           .value = "CASE",
           .help = "published failure rate: per 1,000 node-days 0.8, 3.8, 6.5 or 23.7",
           .choices = "none|tpu_v4|llama3|rsc1|rsc1_large_jobs"},
          failures);
    visit({.name = "failure-rate",
           .value = "NUMBER",
           .help = "failures per 1,000 node-days, instead of the case's",
           .range = {0, 1000000},
           .unset = "the case's"},
          failure_rate);
    visit({.name = "failure-scale",
           .value = "NUMBER",
           .help = "also draw failures into the measured run, at this multiple of their rate",
           .range = {0, 1000000000},
           .unset = "none"},
          failure_scale);
    visit({.name = "failure-samples",
           .value = "COUNT",
           .help = "runs for each kind of failure when its cost is estimated; 0 leaves that out",
           .range = {0, 1000}},
          failure_samples);
    visit({.name = "restore-from",
           .value = "PLACE",
           .help = "where weights come from that no copy holds",
           .choices = "disk|peer"},
          restore_from);
    visit({.name = "answer",
           .help = "search the fewest nodes, and the copies, that meet objective and availability"},
          answer);
    visit({.name = "copies-max",
           .value = "COUNT",
           .help = "of each expert that --answer tries",
           .range = {1, 16}},
          copies_max);
    visit({.name = "availability",
           .value = "SHARE",
           .help = "of the time in which steps must run, for --answer",
           .range = {0, 1}},
          availability);
    visit({.name = "skew",
           .value = "NUMBER",
           .help = "Zipf exponent of the experts' popularity; 0 for all alike",
           .range = {0, 10},
           .unset = "0.5, an assumption"},
          skew);
    visit({.name = "max-running",
           .value = "COUNT",
           .help = "sequences that are worked on at once",
           .range = {1, 65536},
           .aliases = "--max-num-seqs"},
          max_running);
    visit({.name = "max-queued-requests",
           .value = "COUNT",
           .help = "sequences that may wait; beyond it requests are refused with 429",
           .range = {1, 1048576}},
          max_queued_requests);
    visit({.name = "max-batch-tokens",
           .value = "TOKENS",
           .help = "token budget of one step",
           .range = {1, 65536},
           .aliases = "--max-num-batched-tokens"},
          max_batch_tokens);
    visit({.name = "prefill-chunk",
           .value = "TOKENS",
           .help = "most tokens of one prompt in a step",
           .range = {1, 65536}},
          prefill_chunk);
    visit({.name = "prefix-cache", .help = "reuse the computed beginnings of earlier prompts"},
          prefix_cache);
    visit({.name = "seed",
           .value = "NUMBER",
           .help = "the same seed gives the same text",
           .aliases = "-s"},
          seed);
    visit({.name = "json", .value = "FILE", .help = "write everything to this file as JSON"}, json);
    visit({.name = "chart",
           .value = "FILE",
           .help = "draw the results into this file",
           .aliases = "--svg"},
          svg);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_simulate_capacity();

// "4,8,16": each from 1 to 2048.
result<std::vector<uint32_t>> parse_node_counts(std::string_view list);

} // namespace troupe::cli
