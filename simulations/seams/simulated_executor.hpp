// A machine's device behind the executor seam: real kernels on real numbers, virtual time, and
// failures.
#pragma once

#include "compute/executor.hpp"
#include "simulations/kernel/world.hpp"

#include <cstdint>
#include <memory>

namespace troupe::simulations {

struct device_quality {
  duration job_cost = std::chrono::microseconds(150); // of every job
  uint32_t slow_percent = 100;                        // 300: three times as slow
  bool lost = false; // everything fails with device_lost, for this process' lifetime
  bool hung = false; // jobs wait until it ends
  uint32_t error_ppm = 0; // a job fails with device_lost without being run (as an uncorrectable
                          // memory error would), and the device with it
};

// Jobs run when their time has come, in order, one at a time. Allocation and packing take no
// time. `kernels_of` does the computing and is shared by all machines.
class simulated_executor final : public compute::executor {
public:
  simulated_executor(machine& where, compute::executor& kernels_of);
  ~simulated_executor() override;

  result<compute::buffer> allocate(size_t bytes) override;
  result<compute::weight_matrix> load(const compute::matrix_source& source,
                                      compute::weight_format format) override;
  status submit(job work, completion done) override;
  std::string description() const override;
  uint32_t threads() const override;

  device_quality& quality();
  uint64_t jobs_run() const;

private:
  // (helper defines)
};

} // namespace troupe::simulations
