// Speed of the products per weight format: one row (bandwidth), few rows, many rows (arithmetic),
// with weights in cache and from memory, beside what the machine reads and multiplies per second;
// and how long packing takes. Checks its results first. Medians, and the best of the samples, which
// is what to look at where others use the machine.
//   compute_matmul_bench [threads] [instruction set] [weight format]
#include "base/clock.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "compute/cpu/dispatch.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/machine_limits.hpp"
#include "compute/reference/kernels.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace troupe::compute {
namespace {

constexpr weight_format formats[] = {weight_format::f32, weight_format::bf16, weight_format::f16,
                                     weight_format::int8, weight_format::int4};
constexpr size_t cold_bytes = size_t{192} << 20; // far beyond every cache
constexpr int samples = 7;

struct shape {
  uint32_t outputs, inputs, rows;
};
constexpr shape shapes[] = {{2048, 2048, 1},   {1024, 2048, 1},  {2048, 2048, 4},
                            {2048, 2048, 16},  {2048, 2048, 64}, {1024, 2048, 128},
                            {2048, 2048, 512}, {512, 1024, 1},   {512, 1024, 4},
                            {512, 1024, 8},    {512, 1024, 64}};

double seconds(const std::function<void()>& work) {
  static const system_clock clock;
  const time_point begin = clock.now();
  work();
  return std::chrono::duration<double>(clock.now() - begin).count();
}

// Of the samples of the time of one call.
struct time_of_call {
  double median = 0;
  double best = 0;
};
time_of_call time_calls(uint32_t calls, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < samples; ++i) {
    times.push_back(seconds([&] {
                      for (uint32_t c = 0; c < calls; ++c) work();
                    }) /
                    calls);
  }
  std::sort(times.begin(), times.end());
  return {times[samples / 2], times[0]};
}

std::vector<float> random_floats(size_t count, uint64_t seed) {
  std::vector<float> made(count);
  for (size_t i = 0; i < count; ++i) {
    made[i] = random_unit({.seed = seed, .subsystem = random_subsystem::workload}, i) - 0.5f;
  }
  return made;
}

void run(executor& device, const std::function<void(kernels&)>& work) {
  TROUPE_CHECK(device.submit(work, [](status) {}).ok());
}

// How long a weight takes to be packed, on this thread; few at a time, so that the best of the
// samples is not disturbed.
void print_packing(weight_format format, const matrix_source& source, const kernel_table* table) {
  constexpr uint32_t panels = 16;
  weight_matrix out(format, source.rows, source.cols);
  const auto time =
      time_calls(1, [&] { TROUPE_CHECK(pack_panels(source, 0, panels, out, table).ok()); });
  const double weights = double{panels} * weight_layout::panel * source.cols;
  std::printf("{\"name\":\"pack %s\",\"ns_per_weight\":%.2f,\"best_ns_per_weight\":%.2f}\n",
              std::string(to_string(format)).c_str(), time.median / weights * 1e9,
              time.best / weights * 1e9);
}

// Bit by bit what the plain kernels give, on the first rows.
bool right(const matmul_args& args) {
  const uint32_t rows = std::min(args.x.rows, 3u);
  std::vector<float> expected(size_t{rows} * args.y.cols);
  matmul_args few = args;
  few.x.rows = rows;
  few.y = {expected.data(), rows, args.y.cols, args.y.cols};
  reference_kernels plain;
  plain.matmul(few);
  return std::memcmp(expected.data(), args.y.data, expected.size() * sizeof(float)) == 0;
}

struct result_line {
  time_of_call hot;
  time_of_call cold;
};

result_line measure(executor& device, const shape& s, std::vector<weight_matrix>& copies,
                    const std::vector<float>& x, std::vector<float>& y) {
  matmul_args args;
  args.x = {x.data(), s.rows, s.inputs, s.inputs};
  args.y = {y.data(), s.rows, s.outputs, s.outputs};
  args.w = &copies[0];
  run(device, [&](kernels& k) { k.matmul(args); });
  if (!right(args)) {
    std::fprintf(stderr, "wrong result for %s\n",
                 std::string(to_string(copies[0].format())).c_str());
    std::exit(1);
  }
  result_line made;
  const double work = double{2} * s.rows * s.outputs * s.inputs;
  const auto calls = static_cast<uint32_t>(std::max(1.0, 2e9 / work / samples));
  run(device, [&](kernels& k) { made.hot = time_calls(calls, [&] { k.matmul(args); }); });
  size_t next = 0;
  const auto cold_calls = static_cast<uint32_t>(std::min<double>(copies.size(), calls + 1));
  run(device, [&](kernels& k) {
    made.cold = time_calls(cold_calls, [&] {
      args.w = &copies[next++ % copies.size()];
      k.matmul(args);
    });
  });
  return made;
}

int main_of(int argc, char** argv) {
  const uint32_t threads = argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : 0;
  const auto set = argc > 2 ? parse_instruction_set(argv[2]) : instruction_set::automatic;
  if (!set) return std::fprintf(stderr, "no such instruction set: %s\n", argv[2]), 2;
  const auto device = make_cpu_executor({.threads = threads, .set = *set});
  if (!device) return std::fprintf(stderr, "%s\n", device.error().why().c_str()), 2;
  executor& cpu = **device;
  static const system_clock clock;
  const auto probe = limit_probe::make({.threads = cpu.threads(), .set = *set}, clock);
  if (!probe) return std::fprintf(stderr, "%s\n", probe.error().why().c_str()), 2;
  const auto limits = (*probe)->measure();
  const double bandwidth = limits.read_bytes_per_s;
  std::printf("{\"device\":\"%s\",\"read_gb_per_s\":%.1f,\"int8_gop_per_s\":%.1f}\n",
              cpu.description().c_str(), bandwidth / 1e9, limits.int8_operations_per_s / 1e9);
  for (const weight_format format : formats) {
    if (argc > 3 && to_string(format) != argv[3]) continue;
    for (const shape& s : shapes) {
      const auto stored = random_floats(size_t{s.outputs} * s.inputs, 1);
      const auto x = random_floats(size_t{s.rows} * s.inputs, 2);
      std::vector<float> y(size_t{s.rows} * s.outputs);
      const matrix_source source{stored.data(), dtype::f32, s.outputs, s.inputs, s.inputs, 1};
      std::vector<weight_matrix> copies;
      copies.push_back(*cpu.load(source, format));
      const auto used = *set == instruction_set::automatic ? widest_supported() : *set;
      if (&s == &shapes[0]) print_packing(format, source, kernels_of(used));
      const size_t bytes = copies[0].bytes();
      while (copies.size() * bytes < cold_bytes) {
        copies.emplace_back(format, s.outputs, s.inputs);
        std::memcpy(copies.back().values().data(), copies[0].values().data(),
                    copies[0].values().bytes());
        if (copies[0].scales().bytes() > 0) {
          std::memcpy(copies.back().scales().data(), copies[0].scales().data(),
                      copies[0].scales().bytes());
        }
      }
      const result_line t = measure(cpu, s, copies, x, y);
      const double work = double{2} * s.rows * s.outputs * s.inputs;
      std::printf(
          "{\"name\":\"matmul %s\",\"outputs\":%u,\"inputs\":%u,\"rows\":%u,"
          "\"hot_us\":%.1f,\"hot_gop_per_s\":%.1f,\"best_hot_gop_per_s\":%.1f,\"cold_us\":%.1f,"
          "\"cold_gop_per_s\":%.1f,\"best_cold_gop_per_s\":%.1f,\"cold_gb_per_s\":%.1f,"
          "\"cold_share_of_read\":%.2f}\n",
          std::string(to_string(format)).c_str(), s.outputs, s.inputs, s.rows, t.hot.median * 1e6,
          work / t.hot.median / 1e9, work / t.hot.best / 1e9, t.cold.median * 1e6,
          work / t.cold.median / 1e9, work / t.cold.best / 1e9, bytes / t.cold.median / 1e9,
          bytes / t.cold.median / bandwidth);
      std::fflush(stdout);
    }
  }
  return 0;
}

} // namespace
} // namespace troupe::compute

int main(int argc, char** argv) {
  return troupe::compute::main_of(argc, argv);
}
