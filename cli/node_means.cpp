// Measures by doing, and reads what the kernel tells of memory.
#include "cli/node_means.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <vector>

namespace troupe::cli {
namespace {

constexpr duration measured_for = std::chrono::milliseconds(60);
constexpr duration round_patience = std::chrono::seconds(5); // then the device does not work
constexpr uint64_t round_work_min = 4'000'000; // multiplications; less is mostly the call itself
constexpr int rounds_max = 1000;
constexpr double steps_of_octave = 8;

// Matrices of one input size, so that one row goes through all of them.
std::vector<const compute::weight_matrix*> typical(const model::model_weights& weights) {
  std::vector<const compute::weight_matrix*> out;
  for (const auto& layer : weights.layers) {
    for (const auto& expert : layer.experts) {
      out.push_back(&expert.gate);
      out.push_back(&expert.up);
    }
    if (!out.empty()) return out;
  }
  for (const auto& layer : weights.layers) {
    if (layer.dense.gate.empty()) continue;
    return {&layer.dense.gate, &layer.dense.up};
  }
  return {&weights.head_matrix()};
}

struct round_buffers {
  std::vector<float> input, output;
};

void multiply(compute::kernels& device, const std::vector<const compute::weight_matrix*>& matrices,
              uint64_t passes, round_buffers& with) {
  const auto inputs = static_cast<uint32_t>(with.input.size());
  for (uint64_t pass = 0; pass < passes; ++pass)
    for (const auto* matrix : matrices) {
      compute::matmul_args args;
      args.x = {with.input.data(), 1, inputs, inputs};
      args.w = matrix;
      args.y = {with.output.data(), 1, matrix->outputs(), matrix->outputs()};
      device.matmul(args);
    }
}

// Bytes, or nothing where the file is missing or says "max".
std::optional<uint64_t> number_in(const std::string& file) {
  std::ifstream in(file);
  uint64_t value = 0;
  if (!(in >> value)) return {};
  return value;
}

std::optional<uint64_t> of_machine(const std::string& root) {
  std::ifstream in(root + "/proc/meminfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string key;
    uint64_t kib = 0;
    if (words >> key >> kib && key == "MemAvailable:") return kib * 1024;
  }
  return {};
}

// What the group, and every group around it, leaves. Memory that only caches files can be had
// back.
std::optional<uint64_t> of_groups(std::string folder, const std::string& top) {
  std::optional<uint64_t> least;
  for (;;) {
    const auto limit = number_in(folder + "/memory.max");
    const auto used = number_in(folder + "/memory.current");
    if (limit && used) {
      uint64_t cached = 0;
      std::ifstream in(folder + "/memory.stat");
      std::string key;
      for (uint64_t value = 0; in >> key >> value;)
        if (key == "inactive_file") cached = value;
      const uint64_t held = *used - std::min(*used, cached);
      const uint64_t left = *limit - std::min(*limit, held);
      least = std::min(least.value_or(left), left);
    }
    const size_t slash = folder.find_last_of('/');
    if (folder.size() <= top.size() || slash == std::string::npos) return least;
    folder.resize(slash);
  }
}

// "0::/user.slice/…" of the one hierarchy that there is nowadays.
std::string own_group(const std::string& root) {
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("0::")) return line.substr(3) == "/" ? "" : line.substr(3);
  return "";
}

} // namespace

uint32_t speed_of_rate(double per_second) {
  if (!(per_second > 1)) return 1;
  return std::max(1u, static_cast<uint32_t>(std::lround(steps_of_octave * std::log2(per_second))));
}

double rate_of_speed(uint32_t speed) {
  return std::exp2(speed / steps_of_octave);
}

uint32_t measure_speed(const clock& time, compute::executor& executor,
                       const model::model_weights& weights) {
  const auto matrices = typical(weights);
  uint64_t work = 0;
  uint32_t outputs = 1;
  for (const auto* matrix : matrices) {
    work += uint64_t{matrix->outputs()} * matrix->inputs();
    outputs = std::max(outputs, matrix->outputs());
  }
  if (work == 0) return 0;
  const uint64_t passes = (round_work_min + work - 1) / work;
  // Shared with jobs: one that hangs may still write when nobody waits for it any more.
  const auto buffers = std::make_shared<round_buffers>();
  buffers->input.assign(matrices.front()->inputs(), 1);
  buffers->output.assign(outputs, 0);
  double fastest = 0;
  const auto begun = time.now();
  for (int round = 0; round < rounds_max && time.now() - begun < measured_for; ++round) {
    const auto done = std::make_shared<std::promise<bool>>(); // shared with the completion
    auto finished = done->get_future();
    const auto from = time.now();
    const auto s = executor.submit(
        [matrices, passes, buffers](compute::kernels& device) {
          multiply(device, matrices, passes, *buffers);
        },
        [done](const status& result) { done->set_value(result.ok()); });
    if (!s.ok() || finished.wait_for(round_patience) != std::future_status::ready ||
        !finished.get())
      return 0;
    const double took = std::chrono::duration<double>(time.now() - from).count();
    if (took > 0) fastest = std::max(fastest, static_cast<double>(work * passes) / took);
  }
  return fastest > 0 ? speed_of_rate(fastest) : 0;
}

uint64_t available_memory(const std::string& root) {
  const std::string top = root + "/sys/fs/cgroup";
  const auto machine = of_machine(root);
  const auto groups = of_groups(top + own_group(root), top);
  if (!machine && !groups) return 0;
  constexpr uint64_t any = std::numeric_limits<uint64_t>::max();
  return std::max<uint64_t>(1, std::min(machine.value_or(any), groups.value_or(any)));
}

} // namespace troupe::cli
