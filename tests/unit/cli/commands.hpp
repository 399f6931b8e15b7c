// The program's own commands, for tests that look at all of them.
#pragma once

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
#include "cli/serve.hpp"
#include "cli/simulate.hpp"
#include "cli/simulate_capacity.hpp"
#include "cli/synth.hpp"
#include "cli/tokenize.hpp"
#include "cli/top.hpp"
#include "cli/version.hpp"
#include "cli/weights.hpp"

#include <string>
#include <string_view>

namespace troupe::cli {

inline command_list all_commands() {
  command_list out;
  out.push_back(make_serve());
  out.push_back(make_node());
  add_cluster_commands(out);
  out.push_back(make_top());
  out.push_back(make_generate());
  out.push_back(make_chat());
  out.push_back(make_inspect());
  out.push_back(make_synth());
  out.push_back(make_tokenize());
  out.push_back(make_ingest());
  out.push_back(make_learn());
  out.push_back(make_learn_eval());
  add_checkpoint_commands(out);
  add_weights_commands(out);
  out.push_back(make_bench());
  out.push_back(make_bench_serve());
  add_simulate_commands(out);
  out.push_back(make_simulate_capacity());
  out.push_back(make_version());
  return out;
}

inline command& find_command(const command_list& commands, std::string_view name) {
  for (const auto& each : commands)
    if (each->info().name == name) return *each;
  TROUPE_CHECK(!"no such command");
}

inline option& find_option(command& of, std::string_view name) {
  for (auto& each : of.options())
    if (each.name == name) return each;
  TROUPE_CHECK(!"no such option");
}

} // namespace troupe::cli
