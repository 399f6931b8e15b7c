// The best of a few short runs of each kind: disturbances make a machine slower, never faster.
#include "compute/machine_limits.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "compute/cpu/dispatch.hpp"
#include "compute/cpu/kernel_table.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace troupe::compute {
namespace {

constexpr size_t block_bytes = size_t{256} << 20;
constexpr size_t unit_floats = 128;
constexpr int runs = 3;
constexpr uint64_t rounds = 200000;

float read_plainly(const float* floats, size_t count) {
  float sums[8] = {};
  for (size_t i = 0; i < count; i += 8) {
    for (size_t n = 0; n < 8; ++n) sums[n] += floats[i + n];
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

} // namespace

limit_probe::limit_probe(const cpu_options& options, const clock& time, buffer memory)
    : set_(options.set), time_(time), team_(options.threads), memory_(std::move(memory)) {
  std::memset(memory_.data(), 1, memory_.bytes());
}

result<std::unique_ptr<limit_probe>> limit_probe::make(const cpu_options& options,
                                                       const clock& time) {
  cpu_options filled = options;
  if (filled.threads == 0) filled.threads = processors_allowed();
  if (filled.set == instruction_set::automatic) filled.set = widest_supported();
  auto memory = buffer::try_make(block_bytes);
  if (!memory)
    return fail(status_code::exhausted, text("no memory for a block of ", block_bytes, " bytes"));
  return std::make_unique<limit_probe>(filled, time, std::move(*memory));
}

machine_limits limit_probe::measure() {
  machine_limits best;
  for (int i = 0; i < runs; ++i) {
    best.read_bytes_per_s = std::max(best.read_bytes_per_s, read());
    best.int8_operations_per_s = std::max(best.int8_operations_per_s, multiply());
  }
  return best;
}

double limit_probe::read() {
  const auto floats = memory_.as<const float>();
  const size_t units = floats.size() / unit_floats;
  const kernel_table* table = kernels_of(set_);
  std::vector<float> sums(team_.size());
  const time_point begin = time_.now();
  team_.run([&](uint32_t share) {
    const size_t first = units * share / team_.size() * unit_floats;
    const size_t end = units * (share + 1) / team_.size() * unit_floats;
    const auto* from = floats.data() + first;
    sums[share] =
        table != nullptr ? table->read_floats(from, end - first) : read_plainly(from, end - first);
  });
  TROUPE_CHECK(sums[0] > 0); // and the compiler cannot leave it out
  const double seconds = std::chrono::duration<double>(time_.now() - begin).count();
  return seconds > 0 ? static_cast<double>(memory_.bytes()) / seconds : 0;
}

double limit_probe::multiply() {
  const kernel_table* table = kernels_of(set_);
  if (table == nullptr) return 0;
  std::atomic<uint64_t> operations{0};
  const time_point begin = time_.now();
  team_.run([&](uint32_t) {
    float result[16];
    operations += table->multiply_integers(rounds, result);
  });
  const double seconds = std::chrono::duration<double>(time_.now() - begin).count();
  return seconds > 0 ? static_cast<double>(operations.load()) / seconds : 0;
}

} // namespace troupe::compute
