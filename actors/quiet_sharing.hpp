// How the workers of an actor system share their queue: like CAF's work sharing, but a worker that
// sends a message wakes nobody when it will itself be back for it at once. A step of a model is a
// chain of messages, and waking a second worker for each of them costs more than handling it, and
// takes the processor from the threads that compute.
#pragma once

#include "compute/job_notice.hpp"

#include <caf/policy/unprofiled.hpp>
#include <caf/resumable.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

namespace troupe::actors {

// The queue. Whoever waits in it is woken when there is a job that no worker is about to take: one
// from a foreign thread, a second one, or one whose sender begins to compute instead of coming back
// (compute/job_notice.hpp).
class quiet_queue {
public:
  void push(caf::resumable* job) {
    const bool own = working_for() == this;
    const std::lock_guard guard(mutex_);
    jobs_.push_back(job);
    waiting_.store(jobs_.size(), std::memory_order_relaxed);
    if (sleepers_ > 0 && (!own || jobs_.size() > 1)) changed_.notify_one();
  }

  // For workers: their thread counts as one of this queue from here on.
  caf::resumable* take() {
    if (working_for() != this) {
      working_for() = this;
      compute::set_job_notice([](void* queue) { static_cast<quiet_queue*>(queue)->leave(); }, this);
    }
    std::unique_lock guard(mutex_);
    while (jobs_.empty()) {
      ++sleepers_;
      changed_.wait(guard);
      --sleepers_;
    }
    caf::resumable* job = jobs_.front();
    jobs_.pop_front();
    waiting_.store(jobs_.size(), std::memory_order_relaxed);
    if (!jobs_.empty() && sleepers_ > 0) changed_.notify_one();
    return job;
  }

  // Of nobody's; for the end of the system.
  caf::resumable* take_left() {
    const std::lock_guard guard(mutex_);
    if (jobs_.empty()) return nullptr;
    caf::resumable* job = jobs_.front();
    jobs_.pop_front();
    return job;
  }

private:
  // This worker will not be back for a while.
  void leave() {
    if (waiting_.load(std::memory_order_relaxed) == 0) return; // its own messages it would see
    const std::lock_guard guard(mutex_);
    if (sleepers_ > 0) changed_.notify_one();
  }

  static quiet_queue*& working_for() {
    static thread_local quiet_queue* queue = nullptr;
    return queue;
  }

  // waiver thread: this is where the workers of the actors themselves wait; no actor does.
  std::mutex mutex_;
  std::condition_variable changed_; // waiver thread: as above
  std::deque<caf::resumable*> jobs_;
  std::atomic<size_t> waiting_{0}; // jobs_.size(), to look at without the lock
  uint32_t sleepers_ = 0;
};

// The queue as a scheduling policy of CAF.
class quiet_sharing : public caf::policy::unprofiled {
public:
  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator*) {}
    quiet_queue queue;
  };
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator*) {}
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    d(self).queue.push(job);
  }
  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    d(self->parent()).queue.push(job);
  }
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    d(self->parent()).queue.push(job);
  }
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    d(self->parent()).queue.push(job);
  }
  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    return d(self->parent()).queue.take();
  }
  template <class Worker, class Visitor>
  void foreach_resumable(Worker*, Visitor) {}
  template <class Coordinator, class Visitor>
  void foreach_central_resumable(Coordinator* self, Visitor visit) {
    while (caf::resumable* job = d(self).queue.take_left()) visit(job);
  }
};

} // namespace troupe::actors
