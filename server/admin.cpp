// The page /admin/cluster.
#include "server/admin.hpp"

#include "server/json_text.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace troupe::server {
namespace {

double milliseconds(duration from) {
  return std::chrono::duration<double, std::milli>(from).count();
}

// Millions of multiplications a second, from eighths of octaves; 0: not known.
uint64_t rate_of(uint32_t speed) {
  constexpr uint32_t speed_max = 8 * 60; // more is nonsense
  if (speed == 0) return 0;
  return static_cast<uint64_t>(std::exp2(std::min(speed, speed_max) / 8.0) / 1e6);
}

json_value members_of(const actors::cluster_picture& cluster) {
  json_value out = json_value::array();
  for (const auto& member : cluster.members)
    out.push_back({{"name", member.name},
                   {"incarnation", member.incarnation},
                   {"voter", member.voter},
                   {"present", member.present},
                   {"serving", member.serving},
                   {"connected", member.connected},
                   {"roles", member.roles},
                   {"speed", rate_of(member.speed)},
                   {"memory", member.memory},
                   {"memory_roles", member.memory_roles}});
  return out;
}

json_value placement_of(const actors::cluster_picture& cluster) {
  json_value out{{"sequencer", nullptr},
                 {"attention_stages", cluster.stages},
                 {"expert_shards", cluster.shards},
                 {"shard_rows", cluster.shard_rows},
                 {"no_room", nullptr}};
  if (!cluster.no_room.empty()) out["no_room"] = cluster.no_room;
  if (!cluster.sequencer.empty()) out["sequencer"] = cluster.sequencer;
  return out;
}

// Of the machine's steady clock, so that moments of several nodes on one machine can be compared.
json_value moment(std::optional<time_point> when) {
  if (!when) return nullptr;
  return when->time_since_epoch().count();
}

json_value recoveries_of(const actors::cluster_picture& cluster) {
  json_value out{{"count", cluster.recoveries}, {"last", nullptr}};
  if (const auto& last = cluster.last_recovery)
    out["last"] = {{"epoch", last->epoch},
                   {"lost", last->lost},
                   {"took_ms", milliseconds(last->took)},
                   {"at", last->wall_seconds},
                   {"moments_ns",
                    {{"suspected", moment(last->suspected)},
                     {"known", moment(last->known)},
                     {"ready", moment(last->ready)},
                     {"served", moment(last->served)},
                     {"flowing", moment(last->flowing)}}}};
  return out;
}

json_value requests_of(const admin_page& page) {
  const auto& engine = page.engine;
  return {{"streams_open", page.streams_open},
          {"accepted", engine.requests_accepted},
          {"rejected", engine.requests_rejected},
          {"sequences_running", engine.requests_running},
          {"sequences_waiting", engine.requests_waiting},
          {"prompt_tokens", engine.prompt_tokens},
          {"generated_tokens", engine.generated_tokens},
          {"steps", engine.steps},
          {"parts_restarted", engine.restarts}};
}

} // namespace

std::string cluster_json(const admin_page& page) {
  const auto& cluster = page.cluster;
  json_value out{{"self", cluster.self},
                 {"incarnation", cluster.incarnation},
                 {"epoch", cluster.epoch},
                 {"kv_version", cluster.kv_version},
                 {"serving", cluster.serving},
                 {"majority", cluster.majority},
                 {"draining", cluster.draining},
                 {"drained", cluster.drained},
                 {"gave_up", nullptr}};
  if (!cluster.gave_up.empty()) out["gave_up"] = cluster.gave_up;
  out["members"] = members_of(cluster);
  out["placement"] = placement_of(cluster);
  out["expert_rows"] = page.engine.expert_tokens;
  out["kv"] = {{"pages_total", page.engine.pages_total},
               {"pages_used", page.engine.pages_used},
               {"pages_cached", page.engine.pages_cached}};
  out["requests"] = requests_of(page);
  out["recoveries"] = recoveries_of(cluster);
  const auto& gateway = cluster.gateway;
  out["gateway"] = {{"stale", gateway.stale},
                    {"corrupt", gateway.corrupt},
                    {"misrouted", gateway.misrouted},
                    {"resent", gateway.resent},
                    {"unacknowledged", gateway.unacknowledged},
                    {"waiting", gateway.waiting},
                    {"held", gateway.held}};
  const auto& transport = cluster.transport;
  out["transport"] = {{"frames_sent", transport.frames_sent},
                      {"frames_received", transport.frames_received},
                      {"bytes_sent", transport.bytes_sent},
                      {"bytes_received", transport.bytes_received},
                      {"refused_exhausted", transport.refused_exhausted},
                      {"dropped_stale", transport.dropped_stale},
                      {"dropped_peer_lost", transport.dropped_peer_lost}};
  return dump(out);
}

} // namespace troupe::server
