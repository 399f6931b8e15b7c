// Speed of the products per weight format: one row (bandwidth), few rows, many rows (arithmetic),
// with weights in cache and from memory, beside what the machine reads per second. Checks its
// results first.
//   compute_matmul_bench [threads] [instruction set]
#include "base/clock.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/reference/kernels.hpp"
#include "compute/thread_team.hpp"

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
constexpr shape shapes[] = {{2048, 2048, 1},  {1024, 2048, 1},   {2048, 2048, 4},  {2048, 2048, 16},
                            {2048, 2048, 64}, {1024, 2048, 128}, {2048, 2048, 512}};

double seconds(const std::function<void()>& work) {
  static const system_clock clock;
  const time_point begin = clock.now();
  work();
  return std::chrono::duration<double>(clock.now() - begin).count();
}

// Median over the samples of the time of one call.
double median_seconds(uint32_t calls, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < samples; ++i) {
    times.push_back(seconds([&] {
                      for (uint32_t c = 0; c < calls; ++c) work();
                    }) /
                    calls);
  }
  std::sort(times.begin(), times.end());
  return times[samples / 2];
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

double read_bandwidth(uint32_t threads) {
  thread_team team(threads);
  const buffer memory(cold_bytes);
  const auto words = memory.as<uint64_t>();
  std::memset(memory.data(), 1, memory.bytes());
  std::vector<uint64_t> sums(threads);
  const double time = median_seconds(1, [&] {
    team.run([&](uint32_t share) {
      uint64_t sum[8] = {};
      const size_t begin = words.size() / threads * share / 8 * 8;
      const size_t end = words.size() / threads * (share + 1) / 8 * 8;
      for (size_t i = begin; i < end; i += 8) {
        for (size_t j = 0; j < 8; ++j) sum[j] += words[i + j];
      }
      for (const uint64_t part : sum) sums[share] += part;
    });
  });
  TROUPE_CHECK(sums[0] != 0);
  return static_cast<double>(cold_bytes) / time;
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
  double hot = 0;
  double cold = 0;
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
  run(device, [&](kernels& k) { made.hot = median_seconds(calls, [&] { k.matmul(args); }); });
  size_t next = 0;
  const auto cold_calls = static_cast<uint32_t>(std::min<double>(copies.size(), calls + 1));
  run(device, [&](kernels& k) {
    made.cold = median_seconds(cold_calls, [&] {
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
  const double bandwidth = read_bandwidth(cpu.threads());
  std::printf("{\"device\":\"%s\",\"read_gb_per_s\":%.1f}\n", cpu.description().c_str(),
              bandwidth / 1e9);
  for (const weight_format format : formats) {
    for (const shape& s : shapes) {
      const auto stored = random_floats(size_t{s.outputs} * s.inputs, 1);
      const auto x = random_floats(size_t{s.rows} * s.inputs, 2);
      std::vector<float> y(size_t{s.rows} * s.outputs);
      const matrix_source source{stored.data(), dtype::f32, s.outputs, s.inputs, s.inputs, 1};
      std::vector<weight_matrix> copies;
      copies.push_back(*cpu.load(source, format));
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
          "\"hot_us\":%.1f,\"hot_gop_per_s\":%.1f,\"cold_us\":%.1f,\"cold_gop_per_s\":%.1f,"
          "\"cold_gb_per_s\":%.1f,\"cold_share_of_read\":%.2f}\n",
          std::string(to_string(format)).c_str(), s.outputs, s.inputs, s.rows, t.hot * 1e6,
          work / t.hot / 1e9, t.cold * 1e6, work / t.cold / 1e9, bytes / t.cold / 1e9,
          bytes / t.cold / bandwidth);
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
