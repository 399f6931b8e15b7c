// The executor seam: one per device. Jobs run one after another in the order of their submission; a
// completion is called once per accepted job.
#pragma once

#include "base/status.hpp"
#include "compute/kernels.hpp"

#include <functional>
#include <string>

namespace troupe::compute {

class executor {
public:
  using job = std::function<void(kernels&)>;
  using completion = std::function<void(status)>;

  virtual ~executor() = default;

  // Device memory for activations and pages; zeroed. Fails with `exhausted`.
  virtual result<buffer> allocate(size_t bytes) = 0;

  // Packs a stored matrix for this device, using all of its threads. Waits for a job that runs, so
  // it belongs to start-up, not into a handler. Fails with `corrupt` on a weight that is no number
  // and with `exhausted`. Any thread.
  virtual result<weight_matrix> load(const matrix_source& source, weight_format format) = 0;

  // Runs `work` and then calls `done`. Never blocks on other jobs: where another thread is
  // computing, the job waits in the queue and that thread runs it; otherwise the calling thread
  // computes together with the team. `done` is called on whichever thread computed, must not block
  // and must not throw; it usually sends one message. Fails with `exhausted` when jobs_max jobs
  // wait, and then `done` is never called. Any thread.
  virtual status submit(job work, completion done) = 0;

  // For people: "cpu avx512 2 threads".
  virtual std::string description() const = 0;
  virtual uint32_t threads() const = 0;
};

} // namespace troupe::compute
