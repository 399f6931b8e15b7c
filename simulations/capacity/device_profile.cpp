// The presets, and the table of what their numbers mean.
#include "simulations/capacity/device_profile.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

using p = device_profile;

constexpr std::array<profile_field, 16> fields = {{
    {"devices_per_node", &p::devices_per_node, 1, 72, "devices that share a node"},
    {"tflops_16_bit", &p::tflops_16_bit, 1e-3, 1e6, "peak of a device in bf16, dense"},
    {"tflops_8_bit", &p::tflops_8_bit, 1e-3, 1e6, "peak of a device in fp8 or int8, dense"},
    {"memory_gb", &p::memory_gb, 1e-3, 1e6, "memory of a device"},
    {"memory_gb_per_s", &p::memory_gb_per_s, 1e-3, 1e6, "its bandwidth"},
    {"compute_efficiency", &p::compute_efficiency, 1e-3, 1, "share of the peak that is reached"},
    {"memory_efficiency", &p::memory_efficiency, 1e-3, 1, "share of the bandwidth"},
    {"memory_usable", &p::memory_usable, 1e-2, 1, "share for weights and KV pages"},
    {"launch_us", &p::launch_us, 0, 1e6, "start of a layer's kernels, per part"},
    {"step_us", &p::step_us, 0, 1e6, "planning and sampling of a step"},
    {"link_gb_per_s", &p::link_gb_per_s, 1e-3, 1e6, "between devices of a node"},
    {"link_us", &p::link_us, 0, 1e6, "its latency"},
    {"network_gb_per_s", &p::network_gb_per_s, 1e-3, 1e6, "of a node to others"},
    {"network_us", &p::network_us, 0, 1e6, "latency of a hop"},
    {"disk_gb_per_s", &p::disk_gb_per_s, 1e-3, 1e6, "reading weight files on a node"},
    {"part_start_s", &p::part_start_s, 0, 3600, "a moved part's start besides its weights"},
}};

struct preset {
  device_profile values;
  std::array<std::string_view, 16> sources; // in the order of the fields
};

constexpr std::string_view assumed = "assumption";

const std::array<preset, 3>& presets() {
  static const std::array<preset, 3> all = {{
      {{.name = "h100",
        .devices_per_node = 8,
        .tflops_16_bit = 989,
        .tflops_8_bit = 1979,
        .memory_gb = 80,
        .memory_gb_per_s = 3350,
        .compute_efficiency = 0.5,
        .memory_efficiency = 0.7,
        .memory_usable = 0.9,
        .launch_us = 12,
        .step_us = 200,
        .link_gb_per_s = 450,
        .link_us = 6,
        .network_gb_per_s = 400,
        .network_us = 15,
        .disk_gb_per_s = 27.6,
        .part_start_s = 2},
       {"DGX H100", "H100 SXM data sheet", "H100 SXM data sheet", "H100 SXM data sheet",
        "H100 SXM data sheet", assumed, assumed, assumed, assumed, assumed,
        "NVLink 4: 900 GB/s both ways", assumed, "8 x 400 Gb/s", assumed,
        "4 disks of 6.9 GB/s (PegaFlow, io_uring)", assumed}},
      {{.name = "a100",
        .devices_per_node = 8,
        .tflops_16_bit = 312,
        .tflops_8_bit = 312,
        .memory_gb = 80,
        .memory_gb_per_s = 2039,
        .compute_efficiency = 0.5,
        .memory_efficiency = 0.7,
        .memory_usable = 0.9,
        .launch_us = 12,
        .step_us = 200,
        .link_gb_per_s = 300,
        .link_us = 6,
        .network_gb_per_s = 200,
        .network_us = 15,
        .disk_gb_per_s = 27.6,
        .part_start_s = 2},
       {"DGX A100", "A100 SXM data sheet", "no fp8: as 16 bit", "A100 80GB SXM data sheet",
        "A100 80GB SXM data sheet", assumed, assumed, assumed, assumed, assumed,
        "NVLink 3: 600 GB/s both ways", assumed, "8 x 200 Gb/s", assumed,
        "4 disks of 6.9 GB/s (PegaFlow, io_uring)", assumed}},
      {{.name = "cpu",
        .devices_per_node = 2,
        .tflops_16_bit = 100,
        .tflops_8_bit = 200,
        .memory_gb = 768,
        .memory_gb_per_s = 850,
        .compute_efficiency = 0.4,
        .memory_efficiency = 0.6,
        .memory_usable = 0.9,
        .launch_us = 20,
        .step_us = 200,
        .link_gb_per_s = 60,
        .link_us = 2,
        .network_gb_per_s = 25,
        .network_us = 20,
        .disk_gb_per_s = 6.9,
        .part_start_s = 2},
       {"two sockets", assumed, assumed, assumed, "half of 1.7 TB/s, two-socket Xeon 6980P",
        assumed, assumed, assumed, assumed, assumed, assumed, assumed, "200 Gb/s", assumed,
        "one disk of 6.9 GB/s (PegaFlow, io_uring)", assumed}},
  }};
  return all;
}

} // namespace

std::span<const profile_field> profile_fields() {
  return fields;
}

double device_profile::flops_per_s(double weight_bytes) const {
  return (weight_bytes < 1.5 ? tflops_8_bit : tflops_16_bit) * 1e12 * compute_efficiency;
}

double device_profile::bytes_per_s() const {
  return memory_gb_per_s * 1e9 * memory_efficiency;
}

double device_profile::node_memory_bytes() const {
  return devices_per_node * memory_gb * 1e9 * memory_usable;
}

std::vector<std::string> device_names() {
  std::vector<std::string> out;
  for (const auto& each : presets()) out.push_back(each.values.name);
  return out;
}

result<device_profile> device_named(std::string_view name) {
  for (const auto& each : presets())
    if (each.values.name == name) return each.values;
  const std::string near = nearest_name(name, device_names());
  return fail(status_code::invalid_argument,
              text("'", name,
                   "' is no device; there are h100, a100 and cpu, and a profile file can "
                   "change their numbers",
                   near.empty() ? "" : text("; did you mean ", near, "?")));
}

std::string source_of(const device_profile& profile, const profile_field& field) {
  for (const auto& each : presets()) {
    if (each.values.name != profile.name) continue;
    if (each.values.*field.member != profile.*field.member) break;
    const auto at = std::find_if(fields.begin(), fields.end(),
                                 [&](const auto& other) { return other.name == field.name; });
    return std::string(each.sources[static_cast<size_t>(at - fields.begin())]);
  }
  return "set by the user";
}

status validate(const device_profile& profile) {
  for (const auto& field : profile_fields()) {
    const double value = profile.*field.member;
    if (!(value >= field.least && value <= field.most))
      return {status_code::invalid_argument,
              text("device.", field.name, " is ", value, "; it must be from ", field.least, " to ",
                   field.most)};
  }
  if (profile.devices_per_node != std::floor(profile.devices_per_node))
    return {status_code::invalid_argument,
            text("device.devices_per_node is ", profile.devices_per_node,
                 "; it must be a whole number")};
  return {};
}

} // namespace troupe::simulations::capacity
