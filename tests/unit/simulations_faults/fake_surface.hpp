// A cluster without processes: it remembers what was done to it.
#pragma once

#include "base/text.hpp"
#include "simulations/cluster/fault_surface.hpp"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace troupe::simulations {

class fake_surface final : public fault_surface {
public:
  explicit fake_surface(uint32_t count, uint32_t voter_count = 3)
      : world_({.seed = 7, .machines = count, .strategy = {}}),
        network_(world_, names(count)),
        voters_(voter_count),
        up_(count, true),
        paused_(count, false),
        devices_(count),
        clocks_(count),
        costs_(count) {
    for (uint32_t i = 0; i < count; ++i) disks_.emplace_back(world_, i);
  }

  world& base() override { return world_; }
  uint32_t nodes() const override { return static_cast<uint32_t>(up_.size()); }
  bool up(uint32_t node) const override { return up_[node]; }
  void crash(uint32_t node, crash_fate fate) override {
    note("crash", node);
    fates.push_back(fate);
    up_[node] = false;
  }
  void wipe_disk(uint32_t node) override {
    EXPECT_FALSE(up_[node]) << "only while down";
    note("wipe", node);
  }
  void start(uint32_t node) override {
    note("start", node);
    up_[node] = true;
  }
  void pause(uint32_t node) override {
    note("pause", node);
    paused_[node] = true;
  }
  void resume(uint32_t node) override {
    note("resume", node);
    paused_[node] = false;
  }
  void set_message_cost(uint32_t node, duration cost) override { costs_[node] = cost; }
  void drain(uint32_t node) override { note("drain", node); }
  bool kill_part(uint32_t node, const dataflow::role& who) override {
    note(text("kill ", dataflow::to_string(who), " of"), node);
    return true;
  }
  simulated_network& network() override { return network_; }
  device_quality& device(uint32_t node) override { return devices_[node]; }
  simulated_disk& disk(uint32_t node) override { return disks_[node]; }
  void set_clock(uint32_t node, const clock_fault& fault) override { clocks_[node] = fault; }
  void jump_clock(uint32_t node, duration) override { note("jump", node); }
  std::optional<uint32_t> leader() const override { return leader_now; }
  std::vector<uint32_t> hosts(const dataflow::role& who) const override {
    const auto found = placed.find(who);
    return found == placed.end() ? std::vector<uint32_t>{} : found->second;
  }
  uint32_t voters() const override { return voters_; }
  void disconnect_client(uint32_t client) override { note("disconnect", client); }
  void stall_client(uint32_t client, duration) override { note("stall", client); }
  void add_load(uint32_t requests) override { note("load", requests); }

  bool paused(uint32_t node) const { return paused_[node]; }
  const clock_fault& clock_of(uint32_t node) const { return clocks_[node]; }
  duration cost_of(uint32_t node) const { return costs_[node]; }
  uint32_t cut_links() {
    uint32_t out = 0;
    for (uint32_t a = 0; a < nodes(); ++a)
      for (uint32_t b = 0; b < nodes(); ++b)
        if (a != b && network_.link(a, b).cut) ++out;
    return out;
  }

  // Lets virtual time pass.
  void run(duration how_long) {
    const time_point until = world_.now() + how_long;
    while (world_.step(until)) {
    }
  }

  std::vector<std::string> done; // "crash 2"
  std::vector<crash_fate> fates;
  std::optional<uint32_t> leader_now = 0;
  std::map<dataflow::role, std::vector<uint32_t>> placed;

private:
  static std::vector<std::string> names(uint32_t count) {
    std::vector<std::string> out;
    for (uint32_t i = 0; i < count; ++i) out.push_back(text("n", i));
    return out;
  }
  void note(const std::string& what, uint32_t node) { done.push_back(text(what, " ", node)); }

  world world_;
  simulated_network network_;
  uint32_t voters_;
  std::vector<bool> up_, paused_;
  std::vector<device_quality> devices_;
  std::deque<simulated_disk> disks_;
  std::vector<clock_fault> clocks_;
  std::vector<duration> costs_;
};

} // namespace troupe::simulations
