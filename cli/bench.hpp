// troupe bench: tokens per second of a model through the engine that serves it, as shares of what
// the machine could do, and where the time goes.
#pragma once

#include "cli/command.hpp"
#include "cli/engine_setup.hpp"
#include "cli/settings.hpp"
#include "compute/machine_limits.hpp"
#include "compute/part_meter.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::cli {

struct bench_settings {
  model_settings model;
  uint32_t prompt_tokens = 512;
  uint32_t generated_tokens = 128;
  uint32_t repetitions = 5;
  std::string mode = "all";
  std::string batch;
  bool json = false;
  device_settings device;
  engine_settings engine;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    model.for_each_field(visit);
    visit({.name = "prompt-tokens",
           .value = "TOKENS",
           .help = "length of the prompts; 0 leaves that test out",
           .range = {0, 1048576},
           .aliases = "-p"},
          prompt_tokens);
    visit({.name = "generated-tokens",
           .value = "TOKENS",
           .help = "length of the answers; 0 leaves that test out",
           .range = {0, 1048576},
           .aliases = "-n"},
          generated_tokens);
    visit({.name = "repetitions",
           .value = "COUNT",
           .help = "measurements of each test",
           .range = {1, 1000},
           .aliases = "-r"},
          repetitions);
    visit({.name = "mode",
           .value = "MODE",
           .help =
               "what to measure: prompts, generation, generation by growing batches, or the first "
               "two",
           .choices = "all|pp|tg|batch"},
          mode);
    visit({.name = "batch",
           .value = "SIZES",
           .help = "how many sequences run at once: 1,4,16",
           .aliases = "-b",
           .unset = "1; in mode batch 1,2,4,8,16,32"},
          batch);
    visit({.name = "json", .help = "print JSON"}, json);
    device.for_each_field(visit);
    engine.for_each_field(visit);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_bench();

// --- What bench measures and prints
// -----------------------------------------------------------------------------------

struct bench_row {
  std::string test; // "pp512": prompt, "tg128": generation
  uint32_t batch = 1;
  uint64_t tokens = 0; // of one repetition
  std::vector<double> tokens_per_s;
  std::vector<double> read_share;              // of what could be read in that time, weights alone
  std::vector<double> integer_share;           // of the products that could be made
  std::vector<compute::machine_limits> limits; // measured before and after, the mean of both
  compute::meter_reading time{};               // of all repetitions
  uint64_t tokens_timed = 0;                   // in that time
};

// Shares of the time of a row; their sum is 1. Messages are whatever happens between jobs.
struct time_share {
  std::string name;
  double share = 0;
};
std::vector<time_share> time_shares(const compute::meter_reading& reading);

struct bench_report {
  std::string model, format, device;
  double load_s = 0;
  uint32_t checked_sequences = 0; // alone and in a batch, with the same tokens
  std::vector<bench_row> rows;
};

// "1,4,16"; each from 1 to 4096. The default of the mode when the list is empty.
result<std::vector<uint32_t>> parse_batches(std::string_view list, std::string_view mode = "all");
double median(std::vector<double> values); // not empty
std::string report_table(const bench_report& report);
std::string report_json(const bench_report& report);

} // namespace troupe::cli
