// Training kernels of the host's processors, for use inside a job of its executor.
#pragma once

#include "compute/cpu_executor.hpp"
#include "compute/training_kernels.hpp"

#include <memory>

namespace troupe::compute {

// Work is split over the threads of `device`, which must outlive the result. The bits are those of
// the plain kernels with every instruction set; `automatic` is the widest one supported, and one
// that is not supported ends the process.
std::unique_ptr<training_kernels<float>> make_cpu_training_kernels(
    kernels& device, instruction_set set = instruction_set::automatic);

} // namespace troupe::compute
