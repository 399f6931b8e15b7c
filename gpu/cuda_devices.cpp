// Asks the CUDA runtime; host code alone.
#include "gpu/cuda_devices.hpp"

#include "base/text.hpp"

#include <cuda_runtime_api.h>

namespace troupe::gpu {
namespace {

status refused(const char* question, cudaError_t error) {
  const auto code = error == cudaErrorNoDevice ? status_code::not_found : status_code::unavailable;
  return status(code, text("CUDA ", question, ": ", cudaGetErrorString(error)));
}

result<cuda_device> describe(int index) {
  cudaDeviceProp facts = {};
  if (const auto error = cudaGetDeviceProperties(&facts, index); error != cudaSuccess)
    return fail(refused("device properties", error));
  cuda_device out;
  out.index = index;
  out.name = facts.name;
  out.memory_bytes = facts.totalGlobalMem;
  out.compute_major = facts.major;
  out.compute_minor = facts.minor;
  out.multiprocessors = facts.multiProcessorCount;
  return out;
}

} // namespace

result<cuda_platform> list_cuda_devices() {
  cuda_platform out;
  if (const auto error = cudaRuntimeGetVersion(&out.runtime_version); error != cudaSuccess)
    return fail(refused("runtime version", error));
  // Without a driver this succeeds and says version 0.
  if (const auto error = cudaDriverGetVersion(&out.driver_version); error != cudaSuccess)
    return fail(refused("driver version", error));
  if (out.driver_version == 0) return fail(status_code::unavailable, "no CUDA driver is installed");
  int count = 0;
  const auto counted = cudaGetDeviceCount(&count);
  if (counted == cudaErrorNoDevice) return out;
  if (counted != cudaSuccess) return fail(refused("device count", counted));
  for (int index = 0; index < count; ++index) {
    auto device = describe(index);
    if (!device) return fail(device.error());
    out.devices.push_back(std::move(*device));
  }
  return out;
}

std::string version_text(int version) {
  return text(version / 1000, ".", version % 1000 / 10);
}

} // namespace troupe::gpu
