// The CPU executor: a queue of jobs, a team of threads, and the kernels of one instruction set.
#include "compute/cpu_executor.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "compute/cpu/dispatch.hpp"
#include "compute/cpu/job_queue.hpp"
#include "compute/thread_team.hpp"

#include <unistd.h>

#include <mutex>
#include <utility>
#include <vector>

namespace troupe::compute {
namespace {

size_t machine_bytes() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
}

class cpu_executor final : public executor {
public:
  cpu_executor(const cpu_options& options, instruction_set set)
      : set_(set),
        bytes_max_(options.allocation_bytes_max),
        meter_(options.meter),
        team_(options.threads, options.meter),
        kernels_(make_kernels(set, team_, options.meter)),
        queue_(options.jobs_max) {}

  result<buffer> allocate(size_t bytes) override;
  result<weight_matrix> load(const matrix_source& source, weight_format format) override;
  status submit(job work, completion done) override;
  std::string description() const override {
    return text("cpu ", to_string(set_), " ", team_.size(),
                team_.size() == 1 ? " thread" : " threads");
  }
  uint32_t threads() const override { return team_.size(); }

private:
  const instruction_set set_;
  const size_t bytes_max_;
  part_meter* const meter_;
  std::mutex team_mutex_; // held by whoever uses the team: the owner of the queue, or a load
  thread_team team_;
  buffer_arena weights_; // of the team's holder, too
  std::unique_ptr<kernels> kernels_;
  job_queue queue_;
};

result<buffer> cpu_executor::allocate(size_t bytes) {
  if (bytes > bytes_max_) {
    return fail(status_code::exhausted,
                text("asked for ", bytes, " bytes, the most this device gives is ", bytes_max_));
  }
  auto made = buffer::try_make(bytes);
  if (!made) return fail(status_code::exhausted, text("no memory for ", bytes, " bytes"));
  return std::move(*made);
}

result<weight_matrix> cpu_executor::load(const matrix_source& source, weight_format format) {
  const std::lock_guard lock(team_mutex_);
  auto made = weight_matrix::try_make(format, source.rows, source.cols, &weights_);
  if (!made) {
    return fail(status_code::exhausted, text("no memory for a ", to_string(format), " matrix of ",
                                             source.rows, " x ", source.cols));
  }
  const uint64_t panels = made->layout().panels();
  std::vector<status> statuses(team_.size());
  team_.run([&](uint32_t share) {
    const auto begin = static_cast<uint32_t>(panels * share / team_.size());
    const auto end = static_cast<uint32_t>(panels * (share + 1) / team_.size());
    statuses[share] = pack_panels(source, begin, end, *made, kernels_of(set_));
  });
  for (const status& s : statuses) {
    if (!s.ok()) return fail(s); // the first in row order, whoever found it
  }
  return std::move(*made);
}

status cpu_executor::submit(job work, completion done) {
  return queue_.submit({[this, work = std::move(work)] {
                          const std::lock_guard lock(team_mutex_);
                          if (meter_ != nullptr) meter_->begin_job();
                          work(*kernels_);
                          if (meter_ != nullptr) meter_->end_job();
                        },
                        std::move(done)});
}

} // namespace

result<std::unique_ptr<executor>> make_cpu_executor(const cpu_options& options) {
  cpu_options filled = options;
  if (filled.threads == 0) filled.threads = processors_allowed();
  if (filled.allocation_bytes_max == 0) filled.allocation_bytes_max = machine_bytes();
  const instruction_set set =
      options.set == instruction_set::automatic ? widest_supported() : options.set;
  if (!supported(set)) {
    return fail(status_code::unsupported,
                text("this processor cannot run the ", to_string(set), " kernels"));
  }
  return std::make_unique<cpu_executor>(filled, set);
}

} // namespace troupe::compute
