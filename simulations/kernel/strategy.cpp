// Names of the strategies, and what a portfolio picks.
#include "simulations/kernel/strategy.hpp"

#include "base/text.hpp"
#include "simulations/kernel/draws.hpp"

#include <array>

namespace troupe::simulations {
namespace {

constexpr std::array<std::string_view, 6> names = {"fifo",  "random",  "pct",
                                                   "delay", "overlap", "portfolio"};

// Ten tickets: the ones that find ordering bugs soonest have the most.
constexpr std::array<strategy_kind, 10> portfolio = {
    strategy_kind::pct,     strategy_kind::pct,    strategy_kind::pct,    strategy_kind::overlap,
    strategy_kind::overlap, strategy_kind::random, strategy_kind::random, strategy_kind::delay,
    strategy_kind::delay,   strategy_kind::fifo};

} // namespace

std::string_view to_string(strategy_kind kind) {
  return names[static_cast<size_t>(kind)];
}

result<strategy_kind> parse_strategy(std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<strategy_kind>(i);
  const std::string near = nearest_name(name, names);
  return fail(
      status_code::invalid_argument,
      text("no strategy '", name, "'; there are fifo, random, pct, delay, overlap and portfolio",
           near.empty() ? "" : text(", did you mean '", near, "'?")));
}

strategy_kind resolve(strategy_kind kind, uint64_t seed) {
  if (kind != strategy_kind::portfolio) return kind;
  const random_key key{seed, random_subsystem::scheduling, draw_entity::portfolio};
  return portfolio[random_below(key, 0, portfolio.size())];
}

} // namespace troupe::simulations
