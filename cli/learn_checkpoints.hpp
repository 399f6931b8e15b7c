// What learn does with checkpoints: writes them beside the steps, and goes on from one.
#pragma once

#include "actors/model_directory.hpp"
#include "cli/checkpoint_folder.hpp"
#include "cli/option.hpp"
#include "cli/output.hpp"
#include "model/training/step_source.hpp"
#include "model/training/training_run.hpp"
#include "storage/checkpoint_saver.hpp"
#include "storage/posix_io_worker.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

// Which checkpoints of a folder stay.
struct keeping_settings {
  uint32_t keep = 3;
  uint64_t keep_every = 0;
  bool keep_best = false;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "keep",
           .value = "COUNT",
           .help = "newest intact checkpoints that are kept",
           .range = {1, 1 << 20}},
          keep);
    visit({.name = "keep-every",
           .value = "STEPS",
           .help = "also keep the checkpoints whose step is a multiple of this; 0 for none",
           .range = {0, 1ull << 40}},
          keep_every);
    visit({.name = "keep-best",
           .help = "also keep the checkpoint with the least held-out loss, which learn --keep-best "
                   "measures at each"},
          keep_best);
  }
};

struct checkpoint_settings : keeping_settings {
  std::string folder;
  uint32_t every = 100;
  bool resume = false;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "checkpoints",
           .value = "DIR",
           .help = "folder to keep checkpoints in, from which --resume goes on; made when missing",
           .unset = "none are kept"},
          folder);
    visit({.name = "checkpoint-every",
           .value = "STEPS",
           .help = "steps from one checkpoint to the next; never changes the result",
           .range = {1, 100000000}},
          every);
    keeping_settings::for_each_field(visit);
    visit({.name = "resume",
           .help = "go on from the newest intact checkpoint; from the beginning where there is "
                   "none"},
          resume);
  }
};

using checkpoint_settings_list = std::vector<schemas::checkpoint_setting>;

// Of all options those on which the state of a run depends: everything that is not known to leave
// it as it is, so that a new setting counts until somebody has thought about it.
checkpoint_settings_list settings_that_matter(const std::vector<option>& options);

// ok, or the first setting that is not as it was.
status check_same_settings(const checkpoint_settings_list& then,
                           const checkpoint_settings_list& now);

// One thread. Everything given must outlive it.
class learn_checkpoints {
public:
  struct subject {
    model::training_run& run;
    model::step_source& source;
    const actors::model_texts& texts;
    checkpoint_settings_list settings;
    output& err; // for people
    // Called when the checkpoint of a step is on the disk; may be empty.
    std::function<void(uint64_t step)> durable = {};
    // The same texts each time; empty: nothing is held out. For --keep-best.
    std::function<result<double>()> held_out_loss = {};
  };
  // Opens and locks the folder. Without --resume one that has checkpoints is refused.
  static result<std::unique_ptr<learn_checkpoints>> open(const checkpoint_settings& settings,
                                                         subject of);

  // Brings the run and its data to the newest intact checkpoint, if there is one and --resume was
  // given; says which, and what it had to pass over. After a failure the run may not go on.
  status resume();
  // At a boundary between steps: copies the state when it is time, and returns. Fails only when the
  // disk does not answer at all; a checkpoint that could not be written is said and the run goes
  // on.
  status after_step();
  // A checkpoint of the last step, and the end of what is under way.
  status finish();

private:
  learn_checkpoints(const checkpoint_settings& settings, subject of, checkpoint_folder folder);
  status save();
  void tell_outcomes();
  void say(const std::string& line) { (void)of_.err.write(line + "\n"); }

  const checkpoint_settings settings_;
  const subject of_;
  checkpoint_folder folder_;
  storage::posix_io_worker worker_; // after the folder: it uses its store
  storage::checkpoint_saver saver_;
  std::optional<uint64_t> saved_; // step of the last attempt
  status last_failure_;           // of that attempt
};

} // namespace troupe::cli
