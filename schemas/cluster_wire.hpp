// Field by field between cluster_messages.hpp and cluster.capnp. Templates over the generated
// builders and readers, which only the codec's source knows.
#pragma once

#include "schemas/cluster_messages.hpp"
#include "schemas/frame_limits.hpp"
#include "schemas/wire_lists.hpp"

namespace troupe::schemas {

template <class Builder>
void write(const member& from, Builder to) {
  to.setIncarnation(from.incarnation);
  to.setGeneration(from.generation);
  to.setStagesLost(from.stages_lost);
  to.setPresent(from.present);
  to.setServing(from.serving);
}

template <class Reader>
void read(Reader from, member& to) {
  to.incarnation = from.getIncarnation();
  to.generation = from.getGeneration();
  to.stages_lost = from.getStagesLost();
  to.present = from.getPresent();
  to.serving = from.getServing();
}

template <class Builder>
void write(const placement& from, Builder to) {
  to.setSequencer(from.sequencer);
  write_list(from.stages, [&](unsigned size) { return to.initStages(size); });
  if (from.shards.empty()) return;
  auto shards = to.initShards(static_cast<unsigned>(from.shards.size()));
  for (unsigned i = 0; i < from.shards.size(); ++i)
    write_list(from.shards[i], [&](unsigned size) { return shards.init(i, size); });
}

template <class Reader>
void read(Reader from, placement& to, const frame_limits& limits, wire_budget& budget) {
  to.sequencer = from.getSequencer();
  const auto stages = from.getStages();
  const auto shards = from.getShards();
  if (!budget.allows(stages.size(), limits.stages_max, "stages") ||
      !budget.allows(shards.size(), limits.shards_max, "shards"))
    return;
  read_numbers(stages, to.stages);
  to.shards.resize(shards.size());
  for (unsigned i = 0; i < shards.size(); ++i) {
    const auto copies = shards[i];
    if (!budget.allows(copies.size(), limits.nodes_max, "copies of a shard")) return;
    read_numbers(copies, to.shards[i]);
  }
}

template <class Builder>
void write(const cluster_state& from, Builder to) {
  to.setEpoch(from.epoch);
  to.setKvVersion(from.kv_version);
  write_structs(
      from.members, [&](unsigned size) { return to.initMembers(size); },
      [](const member& one, auto wire) { write(one, wire); });
  write(from.where, to.initWhere());
}

template <class Reader>
void read(Reader from, cluster_state& to, const frame_limits& limits, wire_budget& budget) {
  to.epoch = from.getEpoch();
  to.kv_version = from.getKvVersion();
  const auto members = from.getMembers();
  if (!budget.allows(members.size(), limits.nodes_max, "members")) return;
  read_structs(members, to.members, [](auto wire, member& one) { read(wire, one); });
  read(from.getWhere(), to.where, limits, budget);
}

template <class Builder>
void write(const node_report& from, Builder to) {
  to.setNode(from.node);
  to.setIncarnation(from.incarnation);
  to.setNumber(from.number);
  to.setEpoch(from.epoch);
  to.setEpochReady(from.epoch_ready);
  to.setEpochGo(from.epoch_go);
  to.setEpochStuck(from.epoch_stuck);
  to.setGeneration(from.generation);
  to.setStagesLost(from.stages_lost);
  to.setServing(from.serving);
  to.setDraining(from.draining);
  to.setHasStreams(from.has_streams);
  to.setLeads(from.leads);
  to.setMajority(from.majority);
  write_list(from.hears, [&](unsigned size) { return to.initHears(size); });
  to.setSpeed(from.speed);
  to.setMemory(from.memory);
  write_list(from.shard_rows, [&](unsigned size) { return to.initShardRows(size); });
  to.setModel(from.model);
  to.setLayout(from.layout);
}

template <class Reader>
void read(Reader from, node_report& to, const frame_limits& limits, wire_budget& budget) {
  to.node = from.getNode();
  to.incarnation = from.getIncarnation();
  to.number = from.getNumber();
  to.epoch = from.getEpoch();
  to.epoch_ready = from.getEpochReady();
  to.epoch_go = from.getEpochGo();
  to.epoch_stuck = from.getEpochStuck();
  to.generation = from.getGeneration();
  to.stages_lost = from.getStagesLost();
  to.serving = from.getServing();
  to.draining = from.getDraining();
  to.has_streams = from.getHasStreams();
  to.leads = from.getLeads();
  to.majority = from.getMajority();
  to.model = from.getModel();
  to.layout = from.getLayout();
  to.speed = from.getSpeed();
  to.memory = from.getMemory();
  const auto rows = from.getShardRows();
  if (budget.allows(rows.size(), limits.shards_max, "shards' rows"))
    read_numbers(rows, to.shard_rows);
  const auto hears = from.getHears();
  if (budget.allows(hears.size(), limits.nodes_max, "nodes heard")) read_numbers(hears, to.hears);
}

// -- the register

template <class Builder>
void write(const ballot& from, Builder to) {
  to.setRound(from.round);
  to.setProposer(from.proposer);
}

template <class Reader>
void read(Reader from, ballot& to) {
  to.round = from.getRound();
  to.proposer = from.getProposer();
}

template <class List>
void read_recoveries(List from, std::vector<uint64_t>& to, const frame_limits& limits,
                     wire_budget& budget) {
  if (budget.allows(from.size(), limits.nodes_max, "recoveries")) read_numbers(from, to);
}

template <class Builder>
void write(const acceptor_state& from, Builder to) {
  write(from.promised, to.initPromised());
  write(from.accepted, to.initAccepted());
  write(from.value, to.initValue());
  write_list(from.recovered, [&](unsigned size) { return to.initRecovered(size); });
}

template <class Reader>
void read(Reader from, acceptor_state& to, const frame_limits& limits, wire_budget& budget) {
  read(from.getPromised(), to.promised);
  read(from.getAccepted(), to.accepted);
  read(from.getValue(), to.value, limits, budget);
  read_recoveries(from.getRecovered(), to.recovered, limits, budget);
}

template <class Builder>
void write(const register_prepare& from, Builder to) {
  write(from.number, to.initNumber());
}

template <class Reader>
void read(Reader from, register_prepare& to, const frame_limits&, wire_budget&) {
  read(from.getNumber(), to.number);
}

template <class Builder>
void write(const register_promise& from, Builder to) {
  write(from.number, to.initNumber());
  to.setGranted(from.granted);
  write(from.promised, to.initPromised());
  write(from.accepted, to.initAccepted());
  write(from.value, to.initValue());
  write_list(from.recovered, [&](unsigned size) { return to.initRecovered(size); });
}

template <class Reader>
void read(Reader from, register_promise& to, const frame_limits& limits, wire_budget& budget) {
  read(from.getNumber(), to.number);
  to.granted = from.getGranted();
  read(from.getPromised(), to.promised);
  read(from.getAccepted(), to.accepted);
  read(from.getValue(), to.value, limits, budget);
  read_recoveries(from.getRecovered(), to.recovered, limits, budget);
}

template <class Builder>
void write(const register_accept& from, Builder to) {
  write(from.number, to.initNumber());
  write(from.value, to.initValue());
}

template <class Reader>
void read(Reader from, register_accept& to, const frame_limits& limits, wire_budget& budget) {
  read(from.getNumber(), to.number);
  read(from.getValue(), to.value, limits, budget);
}

template <class Builder>
void write(const register_accepted& from, Builder to) {
  write(from.number, to.initNumber());
  to.setGranted(from.granted);
  write(from.promised, to.initPromised());
  write_list(from.recovered, [&](unsigned size) { return to.initRecovered(size); });
}

template <class Reader>
void read(Reader from, register_accepted& to, const frame_limits& limits, wire_budget& budget) {
  read(from.getNumber(), to.number);
  to.granted = from.getGranted();
  read(from.getPromised(), to.promised);
  read_recoveries(from.getRecovered(), to.recovered, limits, budget);
}

template <class Builder>
void write(const register_recover& from, Builder to) {
  to.setNonce(from.nonce);
}

template <class Reader>
void read(Reader from, register_recover& to, const frame_limits&, wire_budget&) {
  to.nonce = from.getNonce();
}

template <class Builder>
void write(const register_recovered& from, Builder to) {
  to.setNonce(from.nonce);
  write(from.state, to.initState());
}

template <class Reader>
void read(Reader from, register_recovered& to, const frame_limits& limits, wire_budget& budget) {
  to.nonce = from.getNonce();
  read(from.getState(), to.state, limits, budget);
}

template <class Builder>
void write(const state_update& from, Builder to) {
  write(from.state, to.initState());
}

template <class Reader>
void read(Reader from, state_update& to, const frame_limits& limits, wire_budget& budget) {
  read(from.getState(), to.state, limits, budget);
}

} // namespace troupe::schemas
