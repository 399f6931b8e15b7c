// Which CUDA devices this machine has. Built only where nvcc is found; running without a driver or
// without devices is a status and not a failure of the program. Free of CUDA headers.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::gpu {

struct cuda_device {
  int index = 0; // as CUDA counts them
  std::string name;
  uint64_t memory_bytes = 0;
  int compute_major = 0;
  int compute_minor = 0;
  int multiprocessors = 0;
};

struct cuda_platform {
  int driver_version = 0; // 13000 is 13.0
  int runtime_version = 0;
  std::vector<cuda_device> devices; // may be empty
};

// `unavailable` without a driver, or when it is too old for the runtime. Makes no context on any
// device.
result<cuda_platform> list_cuda_devices();

// "13.0" of 13000.
std::string version_text(int version);

} // namespace troupe::gpu
