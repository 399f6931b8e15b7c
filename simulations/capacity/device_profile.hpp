// The machines: how fast they compute, move bytes, talk to each other and read their disks. Every
// number carries where it comes from.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations::capacity {

struct device_profile {
  std::string name;
  double devices_per_node = 8;
  double tflops_16_bit = 0; // peak of a device, dense, without sparsity
  double tflops_8_bit = 0;
  double memory_gb = 0; // of a device; GB = 1e9 bytes throughout
  double memory_gb_per_s = 0;
  double compute_efficiency = 0.5; // of the peak that large products reach
  double memory_efficiency = 0.7;
  double memory_usable = 0.9; // for weights and KV pages; the rest is activations and the runtime
  double launch_us = 0;       // per layer and part (attention, experts): start of its kernels
  double step_us = 0;         // of the sequencer per step: planning and sampling
  double link_gb_per_s = 0;   // between devices of a node, per device and direction
  double link_us = 0;
  double network_gb_per_s = 0; // of a node to other nodes, per direction
  double network_us = 0;       // one hop, first byte
  double disk_gb_per_s = 0;    // of a node, reading weight files
  double part_start_s = 0;     // a part that begins elsewhere, besides its weights

  uint32_t devices() const { return static_cast<uint32_t>(devices_per_node); }
  double flops_per_s(double weight_bytes) const; // reached, of a device
  double bytes_per_s() const;                    // reached, of a device
  double node_memory_bytes() const;              // usable
};

struct profile_field {
  std::string_view name;
  double device_profile::*member;
  double least, most;
  std::string_view meaning;
};
std::span<const profile_field> profile_fields();

// h100, a100, cpu.
result<device_profile> device_named(std::string_view name);
std::vector<std::string> device_names();
// Where the number of a preset comes from; "set by the user" when it is not the preset's.
std::string source_of(const device_profile& profile, const profile_field& field);

status validate(const device_profile& profile);

} // namespace troupe::simulations::capacity
