// What learn does with published versions: writes one now and then, judged by texts it never learns
// from.
#pragma once

#include "actors/model_directory.hpp"
#include "base/clock.hpp"
#include "cli/learn_data.hpp"
#include "cli/model_folder.hpp"
#include "cli/option.hpp"
#include "cli/output.hpp"
#include "dataflow/promotion.hpp"
#include "model/tokenizer.hpp"
#include "model/training/text_pieces.hpp"
#include "model/training/training_run.hpp"
#include "storage/file_system.hpp"
#include "storage/weights_registry.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::cli {

struct publish_settings {
  std::string folder;
  uint32_t every = 0;
  bool promote = false;
  std::vector<std::string> gate;
  double epsilon = 0.01;
  double imbalance_max = 0;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "publish",
           .value = "DIR",
           .help = "folder of published weights to add versions to, which servers follow",
           .unset = "none"},
          folder);
    visit({.name = "publish-every",
           .value = "STEPS",
           .help = "steps from one version to the next; 0 for one at the end",
           .range = {0, 100000000}},
          every);
    visit({.name = "promote", .help = "put versions in force that pass their gate"}, promote);
    visit({.name = "gate",
           .value = "NAME=FILE",
           .help = "text nobody learns from, by which a version is judged, once for each domain"},
          gate);
    visit({.name = "gate-epsilon",
           .value = "BITS",
           .help = "bits per byte that a domain may lose against the version in force",
           .range = {0, 100}},
          epsilon);
    visit({.name = "gate-imbalance",
           .value = "RATIO",
           .help = "most imbalance of experts that a version may have; 0 for any",
           .range = {0, 1e6}},
          imbalance_max);
  }
};

// One thread. Everything given must outlive it.
class version_publisher {
public:
  struct subject {
    model::training_run& run;
    const actors::model_texts& texts;
    const model::tokenizer& tokenizer;
    int32_t separator = 0;
    uint32_t context = 0;
    const storage::file_system& files;
    const clock& time;
    output& err; // for people
  };
  using state_hash = std::function<std::string()>; // of the run; costs a look at all of it

  // Reads the texts of the gate. `registry`: of the folder.
  static result<std::unique_ptr<version_publisher>> open(const publish_settings& settings,
                                                         storage::weights_registry registry,
                                                         const subject& of);

  // After a step. What cannot be published is said, and the run goes on.
  void after_step(double imbalance, const state_hash& state);
  // The last version, unless it was just published. Fails when the last attempt did.
  status finish(double imbalance, const state_hash& state);

private:
  struct domain {
    std::string name;
    learning_text text;
  };
  version_publisher(const publish_settings& settings, storage::weights_registry registry,
                    const subject& of)
      : settings_(settings), registry_(std::move(registry)), of_(of) {}
  status publish(double imbalance, const state_hash& state);
  result<dataflow::version_figures> measure(double imbalance);
  bool all_finite();
  void say(const std::string& line) { (void)of_.err.write(line + "\n"); }

  const publish_settings settings_;
  storage::weights_registry registry_;
  const subject of_;
  std::vector<domain> domains_;
  uint64_t published_ = 0; // step of the last attempt
  status last_failure_;    // of that attempt
};

} // namespace troupe::cli
