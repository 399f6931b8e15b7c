// What a machine can read and multiply at most, to set measurements beside.
#pragma once

#include "base/clock.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/tensor.hpp"
#include "compute/thread_team.hpp"

#include <cstddef>

namespace troupe::compute {

struct machine_limits {
  double read_bytes_per_s = 0;
  double int8_operations_per_s = 0; // 0: these kernels have no integer products
};

// Measures again at every call, since a machine that is shared does not stay the same: it reads a
// block of memory that no cache holds, and multiplies integers in registers, with as many threads
// and the same instructions as an executor of these options.
class limit_probe {
public:
  // `exhausted` without memory for the block.
  static result<std::unique_ptr<limit_probe>> make(const cpu_options& options, const clock& time);

  // Takes some tens of milliseconds.
  machine_limits measure();

  // For make: options with threads and a set that is supported.
  limit_probe(const cpu_options& options, const clock& time, buffer memory);

private:
  double read();
  double multiply();

  const instruction_set set_;
  const clock& time_;
  thread_team team_;
  buffer memory_;
};

} // namespace troupe::compute
