// A machine's device behind the executor seam: real kernels on real numbers, virtual time, and
// failures.
#pragma once

#include "compute/executor.hpp"
#include "simulations/kernel/world.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace troupe::simulations {

struct device_quality {
  duration job_cost = std::chrono::microseconds(150); // of every job
  uint32_t slow_percent = 100;                        // 300: three times as slow
  bool lost = false;      // everything fails with device_lost, for this process' lifetime
  bool hung = false;      // jobs wait until it ends
  uint32_t error_ppm = 0; // a job fails with device_lost without being run (as an uncorrectable
                          // memory error would), and the device with it
};

// Jobs run when their time has come, in order, one at a time. Allocation and packing take no
// time. `kernels_of` does the computing on the calling thread and is shared by all machines. A
// crash of the machine drops its jobs, and the next process finds the device working again. Must
// not outlive the machine.
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
  struct waiting_job;
  struct job_queue;
  void run_later(const std::shared_ptr<job_queue>& queue);
  void run_front(const std::shared_ptr<job_queue>& queue, duration next_look);
  void see_process();
  bool fails();

  machine& where_;
  compute::executor& kernels_of_;
  device_quality quality_;
  uint64_t process_ = 0; // the one that `lost` and the count below belong to
  uint64_t jobs_of_process_ = 0;
  uint64_t jobs_run_ = 0;
  bool running_ = false;
  // Owned by the event that will run its first job, so that a crash, which drops the event, drops
  // the jobs too.
  std::weak_ptr<job_queue> queue_;
};

} // namespace troupe::simulations
