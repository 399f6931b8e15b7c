// More nodes never serve worse, so the search doubles and then halves.
#include "simulations/capacity/answer.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace troupe::simulations::capacity {
namespace {

class search {
public:
  search(const study& of, const answer_options& options) : study_(of), options_(options) {}

  result<answer> run() {
    status last;
    for (uint32_t copies = 1; copies <= options_.copies_max; ++copies) {
      plan_request request = study_.system;
      request.copies = copies;
      uint32_t unit = request.nodes_per_replica;
      if (unit == 0) {
        const auto needed = nodes_needed(request);
        if (!needed) {
          last = needed.error();
          continue;
        }
        unit = *needed;
      } else if (copies > unit) {
        continue;
      }
      const auto nodes = fewest(unit, copies);
      if (!nodes) return fail(nodes.error());
      if (*nodes == 0) continue;
      if (const auto s = choose(*nodes, copies); !s.ok()) return fail(s);
      if (study_.system.model.experts == 0) break; // nothing to copy
    }
    if (out_.tried.empty() && !last.ok()) return fail(last);
    for (size_t n = 0; n < out_.choices.size(); ++n)
      if (out_.choices[n].meets &&
          (!out_.best || out_.choices[n].nodes < out_.choices[*out_.best].nodes))
        out_.best = n;
    return std::move(out_);
  }

private:
  result<bool> meets(uint32_t nodes, uint32_t copies) {
    if (options_.tell) options_.tell(text(nodes, " nodes, ", copies, " copies"));
    candidate each;
    each.nodes = nodes;
    each.copies = copies;
    auto done = run_study(study_, nodes, copies);
    if (!done && done.error().code() == status_code::cancelled) return fail(done.error());
    if (!done) {
      each.why_not = done.error().why();
    } else {
      each.replicas = done->plan.replicas;
      each.meets = done->meets(study_);
      each.share = share_within(done->result);
      each.result = std::move(done->result);
      each.result.records.clear();
    }
    out_.tried.push_back(std::move(each));
    return out_.tried.back().meets;
  }

  // In whole replicas of `unit` nodes; 0 when even the largest cluster does not do.
  result<uint32_t> fewest(uint32_t unit, uint32_t copies) {
    const uint32_t replicas_max = devices_max / study_.system.device.devices() / unit;
    uint32_t enough = 0, too_few = 0;
    for (uint32_t replicas = 1; enough == 0; replicas = std::min(replicas * 2, replicas_max)) {
      const auto good = meets(replicas * unit, copies);
      if (!good) return fail(good.error());
      if (*good)
        enough = replicas;
      else
        too_few = replicas;
      if (!*good && replicas == replicas_max) return 0;
    }
    while (enough - too_few > 1) {
      const uint32_t middle = too_few + (enough - too_few) / 2;
      const auto good = meets(middle * unit, copies);
      if (!good) return fail(good.error());
      (*good ? enough : too_few) = middle;
    }
    return enough * unit;
  }

  status choose(uint32_t nodes, uint32_t copies) {
    if (options_.tell) options_.tell(text("failures of ", nodes, " nodes, ", copies, " copies"));
    auto cost = estimate_availability(study_, nodes, copies, options_.sampling);
    if (!cost) return cost.error();
    const bool good = cost->served.value >= options_.availability;
    out_.choices.push_back({nodes, copies, std::move(*cost), good});
    return {};
  }

  const study& study_;
  const answer_options& options_;
  answer out_;
};

} // namespace

result<answer> find_answer(const study& of, const answer_options& options) {
  return search(of, options).run();
}

} // namespace troupe::simulations::capacity
