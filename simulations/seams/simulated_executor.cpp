// A queue in front of the real executor: a job waits its time in the world's heap and is then
// computed at once.
#include "simulations/seams/simulated_executor.hpp"

#include "base/check.hpp"
#include "simulations/kernel/draws.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace troupe::simulations {
namespace {

constexpr size_t jobs_max = 1024;
constexpr duration first_look = std::chrono::microseconds(100); // at a device that hangs …
constexpr duration last_look = std::chrono::milliseconds(10);   // … ever more seldom

status lost_status() {
  return status(status_code::device_lost, "the simulated device is lost");
}

} // namespace

struct simulated_executor::waiting_job {
  job work;
  completion done;
};

struct simulated_executor::job_queue {
  std::deque<waiting_job> jobs;
  simulated_executor* owner; // nullptr: gone
};

simulated_executor::simulated_executor(machine& where, compute::executor& kernels_of)
    : where_(where), kernels_of_(kernels_of) {}

simulated_executor::~simulated_executor() {
  if (const auto queue = queue_.lock()) queue->owner = nullptr;
}

void simulated_executor::see_process() {
  if (process_ == where_.incarnation()) return;
  if (process_ != 0) quality_.lost = false;
  process_ = where_.incarnation();
  jobs_of_process_ = 0;
}

result<compute::buffer> simulated_executor::allocate(size_t bytes) {
  see_process();
  if (quality_.lost) return fail(lost_status());
  return kernels_of_.allocate(bytes);
}

result<compute::weight_matrix> simulated_executor::load(const compute::matrix_source& source,
                                                        compute::weight_format format) {
  see_process();
  if (quality_.lost) return fail(lost_status());
  return kernels_of_.load(source, format);
}

status simulated_executor::submit(job work, completion done) {
  see_process();
  auto queue = queue_.lock();
  if (queue && queue->jobs.size() >= jobs_max)
    return status(status_code::exhausted, "too many jobs wait for the simulated device");
  if (!queue) {
    queue = std::make_shared<job_queue>();
    queue->owner = this;
    queue_ = queue;
  }
  queue->jobs.push_back({std::move(work), std::move(done)});
  if (queue->jobs.size() == 1 && !running_) run_later(queue);
  return {};
}

void simulated_executor::run_later(const std::shared_ptr<job_queue>& queue) {
  const duration cost = quality_.job_cost * quality_.slow_percent / 100;
  where_.after(cost, "device", [queue] {
    if (queue->owner != nullptr) queue->owner->run_front(queue, first_look);
  });
}

bool simulated_executor::fails() {
  const random_key key{where_.home().seed(), random_subsystem::faults,
                       draw_entity::device + where_.index()};
  const uint64_t n = process_ << 32 | jobs_of_process_++;
  const auto bits = static_cast<uint32_t>(random_bits(key, n));
  if (strikes(bits, quality_.error_ppm)) quality_.lost = true;
  return quality_.lost;
}

void simulated_executor::run_front(const std::shared_ptr<job_queue>& queue, duration next_look) {
  if (quality_.hung) {
    const duration later = std::min(next_look * 2, last_look);
    where_.poll_after(next_look, [queue, later] {
      if (queue->owner != nullptr) queue->owner->run_front(queue, later);
    });
    return;
  }
  const waiting_job front = std::move(queue->jobs.front());
  queue->jobs.pop_front();
  const uint64_t process = where_.incarnation();
  running_ = true;
  if (fails()) {
    front.done(lost_status());
  } else {
    ++jobs_run_;
    const auto s = kernels_of_.submit(front.work, front.done);
    TROUPE_CHECK(s.ok()); // it computes at once, so nothing waits there
  }
  running_ = false;
  const bool alive = where_.up() && where_.incarnation() == process; // a completion may end it
  if (alive && !queue->jobs.empty()) run_later(queue);
}

std::string simulated_executor::description() const {
  return "simulated, " + kernels_of_.description();
}

uint32_t simulated_executor::threads() const {
  return kernels_of_.threads();
}
device_quality& simulated_executor::quality() {
  return quality_;
}
uint64_t simulated_executor::jobs_run() const {
  return jobs_run_;
}

} // namespace troupe::simulations
