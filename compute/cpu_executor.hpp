// The executor of the host's processors: a team of threads that every kernel is split over.
#pragma once

#include "compute/executor.hpp"
#include "compute/part_meter.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace troupe::compute {

// Which kernels to use; the result's bits are the same with all of them. avx512 needs F, BW, DQ, VL
// and VNNI; avx2 needs FMA and F16C.
enum class instruction_set : uint8_t { automatic, reference, avx2, avx512 };

std::string_view to_string(instruction_set set);
std::optional<instruction_set> parse_instruction_set(std::string_view name);
// Whether this processor (and this build) can run them.
bool supported(instruction_set set);

struct cpu_options {
  uint32_t threads = 0; // including the computing caller; 0: one per processor the process may use
  instruction_set set = instruction_set::automatic; // automatic: the widest supported one
  uint32_t jobs_max = 1024;                         // jobs that may wait
  size_t allocation_bytes_max = 0; // largest single allocation; 0: the machine's memory
  part_meter* meter = nullptr;     // is told where time goes; must outlive the executor
};

// Fails with `unsupported` where the processor lacks the instruction set asked for.
result<std::unique_ptr<executor>> make_cpu_executor(const cpu_options& options);

} // namespace troupe::compute
