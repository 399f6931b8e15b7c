// troupe learn: trains a model on texts and writes the result as a checkpoint.
#pragma once

#include "cli/command.hpp"
#include "cli/learn_checkpoints.hpp"
#include "cli/learn_methods.hpp"
#include "cli/learn_publish.hpp"
#include "cli/learn_stream.hpp"
#include "cli/settings.hpp"

namespace troupe::cli {

struct learn_settings {
  std::vector<std::string> data;
  std::string model;
  std::string out;
  std::string weights = "f32";
  uint32_t steps = 100;
  uint32_t step_tokens = 4096;
  uint32_t context = 256;
  uint32_t share_tokens = 1024;
  uint32_t tokens_at_once = 1024;
  bool recompute = false;
  double rate = 1e-3;
  uint32_t warmup_steps = 10;
  std::string decay = "cosine";
  uint32_t decay_steps = 0;
  double weight_decay = 0.1;
  double clip = 1;
  double balance = 1e-3;
  uint32_t hold_out = 20;
  uint32_t report_every = 10;
  uint64_t seed = 1;
  learn_stream_settings stream;
  method_settings methods;
  checkpoint_settings checkpoints;
  publish_settings publish;
  device_settings device;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit(
        {.name = "data",
         .value = "FILE",
         .help = "what to learn from: text files, or files that end in .jsonl with a string named "
                 "text in each line",
         .positional = true},
        data);
    visit({.name = "model",
           .value = "PATH",
           .help = "model directory to begin with, in the form of Hugging Face",
           .aliases = "-m",
           .unset = "the built-in model"},
          model);
    visit(
        {.name = "out",
         .value = "DIR",
         .help = "folder to write the model to; made when missing, refused when it holds something",
         .aliases = "-o"},
        out);
    visit({.name = "weights",
           .value = "TYPE",
           .help = "how the weights are written; training keeps them in f32",
           .choices = "f32|bf16"},
          weights);
    visit({.name = "steps",
           .value = "COUNT",
           .help = "steps of the optimiser",
           .range = {0, 100000000}},
          steps);
    visit({.name = "step-tokens",
           .value = "TOKENS",
           .help = "tokens that a step learns from, at least",
           .range = {1, 1 << 30}},
          step_tokens);
    visit({.name = "context",
           .value = "TOKENS",
           .help = "longest piece of a document; no token sees beyond its document",
           .range = {1, 1 << 20}},
          context);
    visit({.name = "share-tokens",
           .value = "TOKENS",
           .help = "tokens of a step whose gradients are summed by themselves, in whole pieces of "
                   "documents; the sums are then added in order; 0 for a step in one sum",
           .range = {0, 1 << 30}},
          share_tokens);
    visit({.name = "tokens-at-once",
           .value = "TOKENS",
           .help = "tokens of a step that are computed together, which bounds the memory; never "
                   "changes the result",
           .range = {1, 1 << 24}},
          tokens_at_once);
    visit({.name = "recompute",
           .help = "compute activations again instead of keeping them; never changes the result"},
          recompute);
    visit({.name = "learning-rate",
           .value = "RATE",
           .help = "learning rate at its peak",
           .range = {1e-12, 10}},
          rate);
    visit({.name = "warmup-steps",
           .value = "COUNT",
           .help = "steps in which the rate rises to its peak",
           .range = {0, 100000000}},
          warmup_steps);
    visit({.name = "decay",
           .value = "SHAPE",
           .help = "how the rate falls to nothing at the end",
           .choices = "cosine|linear|one-minus-sqrt|constant"},
          decay);
    visit({.name = "decay-steps",
           .value = "COUNT",
           .help = "last steps, in which the rate falls; before them it stays at its peak",
           .range = {0, 100000000},
           .unset = "all after the warm-up"},
          decay_steps);
    visit({.name = "weight-decay",
           .value = "DECAY",
           .help = "pull of matrices towards zero, times the rate",
           .range = {0, 10}},
          weight_decay);
    visit(
        {.name = "clip", .value = "NORM", .help = "longest gradient; 0 for any", .range = {0, 1e9}},
        clip);
    visit({.name = "balance",
           .value = "SPEED",
           .help = "how far the bias of an expert's choice moves against its load in a step, in "
                   "models that have one",
           .range = {0, 1}},
          balance);
    visit({.name = "hold-out",
           .value = "N",
           .help = "every N-th document is never learnt from but measured; 0 for none",
           .range = {0, 1 << 30}},
          hold_out);
    visit({.name = "report-every",
           .value = "STEPS",
           .help = "steps from one line of figures to the next",
           .range = {1, 100000000}},
          report_every);
    visit({.name = "seed",
           .value = "SEED",
           .help = "of the order of the data; the same seed gives the same weights"},
          seed);
    stream.for_each_field(visit);
    methods.for_each_field(visit);
    checkpoints.for_each_field(visit);
    publish.for_each_field(visit);
    device.for_each_field(visit);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_learn();

} // namespace troupe::cli
