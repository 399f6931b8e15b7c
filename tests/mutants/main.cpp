// The simulations of the troupe program with planted bugs: `simulate mutants` measures how soon
// each is found, `check` that the recorded runs find it, and `--plant NAME` before any other
// command runs that command with the bug.
#include "base/clock.hpp"
#include "base/text.hpp"
#include "cli/program.hpp"
#include "cli/run.hpp"
#include "cli/simulate.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/mutants/check.hpp"
#include "tests/mutants/planted.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

troupe::cli::mutant_switch all_mutants() {
  troupe::cli::mutant_switch out;
  for (const auto& bug : troupe::mutants::planted_bugs()) out.names.emplace_back(bug.name);
  out.turn_on = [](const std::string& name) { troupe::mutants::plant(name); };
  return out;
}

// Takes `--plant NAME` off; false when NAME is no planted bug.
bool take_plant(std::vector<std::string>& words) {
  if (words.size() < 2 || words.front() != "--plant") return true;
  const auto known = all_mutants().names;
  if (std::find(known.begin(), known.end(), words[1]) == known.end()) return false;
  troupe::mutants::plant(words[1]);
  words.erase(words.begin(), words.begin() + 2);
  return true;
}

} // namespace

int main(int argc, char** argv) {
  troupe::cli::signal_watch signals; // before any other thread
  const troupe::system_clock clock;
  troupe::storage::posix_file_system files;
  troupe::cli::output out(STDOUT_FILENO, "standard output");
  troupe::cli::output err(STDERR_FILENO, "standard error");
  const troupe::cli::environment_variables variables;
  troupe::cli::command_list commands;
  troupe::cli::add_simulate_commands(commands, all_mutants());
  commands.push_back(troupe::mutants::make_check());
  troupe::cli::program context{.signals = signals,
                               .clock = clock,
                               .files = files,
                               .out = out,
                               .err = err,
                               .variables = variables,
                               .commands = &commands};
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!take_plant(words))
    return context.complain(
        {troupe::status_code::invalid_argument, troupe::text("'", words[1], "' is no planted bug")},
        troupe::cli::exit_usage);
  return troupe::cli::run_program(context, words);
}
