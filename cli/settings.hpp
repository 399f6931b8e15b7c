// The settings that several commands share, each with its name, default, unit, range and help in
// one place. Flags, TOML keys, environment variables, help and --dump-config all come from here.
#pragma once

#include "cli/option.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

// Every command.
struct common_settings {
  std::string config;
  bool dump_config = false;
  std::string log_level = "warn";

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "config",
           .value = "FILE",
           .help = "TOML file with settings, weaker than environment and flags"},
          config);
    visit({.name = "dump-config",
           .help = "print the settings in effect as TOML, with where each came from, and exit"},
          dump_config);
    visit({.name = "log-level",
           .value = "LEVEL",
           .help = "least important log lines that are written to standard error",
           .choices = "trace|debug|info|warn|error|off"},
          log_level);
  }
};

// Which model, and how its weights are kept.
struct model_choice {
  std::string model;
  std::string quantize = "none";

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "model",
           .value = "PATH",
           .help = "GGUF file, or model directory in the form of Hugging Face: config.json, "
                   "tokenizer.json, *.safetensors",
           .aliases = "-m",
           .unset = "the built-in model"},
          model);
    visit({.name = "quantize",
           .value = "FORMAT",
           .help = "format in which weights are kept; none keeps each as stored",
           .choices = "none|f32|bf16|f16|int8|int4"},
          quantize);
  }
};

// The same for a process that loads it.
struct model_settings : model_choice {
  std::string weight_cache;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    model_choice::for_each_field(visit);
    visit({.name = "weight-cache",
           .value = "DIR",
           .help = "folder in which packed weights are kept, so that the next start is quicker"},
          weight_cache);
  }
};

// The processors.
struct device_settings {
  uint32_t threads = 0;
  std::string instruction_set = "automatic";

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "threads",
           .value = "COUNT",
           .help = "compute threads; never changes the result",
           .range = {0, 1024},
           .aliases = "-t",
           .unset = "one per processor"},
          threads);
    visit({.name = "instruction-set",
           .value = "SET",
           .help = "kernels to use; never changes the result",
           .choices = "automatic|reference|avx2|avx512"},
          instruction_set);
  }
};

// How the engine is cut into parts and how much it takes on at once.
struct engine_settings {
  uint32_t max_model_len = 0;
  uint32_t max_running = 64;
  uint32_t max_queued_requests = 1024;
  uint32_t max_batch_tokens = 512;
  uint32_t prefill_chunk = 256;
  uint32_t mixed_prefill = 64;
  uint32_t max_batch_size = 0;
  uint32_t max_wait_us = 0;
  byte_size kv_memory;
  uint32_t page_tokens = 16;
  bool prefix_cache = true;
  uint32_t speculative_tokens = 0;
  std::string kv_eviction = "cost";
  uint32_t attention_stages = 1;
  uint32_t expert_shards = 1;
  uint32_t actor_threads = 2;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "max-model-len",
           .value = "TOKENS",
           .help = "longest sequence, prompt and answer together",
           .range = {0, 16777216},
           .aliases = "--context-length",
           .unset = "the model's, at most 8192"},
          max_model_len);
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
    visit({.name = "mixed-prefill",
           .value = "TOKENS",
           .help = "most prompt tokens of a step in which others generate, who wait for it",
           .range = {1, 65536}},
          mixed_prefill);
    visit({.name = "max-batch-size",
           .value = "COUNT",
           .help = "most sequences in a step",
           .range = {0, 65536},
           .unset = "max-running"},
          max_batch_size);
    visit({.name = "max-wait-us",
           .value = "MICROSECONDS",
           .help = "how long a step may wait for more sequences to join it",
           .range = {0, 10000000}},
          max_wait_us);
    visit({.name = "kv-memory",
           .value = "BYTES",
           .help = "memory for keys and values, such as 512M or 4G",
           .unset = "enough for max-running full sequences, at most 2G"},
          kv_memory);
    visit({.name = "page-tokens",
           .value = "TOKENS",
           .help = "positions in one page of that memory: 8, 16, 32 or 64",
           .range = {8, 64}},
          page_tokens);
    visit({.name = "prefix-cache", .help = "reuse the computed beginnings of earlier prompts"},
          prefix_cache);
    visit(
        {.name = "speculative-tokens",
         .value = "COUNT",
         .help = "tokens guessed ahead of a stream in a step, from its own text; never changes the "
                 "result",
         .range = {0, 64},
         .aliases = "--num-speculative-tokens"},
        speculative_tokens);
    visit({.name = "kv-eviction",
           .value = "POLICY",
           .help = "what goes when that memory is full: the least recently used, the least often "
                   "used, or what is worth least by use, age and cost of computing it again",
           .choices = "lru|lfu|cost"},
          kv_eviction);
    visit({.name = "attention-stages",
           .value = "COUNT",
           .help = "parts the layers are divided into; never changes the result",
           .range = {1, 1024}},
          attention_stages);
    visit({.name = "expert-shards",
           .value = "COUNT",
           .help = "parts the experts are divided into; never changes the result",
           .range = {1, 1024}},
          expert_shards);
    visit({.name = "actor-threads",
           .value = "COUNT",
           .help = "threads that carry messages between the parts",
           .range = {1, 64}},
          actor_threads);
  }
};

// What text is generated. Unset ones come from the model's generation_config.json.
struct sampling_settings {
  std::optional<uint32_t> max_tokens;
  std::optional<float> temperature;
  std::optional<uint32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::vector<token_bias> logit_bias;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool ignore_eos = false;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "max-tokens",
           .value = "COUNT",
           .help = "most tokens of an answer",
           .range = {0, 16777216},
           .aliases = "-n",
           .unset = "as many as fit, at most 256 for generate"},
          max_tokens);
    visit({.name = "temperature",
           .value = "NUMBER",
           .help = "0 always takes the likeliest token; larger is more surprising",
           .range = {0, 100},
           .unset = "the model's, or 1"},
          temperature);
    visit({.name = "top-k",
           .value = "COUNT",
           .help = "draw among the COUNT likeliest tokens; 0 for all",
           .unset = "the model's, or 0"},
          top_k);
    visit({.name = "top-p",
           .value = "NUMBER",
           .help = "draw among the likeliest tokens that together have this probability",
           .range = {0, 1},
           .unset = "the model's, or 1"},
          top_p);
    visit({.name = "min-p",
           .value = "NUMBER",
           .help = "draw among tokens at least this likely relative to the likeliest",
           .range = {0, 1},
           .unset = "the model's, or 0"},
          min_p);
    visit({.name = "repetition-penalty",
           .value = "NUMBER",
           .help = "divides the logits of tokens of prompt and answer; 1 is off",
           .range = {0, 100},
           .unset = "the model's, or 1"},
          repetition_penalty);
    visit({.name = "presence-penalty",
           .value = "NUMBER",
           .help = "taken off the logits of tokens of the answer, once",
           .range = {-2, 2}},
          presence_penalty);
    visit({.name = "frequency-penalty",
           .value = "NUMBER",
           .help = "the same, for each time they occur",
           .range = {-2, 2}},
          frequency_penalty);
    visit({.name = "logit-bias",
           .value = "ID=NUMBER",
           .help = "added to the logit of a token; may be repeated"},
          logit_bias);
    visit({.name = "seed",
           .value = "NUMBER",
           .help = "the same seed gives the same text",
           .aliases = "-s",
           .unset = "random, and reported"},
          seed);
    visit({.name = "stop", .value = "TEXT", .help = "end before this text; may be repeated"}, stop);
    visit({.name = "ignore-eos", .help = "go on after the model's end of sequence"}, ignore_eos);
  }
};

} // namespace troupe::cli
