// troupe learn eval: how well models know several domains, in bits per byte, and what models of the
// stages of learning have forgotten.
#pragma once

#include "cli/command.hpp"
#include "cli/settings.hpp"
#include "dataflow/retention.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

struct learn_eval_settings {
  std::vector<std::string> models;
  std::vector<std::string> held_out;
  std::string joint;
  std::string quantize = "none";
  uint32_t context = 256;
  bool json = false;
  device_settings device;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "models",
           .value = "MODEL",
           .help = "model directories: first the one before any learning, then the one after each "
                   "stage",
           .positional = true},
          models);
    visit({.name = "held-out",
           .value = "NAME=FILE",
           .help = "text nobody has learnt from, once for each domain, in the order of the stages; "
                   "a text file, or one that ends in .jsonl with a string named text in each line"},
          held_out);
    visit({.name = "joint",
           .value = "MODEL",
           .help =
               "model directory of one that has learnt from all domains together, for the regret"},
          joint);
    visit({.name = "quantize",
           .value = "FORMAT",
           .help = "format in which weights are kept; none keeps each as stored",
           .choices = "none|f32|bf16|f16|int8|int4"},
          quantize);
    visit({.name = "context",
           .value = "TOKENS",
           .help = "longest piece of a document; no token sees beyond its document",
           .range = {1, 1 << 20}},
          context);
    visit({.name = "json", .help = "print JSON"}, json);
    device.for_each_field(visit);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_learn_eval();

// What it prints.
struct learn_eval_report {
  std::vector<std::string> models;
  std::vector<std::string> domains;
  dataflow::domain_losses losses;
  std::vector<double> joint; // empty: there was none
};
std::string table_of(const learn_eval_report& report);
std::string json_of(const learn_eval_report& report);

} // namespace troupe::cli
