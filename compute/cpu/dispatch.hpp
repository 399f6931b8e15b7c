// Chooses the kernels of an instruction set at run time.
#pragma once

#include "compute/cpu_executor.hpp"
#include "compute/kernels.hpp"
#include "compute/thread_team.hpp"

#include <memory>

namespace troupe::compute {

instruction_set widest_supported();

// `set` must be supported and not automatic; the team must outlive the kernels.
std::unique_ptr<kernels> make_kernels(instruction_set set, thread_team& team);

} // namespace troupe::compute
