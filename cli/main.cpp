// The troupe program. Reading main is reading what it is made of; only here and below cli/ are
// argv, environment and signals touched.
#include "base/clock.hpp"
#include "base/text.hpp"
#include "cli/bench.hpp"
#include "cli/bench_serve.hpp"
#include "cli/chat.hpp"
#include "cli/checkpoint.hpp"
#include "cli/cluster.hpp"
#include "cli/generate.hpp"
#include "cli/ingest.hpp"
#include "cli/inspect.hpp"
#include "cli/learn.hpp"
#include "cli/learn_eval.hpp"
#include "cli/node.hpp"
#include "cli/run.hpp"
#include "cli/serve.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_capacity.hpp"
#include "cli/synth.hpp"
#include "cli/tokenize.hpp"
#include "cli/top.hpp"
#include "cli/version.hpp"
#include "cli/weights.hpp"
#include "storage/posix_file_system.hpp"
#include "transport/ucx/ucx_environment.hpp"

#include <unistd.h>

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace {

troupe::cli::environment_variables read_environment() {
  troupe::cli::environment_variables out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const size_t equals = line.find('=');
    if (equals != std::string_view::npos)
      out.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return out;
}

troupe::cli::command_list all_commands() {
  troupe::cli::command_list out;
  out.push_back(troupe::cli::make_serve());
  out.push_back(troupe::cli::make_node());
  troupe::cli::add_cluster_commands(out);
  out.push_back(troupe::cli::make_top());
  out.push_back(troupe::cli::make_generate());
  out.push_back(troupe::cli::make_chat());
  out.push_back(troupe::cli::make_inspect());
  out.push_back(troupe::cli::make_synth());
  out.push_back(troupe::cli::make_tokenize());
  out.push_back(troupe::cli::make_ingest());
  out.push_back(troupe::cli::make_learn());
  out.push_back(troupe::cli::make_learn_eval());
  troupe::cli::add_checkpoint_commands(out);
  troupe::cli::add_weights_commands(out);
  out.push_back(troupe::cli::make_bench());
  out.push_back(troupe::cli::make_bench_serve());
  troupe::cli::add_simulate_commands(out);
  out.push_back(troupe::cli::make_simulate_capacity());
  out.push_back(troupe::cli::make_version());
  return out;
}

} // namespace

int main(int argc, char** argv) {
  const auto prepared = troupe::transport::prepare_ucx_environment(argv); // may start us anew
  const auto closed =
      troupe::cli::keep_standard_descriptors(); // before any file can take their place
  troupe::cli::signal_watch signals;            // before any other thread
  const troupe::system_clock clock;
  troupe::storage::posix_file_system files;
  troupe::cli::output out(closed.output ? -1 : STDOUT_FILENO, "standard output");
  troupe::cli::output err(STDERR_FILENO, "standard error");
  const auto variables = read_environment();
  const auto commands = all_commands();
  troupe::cli::program context{.signals = signals,
                               .clock = clock,
                               .files = files,
                               .out = out,
                               .err = err,
                               .input_is_terminal = isatty(STDIN_FILENO) == 1,
                               .variables = variables,
                               .commands = &commands};
  if (!prepared.ok()) (void)err.write(troupe::text("warning: ", prepared.why(), "\n"));
  try {
    return troupe::cli::run_program(context, std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) { // of the standard library: no memory, no more threads
    return context.complain({troupe::status_code::exhausted, error.what()});
  }
}
