// troupe simulate: the whole cluster in one process, broken on purpose and replayed from a seed.
#pragma once

#include "cli/command.hpp"

#include <functional>
#include <string>
#include <vector>

namespace troupe::cli {

// The planted bugs of a program that was built with them.
struct mutant_switch {
  std::vector<std::string> names = {};
  std::function<void(const std::string& name)> turn_on = {}; // this one alone
};

std::unique_ptr<command> make_simulate_run();
std::unique_ptr<command> make_simulate_replay();
std::unique_ptr<command> make_simulate_shrink();
std::unique_ptr<command> make_simulate_expand();
std::unique_ptr<command> make_simulate_list();
std::unique_ptr<command> make_simulate_mutants(mutant_switch mutants);

// All of them, in the order in which help lists them.
void add_simulate_commands(command_list& to, mutant_switch mutants = {});

} // namespace troupe::cli
