// By nlohmann-json; lists of times are flat to keep the line short.
#include "simulations/runner/result_text.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

namespace troupe::simulations {
namespace {

using json = nlohmann::json;

int64_t count(time_point when) {
  return when.time_since_epoch().count();
}
time_point at(int64_t count) {
  return time_point(duration(count));
}

json recoveries_of(const run_result& what) {
  json out = json::array();
  for (const auto& each : what.recoveries)
    out.push_back(
        {each.detect.count(), each.decide.count(), each.restore.count(), each.refill.count()});
  return out;
}

void read_recoveries(const json& from, run_result& out) {
  for (const auto& each : from)
    out.recoveries.push_back({.detect = duration(each.at(0).get<int64_t>()),
                              .decide = duration(each.at(1).get<int64_t>()),
                              .restore = duration(each.at(2).get<int64_t>()),
                              .refill = duration(each.at(3).get<int64_t>())});
}

json messages_of(const run_result& what) {
  json out = json::array();
  for (const auto& each : what.messages)
    out.push_back({each.from, each.to, count(each.sent), count(each.arrived), each.what});
  return out;
}

void read_messages(const json& from, run_result& out) {
  for (const auto& each : from)
    out.messages.push_back({.from = each.at(0),
                            .to = each.at(1),
                            .sent = at(each.at(2)),
                            .arrived = at(each.at(3)),
                            .what = each.at(4)});
}

run_result read_all(const json& from) {
  run_result out;
  out.seed = from.at("seed");
  out.hash = from.at("hash");
  out.events = from.at("events");
  out.virtual_time = duration(from.at("virtual_ns").get<int64_t>());
  for (const auto& each : from.at("violations"))
    out.violations.push_back({.invariant = each.at(0), .what = each.at(1), .when = at(each.at(2))});
  out.strategy = static_cast<strategy_kind>(from.at("strategy").get<int>());
  out.faults = from.at("faults").get<decltype(out.faults)>();
  out.probes = from.at("probes").get<decltype(out.probes)>();
  read_recoveries(from.at("recoveries"), out);
  out.streams = from.at("streams");
  out.streams_failed = from.at("streams_failed");
  out.tokens = from.at("tokens");
  out.tokens_recomputed = from.at("tokens_recomputed");
  out.epochs = from.at("epochs");
  out.tail = from.at("tail").get<decltype(out.tail)>();
  out.event_hashes = from.at("event_hashes").get<decltype(out.event_hashes)>();
  read_messages(from.at("messages"), out);
  for (const auto& each : from.at("marks"))
    out.marks.push_back({.node = each.at(0), .when = at(each.at(1)), .what = each.at(2)});
  return out;
}

} // namespace

std::string write_result(const run_result& what) {
  json out = {{"seed", what.seed},
              {"hash", what.hash},
              {"events", what.events},
              {"virtual_ns", what.virtual_time.count()},
              {"strategy", static_cast<int>(what.strategy)},
              {"faults", what.faults},
              {"probes", what.probes},
              {"recoveries", recoveries_of(what)},
              {"streams", what.streams},
              {"streams_failed", what.streams_failed},
              {"tokens", what.tokens},
              {"tokens_recomputed", what.tokens_recomputed},
              {"epochs", what.epochs},
              {"tail", what.tail},
              {"event_hashes", what.event_hashes},
              {"messages", messages_of(what)}};
  out["violations"] = json::array();
  for (const auto& each : what.violations)
    out["violations"].push_back({each.invariant, each.what, count(each.when)});
  out["marks"] = json::array();
  for (const auto& each : what.marks)
    out["marks"].push_back({each.node, count(each.when), each.what});
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

result<run_result> parse_result(std::string_view line) {
  const json from = json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!from.is_object() || !from.contains("seed") || !from.contains("marks"))
    return fail(status_code::corrupt,
                text("a worker's result cannot be read: ", line.substr(0, 80)));
  return read_all(from); // our own writing: its fields have the right types
}

} // namespace troupe::simulations
