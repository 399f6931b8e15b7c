// A value that one thread puts, others read, and the end takes away for good: handles of actors
// that threads outside of the actor system send to.
#pragma once

#include <mutex>
#include <optional>
#include <utility>

namespace troupe::actors {

// Any thread. The lock is held for a copy, never while anybody is called.
template <class T>
class shared_slot {
public:
  void put(T value) {
    const guard lock(mutex_);
    if (!closed_) value_ = std::move(value);
  }
  // Absent before put() and after close().
  std::optional<T> get() const {
    const guard lock(mutex_);
    return value_;
  }
  // Lets go of the value; a later put() is ignored.
  void close() {
    std::optional<T> last; // released without the lock
    const guard lock(mutex_);
    closed_ = true;
    last.swap(value_);
  }

private:
  using mutex = std::mutex; // waiver thread: for a copy; no actor's handler waits here
  using guard = std::lock_guard<mutex>;

  mutable mutex mutex_;
  std::optional<T> value_;
  bool closed_ = false;
};

} // namespace troupe::actors
