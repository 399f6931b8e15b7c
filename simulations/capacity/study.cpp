// Trace and failures first, then the run.
#include "simulations/capacity/study.hpp"

namespace troupe::simulations::capacity {

double share_within(const run_result& of) {
  return of.requests > 0 ? double(of.within_objective) / double(of.requests) : 1;
}

bool outcome::meets(const study& of) const {
  return share_within(result) >= of.objective_share;
}

result<outcome> run_study(const study& of, uint32_t nodes, uint32_t copies) {
  plan_request request = of.system;
  request.nodes = nodes;
  request.copies = copies;
  auto plan = plan_system(request);
  if (!plan) return fail(plan.error());
  const double load = of.rate_per_s / of.profile.published.rate_per_s;
  const auto trace = generate_trace(of.profile, {.load = load, .span = of.span, .seed = of.seed});
  std::vector<failure_event> failures;
  if (of.failure_scale > 0)
    failures = draw_failures(of.failures, {.nodes = plan->replicas * plan->nodes_per_replica,
                                           .span = of.span,
                                           .scale = of.failure_scale,
                                           .seed = of.seed});
  outcome out;
  out.plan = std::move(*plan);
  out.result = simulate({.plan = out.plan,
                         .profile = of.profile,
                         .trace = trace,
                         .failures = failures,
                         .span = of.span,
                         .warm_up = of.warm_up,
                         .drain_max = of.drain_max,
                         .objective = of.objective,
                         .routing = of.routing,
                         .recovery = of.recovery,
                         .switch_nodes = static_cast<uint32_t>(of.failures.switch_nodes),
                         .prefix_cache = of.prefix_cache,
                         .seed = of.seed,
                         .progress = of.progress});
  if (out.result.cancelled) return fail(status_code::cancelled, "ended early");
  return out;
}

} // namespace troupe::simulations::capacity
