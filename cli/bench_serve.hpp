// troupe bench serve: how long clients of a server wait, at rates from little load to more than it
// can take.
#pragma once

#include "cli/command.hpp"
#include "cli/settings.hpp"
#include "server/load_client.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

struct bench_serve_settings {
  std::string server = "http://127.0.0.1:8000";
  std::string served_model;
  std::string server_key_file;
  std::string rates;
  std::string loads = "10,50,100,150";
  uint32_t streams = 16;
  uint32_t window = 30;
  uint32_t prompt_length = 128;
  uint32_t answer_length = 64;
  uint32_t token_ids = 1000;
  uint32_t first_token_max_ms = 2000;
  uint32_t per_token_max_ms = 200;
  uint64_t seed = 1;
  bool json = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "server",
           .value = "URL",
           .help = "HTTP address of a server that runs, with an IP address"},
          server);
    visit({.name = "served-model",
           .value = "NAME",
           .help = "the model to ask for",
           .unset = "the first one that the server lists"},
          served_model);
    visit({.name = "server-key-file",
           .value = "FILE",
           .help = "file with the key that the server wants, readable by nobody else",
           .unset = "none"},
          server_key_file);
    visit({.name = "rates",
           .value = "RATES",
           .help = "requests a second to send, one measurement each: 0.5,2,8",
           .unset = "what --loads makes of the measured capacity"},
          rates);
    visit({.name = "loads",
           .value = "PERCENTS",
           .help = "rates in hundredths of the capacity, which is measured first, with --streams "
                   "clients that ask one request after another"},
          loads);
    visit({.name = "streams",
           .value = "COUNT",
           .help = "clients that measure the capacity",
           .range = {1, 4096}},
          streams);
    visit({.name = "window",
           .value = "SECONDS",
           .help = "in which requests are sent, for each measurement; their answers are waited for",
           .range = {1, 86400}},
          window);
    visit({.name = "prompt-length",
           .value = "TOKENS",
           .help = "of every request, random ones",
           .range = {1, 1048576}},
          prompt_length);
    visit({.name = "answer-length",
           .value = "TOKENS",
           .help = "of every answer",
           .range = {1, 1048576}},
          answer_length);
    visit({.name = "token-ids",
           .value = "COUNT",
           .help = "prompts are made of token ids below this",
           .range = {1, 1 << 24}},
          token_ids);
    visit({.name = "first-token-max-ms",
           .value = "MS",
           .help = "an answer whose first token takes longer does not count as good",
           .range = {1, 86400000}},
          first_token_max_ms);
    visit({.name = "per-token-max-ms",
           .value = "MS",
           .help = "nor does one that takes longer for each of the others, on average",
           .range = {1, 86400000}},
          per_token_max_ms);
    visit({.name = "seed", .value = "SEED", .help = "of prompts and of moments"}, seed);
    visit({.name = "json", .help = "print JSON"}, json);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_bench_serve();

// --- What it measures and prints

struct spread {
  double p50 = 0, p90 = 0, p99 = 0, most = 0; // milliseconds
};

struct load_row {
  double rate = 0;      // requests a second that were to be sent; 0: one after another
  uint32_t percent = 0; // of the capacity; 0: not by it
  uint64_t sent = 0, complete = 0, refused = 0, failed = 0, good = 0;
  double seconds = 0; // from the first request to the end of the last answer
  double tokens_per_s = 0, complete_per_s = 0, good_per_s = 0;
  spread first_token, per_token, gap;
  std::string trouble; // of one that failed
};

struct good_enough {
  duration first_token{};
  duration per_token{};
};

// Requests at moments of a Poisson process, the same for a seed; those of another set begin
// otherwise, so that no prefix cache has them.
std::vector<server::load_request> requests_at(double per_second, const bench_serve_settings& of,
                                              const std::string& model, uint32_t set);
load_row row_of(const std::vector<server::load_answer>& answers, const good_enough& limits);
// Positive numbers, at most 64 of them.
result<std::vector<double>> parse_rates(std::string_view flag, std::string_view list);
std::string load_table(const std::vector<load_row>& rows);
std::string load_json(const std::vector<load_row>& rows, const bench_serve_settings& settings,
                      const std::string& model);

} // namespace troupe::cli
