// What the simulate commands share: scenarios and plans by name or file, runs in processes of their
// own, and files to write.
#pragma once

#include "cli/program.hpp"
#include "simulations/runner/shrink.hpp"
#include "simulations/runner/sweep.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

inline constexpr duration run_real_time_max = std::chrono::minutes(5);

// A built-in scenario by its name, or a file that ends in .toml or has a slash.
result<simulations::scenario> load_scenario(const storage::file_system& files,
                                            const std::string& name);
// "all", or nothing at all: the built-in ones.
result<std::vector<simulations::scenario>> load_scenarios(const storage::file_system& files,
                                                          const std::vector<std::string>& names);
result<simulations::plan_file> load_plan(const storage::file_system& files,
                                         const std::string& path);

// So many nodes instead; voters and doors are no more than they.
void set_nodes(simulations::scenario& about, uint32_t nodes);

status write_file(const std::string& path, std::string_view bytes);
status make_directory(const std::string& path);

// A run that did not come to its end: its process died or hung.
simulations::run_result broken_run(const simulations::run_spec& spec, const std::string& death,
                                   bool hung);

// Each run in a process of its own; what ends the process is a violation of the run.
simulations::run_function isolated_runs(const clock& time);

// Ctrl-C asks to stop; a second one ends the program.
class stop_request {
public:
  explicit stop_request(signal_watch& signals);
  bool asked() const { return asked_->load(); }

private:
  std::shared_ptr<std::atomic<bool>> asked_; // shared with the watching thread
  signal_scope scope_;
};

uint32_t processors();

} // namespace troupe::cli
