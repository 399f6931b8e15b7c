// troupe generate: continues a text on standard output.
#pragma once

#include "cli/command.hpp"
#include "cli/engine_setup.hpp"
#include "cli/settings.hpp"

namespace troupe::cli {

struct generate_settings {
  std::vector<std::string> prompt;
  model_settings model;
  sampling_settings sampling;
  uint32_t choices = 1;
  bool echo = true;
  std::optional<uint32_t> logprobs;
  bool statistics = true;
  device_settings device;
  engine_settings engine;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "prompt",
           .value = "PROMPT",
           .help = "the text to be continued; several words are joined by spaces, - reads it from "
                   "standard input",
           .positional = true},
          prompt);
    model.for_each_field(visit);
    sampling.for_each_field(visit);
    visit({.name = "n",
           .value = "COUNT",
           .help = "continuations of the same prompt",
           .range = {1, 128}},
          choices);
    visit({.name = "echo", .help = "begin the output with the prompt, so that it is one text"},
          echo);
    visit(
        {.name = "logprobs",
         .value = "COUNT",
         .help =
             "list every token with its log-probability and the COUNT likeliest on standard error",
         .range = {0, 20},
         .unset = "none"},
        logprobs);
    visit({.name = "statistics", .help = "end with a line of speeds on standard error"},
          statistics);
    device.for_each_field(visit);
    engine.for_each_field(visit);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_generate();

} // namespace troupe::cli
