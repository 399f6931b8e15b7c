// What troupe learn does against forgetting: its settings, and the files that come with them.
#pragma once

#include "actors/model_directory.hpp"
#include "cli/learn_data.hpp"
#include "cli/option.hpp"
#include "cli/output.hpp"
#include "model/training/training_run.hpp"
#include "storage/disk.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

struct method_settings {
  std::string freeze;
  double ewc = 0;
  uint32_t ewc_documents = 64;
  uint32_t ewc_draws = 1;
  double ewc_decay = 1;
  std::vector<std::string> ewc_data;
  std::string teacher;
  double distil = 1;
  double distil_temperature = 2;
  double distil_hidden = 0;
  uint32_t lora_rank = 0;
  double lora_alpha = 0;
  std::string lora_targets = "attention";
  std::string lora_out;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "freeze",
           .value = "LIST",
           .help = "what is not trained: of embedding, attention, dense, router, shared, expert, "
                   "head, norm and layers:A-B, separated by commas"},
          freeze);
    visit({.name = "ewc",
           .value = "STRENGTH",
           .help = "pull of weights back to where the run begins, by their importance there; with "
                   "1 what was known weighs as much as what is learnt; 0 for none",
           .range = {0, 1e15}},
          ewc);
    visit({.name = "ewc-documents",
           .value = "COUNT",
           .help = "documents on which importance is measured, each at most a context long",
           .range = {1, 1 << 24}},
          ewc_documents);
    visit({.name = "ewc-draws",
           .value = "COUNT",
           .help = "how often labels for each of them are drawn from the model",
           .range = {1, 1 << 16}},
          ewc_draws);
    visit({.name = "ewc-decay",
           .value = "FACTOR",
           .help = "what is left of the importance that the model directory brings from an earlier "
                   "run",
           .range = {0, 1}},
          ewc_decay);
    visit({.name = "ewc-data",
           .value = "FILE",
           .help = "texts of what is to be kept, to measure importance on; may be given again",
           .unset = "what is held out"},
          ewc_data);
    visit({.name = "teacher",
           .value = "PATH",
           .help = "model that is learnt from beside the text: start for the weights at the "
                   "beginning, or a model directory of the same vocabulary",
           .unset = "none"},
          teacher);
    visit({.name = "distil",
           .value = "WEIGHT",
           .help = "weight of differing from the teacher in what comes next",
           .range = {0, 1e9}},
          distil);
    visit({.name = "distil-temperature",
           .value = "T",
           .help = "temperature at which both are compared",
           .range = {1e-3, 1e3}},
          distil_temperature);
    visit({.name = "distil-hidden",
           .value = "WEIGHT",
           .help = "weight of differing from the teacher in the final rows",
           .range = {0, 1e9}},
          distil_hidden);
    visit({.name = "lora-rank",
           .value = "RANK",
           .help = "train adapters of this rank (LoRA) and nothing else; 0 for the weights "
                   "themselves",
           .range = {0, 4096}},
          lora_rank);
    visit({.name = "lora-alpha",
           .value = "ALPHA",
           .help = "adapters count ALPHA / RANK times",
           .range = {0, 1e6},
           .unset = "the rank"},
          lora_alpha);
    visit({.name = "lora-targets",
           .value = "LIST",
           .help = "whose matrices have adapters, in the words of --freeze"},
          lora_targets);
    visit({.name = "lora-out",
           .value = "DIR",
           .help = "folder to write the adapters to, in the form of PEFT; made when missing, "
                   "refused when it holds something"},
          lora_out);
  }
};

model::training_method_options method_options_of(const method_settings& settings, uint64_t seed);

// Of settings that say nothing together; to be asked before anything else is done.
status check_methods(const method_settings& settings);

// Reads the model that --teacher names, if it names one.
status read_teacher(const storage::file_system& files, const method_settings& settings,
                    model::training_run& run);

// How important weights are, kept beside the model that a run with --ewc writes.
inline constexpr std::string_view importance_file = "ewc_importance.safetensors";

struct anchor_subject {
  const storage::file_system& files;
  std::string known_importance; // path of that file of the model directory; it may be missing
  const model::text_pieces& documents;
  uint64_t seed = 0;
  output& err; // for people
};
// Anchors the weights where they are; nothing without --ewc.
status anchor_weights(const method_settings& settings, const anchor_subject& of,
                      model::training_run& run);

status write_importance(storage::disk& folder, model::training_run& run);
// adapter_model.safetensors, then adapter_config.json. `base` is the name of the model without.
status write_adapter(const std::string& folder, const std::string& base, model::training_run& run);

// What a line of figures says of them: empty without a teacher and an anchor.
std::string method_figures(const model::pass_figures& figures, model::training_run& run);

} // namespace troupe::cli
