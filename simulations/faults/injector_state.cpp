// Faults of devices (F40 to F45), disks (F50 to F57) and clocks (F60 to F64).
#include "simulations/faults/injector.hpp"

#include <algorithm>

namespace troupe::simulations {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {
constexpr duration call_wait_min = milliseconds(1);
}

injector::outcome injector::on_device(slot& s, const std::function<void(device_quality&)>& change) {
  if (spares(s, {s.node})) return outcome::spared;
  s.in_force.push_back(effects_.on_device(s.node, change));
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::on_disk(slot& s, const std::function<void(disk_quality&)>& change) {
  if (spares(s, {s.node})) return outcome::spared;
  s.in_force.push_back(effects_.on_disk(s.node, change));
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::on_clock(slot& s, const std::function<void(clock_fault&)>& change) {
  s.in_force.push_back(effects_.on_clock(s.node, change));
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::throttle(slot& s) {
  if (spares(s, {s.node})) return outcome::spared;
  const int64_t steps = setting(s, "steps");
  const int64_t slowest = setting(s, "slow_percent");
  for (int64_t step = 1; step <= steps; ++step) {
    const auto percent = static_cast<uint32_t>(100 + (slowest - 100) * step / steps);
    later(s, s.what->lasts * (step - 1) / (2 * steps), [this, &s, percent] {
      s.in_force.push_back(effects_.on_device(s.node, [percent](device_quality& device) {
        device.slow_percent = std::max(device.slow_percent, percent);
      }));
    });
  }
  finish_later(s);
  return outcome::done;
}

injector::outcome injector::inject_device(slot& s) {
  const std::string_view id = s.entry->id;
  if (id == "F40" || id == "F41") {
    // What a device lost comes back with the process that starts after the repair.
    const bool at_once = id == "F40";
    const auto error = at_once ? 0u : static_cast<uint32_t>(setting(s, "error_ppm"));
    const outcome out = on_device(s, [at_once, error](device_quality& device) {
      device.lost = device.lost || at_once;
      device.error_ppm = std::max(device.error_ppm, error);
    });
    if (out == outcome::done) s.repairs.push_back(s.node);
    return out;
  }
  if (id == "F42") {
    const auto flips = static_cast<uint32_t>(setting(s, "flip_ppm"));
    return on_links(
        s, [flips](link_quality& link) { link.flip_ppm = std::max(link.flip_ppm, flips); });
  }
  if (id == "F44") return on_device(s, [](device_quality& device) { device.hung = true; });
  if (id == "F45") return throttle(s);
  return outcome::no_effect;
}

// The process ends in the middle of one of its next calls to the disk.
injector::outcome injector::end_at_call(slot& s) {
  if (!surface_.up(s.node)) return outcome::no_effect;
  simulated_disk& disk = surface_.disk(s.node);
  const auto ahead = static_cast<uint64_t>(setting(s, "calls"));
  disk.die_at_call(disk.calls() + ahead, [this, &s] {
    s.armed = false;
    const int64_t restart = setting(s, "restart_after_ms");
    if (!s.over) return record(s, crash(s, s.node, crash_fate::tear, restart));
    // Healed in the very moment: the process cannot go on without its disk.
    if (!surface_.up(s.node)) return;
    effects_.process_ends(s.node);
    surface_.crash(s.node, atlas_.soften(s.node, crash_fate::tear));
    start(s.node);
  });
  s.armed = true;
  later(s, std::max(s.what->lasts, call_wait_min), [this, &s] { disarm(s); });
  return outcome::waits;
}

void injector::disarm(slot& s) {
  if (s.armed) surface_.disk(s.node).die_at_call(UINT64_MAX, [] {});
  s.armed = false;
}

injector::outcome injector::lie(slot& s) {
  const bool names = s.entry->id == "F57";
  atlas_.note_lies(s.node);
  const outcome out = on_disk(s, [names](disk_quality& disk) {
    (names ? disk.sync_directory_lies : disk.sync_lies) = true;
  });
  if (out == outcome::done && setting(s, "power_loss") != 0 && s.what->lasts > duration{})
    later(s, s.what->lasts, [this, &s] {
      (void)crash(s, s.node, crash_fate::drop_unsynced, setting(s, "restart_after_ms"));
    });
  return out;
}

injector::outcome injector::inject_storage(slot& s) {
  const std::string_view id = s.entry->id;
  const auto rate = [&](std::string_view name) { return static_cast<uint32_t>(setting(s, name)); };
  if (id == "F50")
    return on_disk(s, [reads = rate("read_ppm"), writes = rate("write_ppm")](disk_quality& disk) {
      disk.read_error_ppm = std::max(disk.read_error_ppm, reads);
      disk.write_error_ppm = std::max(disk.write_error_ppm, writes);
    });
  if (id == "F51")
    return on_disk(
        s, [stalled = setting(s, "stalled") != 0,
            latency = duration(microseconds(setting(s, "latency_us")))](disk_quality& disk) {
          disk.stalled = disk.stalled || stalled;
          disk.latency_mean = std::max(disk.latency_mean, latency);
        });
  if (id == "F52") return on_disk(s, [](disk_quality& disk) { disk.full = true; });
  if (id == "F53") return end_at_call(s);
  if (id == "F54" || id == "F55") {
    const outcome out = lose_memory(s.node, [&] {
      simulated_disk& disk = surface_.disk(s.node);
      if (id == "F54") return !disk.misdirect().empty();
      bool any = false;
      for (int64_t bit = 0; bit < setting(s, "bits"); ++bit) any = !disk.rot().empty() || any;
      return any;
    });
    if (out == outcome::done && setting(s, "restart") != 0)
      (void)crash(s, s.node, crash_fate::keep_all, setting(s, "restart_after_ms"));
    return out;
  }
  if (id == "F56" || id == "F57") return lie(s);
  return outcome::no_effect;
}

injector::outcome injector::shake_clock(slot& s) {
  const bool for_good = s.what->lasts == duration{};
  noise(s, 0, for_good ? time_point::max() : surface_.base().now() + s.what->lasts);
  return outcome::done;
}

void injector::noise(slot& s, uint64_t n, time_point until) {
  const int64_t most = setting(s, "drift_ppm");
  const auto span = static_cast<uint64_t>(2 * most + 1);
  const int64_t drift = static_cast<int64_t>(draw(s, n) % span) - most;
  finish(s);
  s.in_force = {
      effects_.on_clock(s.node, [drift](clock_fault& clock) { clock.drift_ppm += drift; })};
  const duration every = milliseconds(setting(s, "every_ms"));
  if (surface_.base().now() + every < until)
    later(s, every, [this, &s, n, until] { noise(s, n + 1, until); });
  else
    later(s, every, [this, &s] { finish(s); });
}

injector::outcome injector::inject_clock(slot& s) {
  const std::string_view id = s.entry->id;
  if (id == "F60")
    return on_clock(
        s, [drift = setting(s, "drift_ppm")](clock_fault& clock) { clock.drift_ppm += drift; });
  if (id == "F61") {
    surface_.jump_clock(s.node, milliseconds(setting(s, "ahead_ms")));
    return outcome::done;
  }
  if (id == "F62")
    return on_clock(s,
                    [wave = setting(s, "wave_ppm"),
                     period = duration(milliseconds(setting(s, "period_ms")))](clock_fault& clock) {
                      clock.wave_ppm = wave;
                      clock.wave_period = period;
                    });
  if (id == "F63") return shake_clock(s);
  if (id == "F64")
    return on_clock(
        s, [back = setting(s, "back_s")](clock_fault& clock) { clock.wall_offset_s -= back; });
  return outcome::no_effect;
}

} // namespace troupe::simulations
