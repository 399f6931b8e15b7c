// How many seeds of the standard serving scenario, and how many events of a whole cluster of eight
// nodes, one core simulates in a second: production actors, real frames, real kernels on a tiny
// model, every checker at work. Checks first that every run passes and that a seed gives the same
// run twice.
//   bench_simulation_cluster [seeds a sample]
#include "base/clock.hpp"
#include "base/log.hpp"
#include "simulations/faults/scenario.hpp"
#include "simulations/runner/run.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace troupe::simulations {
namespace {

constexpr int samples = 5;

struct measured {
  double seeds_per_s = 0;
  double events_per_s = 0;
  uint64_t hash = 0;
  uint64_t failed = 0;
};

scenario named(std::string_view name) {
  for (const auto& built_in : built_in_scenarios())
    if (built_in.name == name) return parse_scenario(built_in.text, built_in.name).value();
  std::fprintf(stderr, "no scenario %s\n", std::string(name).c_str());
  std::exit(1);
}

measured run_seeds(const scenario& what, uint64_t seeds) {
  const system_clock clock;
  measured out;
  uint64_t events = 0;
  const auto begin = clock.now();
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    run_spec spec;
    spec.what = what;
    spec.seed = seed;
    const auto got = run_once(spec);
    events += got.events;
    out.hash = out.hash * 31 + got.hash;
    out.failed += got.violations.empty() ? 0 : 1;
  }
  const double elapsed = std::chrono::duration<double>(clock.now() - begin).count();
  out.seeds_per_s = static_cast<double>(seeds) / elapsed;
  out.events_per_s = static_cast<double>(events) / elapsed;
  return out;
}

int bench(const scenario& what, uint64_t seeds) {
  const auto first = run_seeds(what, seeds); // also fills what runs remember
  const auto again = run_seeds(what, seeds);
  if (first.failed != 0 || first.hash != again.hash) {
    std::fprintf(stderr, "%s: %llu runs failed; hashes %s\n", what.name.c_str(),
                 static_cast<unsigned long long>(first.failed),
                 first.hash == again.hash ? "agree" : "differ");
    return 1;
  }
  std::vector<double> seeds_per_s, events_per_s;
  for (int i = 0; i < samples; ++i) {
    const auto got = run_seeds(what, seeds);
    seeds_per_s.push_back(got.seeds_per_s);
    events_per_s.push_back(got.events_per_s);
  }
  std::sort(seeds_per_s.begin(), seeds_per_s.end());
  std::sort(events_per_s.begin(), events_per_s.end());
  std::printf(
      "{\"bench\": \"simulation_cluster\", \"scenario\": \"%s\", \"nodes\": %u, "
      "\"seeds_per_s\": %.1f, \"events_per_s\": %.0f, \"hash\": \"%016llx\"}\n",
      what.name.c_str(), what.cluster.nodes, seeds_per_s[samples / 2], events_per_s[samples / 2],
      static_cast<unsigned long long>(first.hash));
  return 0;
}

} // namespace
} // namespace troupe::simulations

int main(int argc, char** argv) {
  using troupe::simulations::bench;
  using troupe::simulations::named;
  troupe::log::set_level(troupe::log::level::off);
  const uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 40;
  auto eight = named("standard");
  eight.name = "standard, 8 nodes";
  eight.cluster.nodes = 8;
  return bench(named("standard"), seeds) + bench(eight, seeds);
}
