// Version, build facts, devices.
#include "cli/version.hpp"

#include "base/text.hpp"
#include "cli/program.hpp"
#include "cli/settings.hpp"
#include "compute/cpu_executor.hpp"

#if TROUPE_HAS_CUDA
#include "gpu/cuda_devices.hpp"
#endif

namespace troupe::cli {
namespace {

struct version_settings {
  bool devices = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "devices", .help = "also list processors and GPUs"}, devices);
    common.for_each_field(visit);
  }
};

std::string processor_text() {
  const auto executor = compute::make_cpu_executor({});
  return executor ? (*executor)->description() : executor.error().why();
}

#if TROUPE_HAS_CUDA
std::string gpu_text() {
  const auto devices = gpu::list_cuda_devices();
  if (!devices) return text("gpu  none: ", devices.error().why(), "\n");
  std::string out = text("gpu  CUDA driver ", gpu::version_text(devices->driver_version),
                         ", runtime ", gpu::version_text(devices->runtime_version), ", ",
                         devices->devices.size(), " devices\n");
  for (const auto& device : devices->devices)
    out += text("gpu ", device.index, "  ", device.name, ", ", human_bytes(device.memory_bytes),
                ", compute capability ", device.compute_major, ".", device.compute_minor, "\n");
  return out + "     listed only: models run on the CPU in this version\n";
}
#else
std::string gpu_text() {
  return "gpu  not looked for: this program was built without nvcc, so without its CUDA parts\n";
}
#endif

int run_version(program& context, const version_settings& settings) {
  std::string out = text(version_text(), "\n");
  if (settings.devices) out += text("cpu  ", processor_text(), "\n", gpu_text());
  (void)context.out.write(out);
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "version",
    .section = "version",
    .summary = "prints the version; --devices lists processors and GPUs",
};

} // namespace

std::string version_text() {
  return "troupe " TROUPE_VERSION;
}

std::unique_ptr<command> make_version() {
  return make_command<version_settings>(info, run_version);
}

} // namespace troupe::cli
