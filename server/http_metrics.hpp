// Counts of answered HTTP requests by route and status.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace troupe::server {

// Any thread. Routes come from a fixed table and statuses are few, so the map stays small.
class http_metrics {
public:
  using counts = std::map<std::pair<std::string, int>, uint64_t>;

  void count(const std::string& route, int status) {
    const std::lock_guard lock(mutex_);
    ++counts_[{route, status}];
  }
  counts snapshot() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

private:
  mutable std::mutex mutex_;
  counts counts_;
};

} // namespace troupe::server
