// The same as JSON, with the numbers that went in and where they come from.
#include "simulations/capacity/report.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

namespace troupe::simulations::capacity {
namespace {

using json = nlohmann::ordered_json;

json as_json(const quantiles& of) {
  return {{"p50", of.p50_ms}, {"p99", of.p99_ms}};
}

json as_json(const run_result& r) {
  json recoveries = json::array();
  for (const auto& each : r.recoveries)
    recoveries.push_back(
        {{"at_ns", each.failure.at},
         {"kind", each.planned ? "return" : std::string(to_string(each.failure.kind))},
         {"hang", each.failure.hang},
         {"replica", each.replica},
         {"detect_ns", each.times.detect},
         {"decide_ns", each.times.decide},
         {"down_ns", each.down},
         {"restore_ns", each.times.restore},
         {"refill_ns", each.refill},
         {"streams", each.streams},
         {"recomputed_tokens", each.recomputed_tokens},
         {"finished", each.finished}});
  return {{"requests", r.requests},
          {"done", r.done},
          {"refused", r.refused},
          {"unfinished", r.unfinished},
          {"interrupted", r.touched},
          {"within_objective", r.within_objective},
          {"within_objective_share", share_within(r)},
          {"measured_s", r.seconds},
          {"offered_per_s", r.offered_per_s},
          {"input_tokens_per_s", r.input_tokens_per_s},
          {"output_tokens_per_s", r.output_tokens_per_s},
          {"goodput_tokens_per_s", r.goodput_per_s},
          {"ttft_ms", as_json(r.ttft)},
          {"tpot_ms", as_json(r.tpot)},
          {"kv_mean", r.kv_mean},
          {"kv_max", r.kv_peak},
          {"load", r.load},
          {"busy_mean", r.busy_mean},
          {"busy_max", r.busy_most},
          {"expert_imbalance", r.imbalance},
          {"prefix_hit_rate", r.prefix_hit_rate},
          {"steps", r.steps},
          {"step_tokens", r.step_tokens},
          {"step_ms", r.step_ms},
          {"preemptions", r.preemptions},
          {"events", r.events},
          {"served_share", r.served_share},
          {"recoveries", recoveries}};
}

json as_json(const estimate& of) {
  return {{"value", of.value}, {"low", of.low}, {"high", of.high}};
}

json as_json(const availability_result& of) {
  json classes = json::array();
  for (const auto& each : of.classes)
    classes.push_back({{"kind", to_string(each.kind)},
                       {"hang", each.hang},
                       {"share", each.share},
                       {"samples", each.detect.count},
                       {"replicas_hit", each.replicas_hit},
                       {"detect_s", each.detect.mean()},
                       {"decide_s", each.decide.mean()},
                       {"restore_s", each.restore.mean()},
                       {"no_node_s", each.down.mean()},
                       {"refill_s", each.refill.mean()},
                       {"rejoin_s", each.rejoin.mean()},
                       {"stopped_s", each.stopped.mean()},
                       {"lost_goodput_s", each.lost.mean()},
                       {"degraded_s", each.degraded.mean()},
                       {"recomputed_tokens", each.recomputed_tokens},
                       {"unrecovered", each.unrecovered}});
  return {{"failures_per_day", of.failures_per_day},
          {"available", as_json(of.served)},
          {"goodput_kept", as_json(of.goodput)},
          {"stop_per_failure_s", as_json(of.recovery_s)},
          {"classes", classes}};
}

json inputs(const study& of) {
  json device = {{"name", of.system.device.name}};
  for (const auto& field : profile_fields())
    device[std::string(field.name)] = {{"value", of.system.device.*field.member},
                                       {"source", source_of(of.system.device, field)}};
  json failures = {{"name", of.failures.name}};
  for (const auto& field : failure_fields())
    failures[std::string(field.name)] = {{"value", of.failures.*field.member},
                                         {"source", field.source}};
  const auto& model = of.system.model;
  const auto& timing = of.recovery.timing;
  return {{"model",
           {{"name", model.name},
            {"parameters", model.params()},
            {"active_parameters", model.active_params()},
            {"weight_bytes", model.weight_bytes},
            {"kv_bytes_per_token", model.kv_bytes_per_token()},
            {"layers", model.layers.size()},
            {"experts", model.experts},
            {"experts_per_token", model.top_k}}},
          {"device", device},
          {"failures", failures},
          {"failure_scale", of.failure_scale},
          {"trace", of.profile.name},
          {"rate_per_s", of.rate_per_s},
          {"span_ns", of.span},
          {"warm_up_ns", of.warm_up},
          {"seed", of.seed},
          {"objective",
           {{"ttft_ms", of.objective.ttft_ms},
            {"tpot_ms", of.objective.tpot_ms},
            {"share", of.objective_share}}},
          {"routing",
           {{"skew", of.routing.skew},
            {"drift_s", of.routing.drift_s},
            {"moved_share", of.routing.moved_share}}},
          {"recovery",
           {{"report_every_ns", timing.report_every.count()},
            {"suspect_phi", timing.suspect_phi},
            {"pause_allowed_ns", timing.pause_allowed.count()},
            {"step_max_ns", timing.step_max.count()},
            {"decide_ms", of.recovery.decide_ms},
            {"restore_from", of.recovery.restore_from_peer ? "peer" : "disk"}}},
          {"step",
           {{"tokens_max", of.system.limits.tokens_max},
            {"prefill_chunk_max", of.system.limits.prefill_chunk_max},
            {"sequences_max", of.system.limits.sequences_max},
            {"queue_max", of.system.limits.queue_max}}},
          {"prefix_cache", of.prefix_cache}};
}

json row_json(const report_row& row) {
  json out = {{"nodes", row.nodes}, {"copies", row.copies}};
  if (!row.why_not.empty()) {
    out["failure"] = row.why_not;
    return out;
  }
  out["replicas"] = row.plan.replicas;
  out["nodes_per_replica"] = row.plan.nodes_per_replica;
  out["idle_nodes"] = row.plan.idle_nodes();
  out["devices"] = row.nodes * row.plan.device.devices();
  out["stages"] = row.plan.layout.stages;
  out["shards"] = row.plan.layout.shards;
  out["kv_tokens_per_replica"] = row.plan.kv_tokens;
  out["result"] = as_json(row.result);
  if (row.availability) out["availability"] = as_json(*row.availability);
  return out;
}

json answer_json(const answer& of) {
  json tried = json::array(), choices = json::array();
  for (const auto& each : of.tried) {
    json one = {{"nodes", each.nodes}, {"copies", each.copies}, {"meets", each.meets}};
    if (each.why_not.empty())
      one["result"] = as_json(each.result);
    else
      one["failure"] = each.why_not;
    tried.push_back(one);
  }
  for (const auto& each : of.choices)
    choices.push_back({{"nodes", each.nodes},
                       {"copies", each.copies},
                       {"meets", each.meets},
                       {"availability", as_json(each.availability)}});
  json out = {{"tried", tried}, {"choices", choices}, {"best", nullptr}};
  if (of.best)
    out["best"] = {{"nodes", of.choices[*of.best].nodes}, {"copies", of.choices[*of.best].copies}};
  return out;
}

} // namespace

std::string report_json(const report& what) {
  json out = {{"inputs", inputs(what.of)}};
  if (what.found) {
    out["answer"] = answer_json(*what.found);
  } else {
    out["clusters"] = json::array();
    for (const auto& row : what.rows) out["clusters"].push_back(row_json(row));
  }
  json fidelity = json::array();
  for (const auto& row : what.fidelity.rows) {
    json one = {{"what", row.what},
                {"published", nullptr},
                {"generated", row.generated},
                {"matched", row.accepted}};
    if (row.published) one["published"] = *row.published;
    fidelity.push_back(one);
  }
  out["fidelity"] = fidelity;
  out["modelled"] = modelled();
  out["not_modelled"] = not_modelled();
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace troupe::simulations::capacity
