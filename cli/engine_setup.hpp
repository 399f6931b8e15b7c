// From settings to a running engine: executor, model, node. Used by every command that generates.
#pragma once

#include "actors/node.hpp"
#include "cli/program.hpp"
#include "cli/settings.hpp"
#include "compute/cpu_executor.hpp"

#include <functional>
#include <memory>
#include <string>

namespace troupe::cli {

// Torn down from the bottom up: the engine stops before what it works with goes.
struct running_engine {
  std::unique_ptr<compute::executor> executor;
  std::shared_ptr<const actors::model_bundle> model; // shared with the engine's parts
  std::unique_ptr<actors::engine> engine;
};

// A failure and the exit code that goes with it.
struct setup_failure {
  status why;
  int code = exit_failed;
};
template <class T>
using setup_result = tl::expected<T, setup_failure>;

struct engine_setup {
  model_settings model;
  device_settings device;
  engine_settings engine;
  // May fit the engine's settings to the model that was loaded.
  std::function<void(const model::description&, engine_settings&)> adjust = nullptr;
  compute::part_meter* meter = nullptr; // is told where the time goes; must outlive the engine
  std::string persist_kv = {};          // folder for KV pages; empty: none
  uint64_t persist_kv_bytes = 0;
};

actors::node_options node_options_of(const engine_settings& settings);

// The directory to use: the one that was asked for, or the built-in model's.
setup_result<std::string> model_directory_of(program& context, const model_choice& settings);

// Executor and model, without an engine. Shows progress and the model's warnings on standard error.
setup_result<running_engine> load_only(program& context, const model_settings& model,
                                       const device_settings& device,
                                       compute::part_meter* meter = nullptr);
// What the settings say about the device; `exit_usage` for an instruction set there is none of.
setup_result<compute::cpu_options> device_options_of(const device_settings& settings);

// An engine's complaint about one of its options, by the name people know it by: that of a flag, or
// of the same setting in a file.
status in_words_of_flags(const status& why);

// The same for other weights on the same device: an engine of its own. Any thread; says nothing.
result<std::unique_ptr<actors::engine>> start_beside(program& context, compute::executor& executor,
                                                     const engine_setup& setup,
                                                     const std::string& directory);

// The whole of it: a node of its own.
setup_result<running_engine> start_engine(program& context, const engine_setup& setup);

} // namespace troupe::cli
