// Chooses the kernels of an instruction set at run time.
#pragma once

#include "compute/cpu/kernel_table.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/kernels.hpp"
#include "compute/part_meter.hpp"
#include "compute/thread_team.hpp"

#include <memory>

namespace troupe::compute {

instruction_set widest_supported();

// The vector kernels of a set that is supported and not automatic; null for the plain ones.
const kernel_table* kernels_of(instruction_set set);

// `set` must be supported and not automatic; the team, and the meter where there is one, must
// outlive the kernels.
std::unique_ptr<kernels> make_kernels(instruction_set set, thread_team& team,
                                      part_meter* meter = nullptr);

} // namespace troupe::compute
