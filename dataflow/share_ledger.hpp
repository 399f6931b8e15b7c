// Who computes which share of a training step: deals shares to workers, takes each result once, and
// deals again what a lost or silent worker had. Results do not depend on it, since every share is
// the same wherever it is computed.
#pragma once

#include "base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace troupe::dataflow {

// Of one life of a worker: who comes back has another number.
using worker_number = uint64_t;

struct share_limits {
  uint32_t dealt_max = 2;  // shares that one worker has at a time
  uint32_t ahead_max = 64; // how far beyond the first that is missing; bounds the sums in memory
  duration patience = std::chrono::seconds(60); // for each share
};

struct share_deal {
  worker_number worker = 0;
  uint32_t share = 0;
  friend bool operator==(const share_deal&, const share_deal&) = default;
};

class share_ledger {
public:
  // Limits above zero.
  explicit share_ledger(const share_limits& limits);

  // A step with so many shares, at least one; what is left of the last one is void.
  void begin(uint64_t step, uint32_t shares);
  // Once each; both may happen at any time.
  void add_worker(worker_number worker);
  void remove_worker(worker_number worker);

  // What is to be sent out now: the lowest shares that nobody has, to who has fewest.
  std::vector<share_deal> deal(time_point now);
  // Whether a result counts: of this step, from a worker that has the share, and the first.
  bool take(worker_number worker, uint64_t step, uint32_t share);
  // Workers that have kept a share for longer than the patience; to be removed.
  std::vector<worker_number> overdue(time_point now) const;
  // When overdue() may next name somebody.
  std::optional<time_point> next_deadline() const;

  // Shares below are all taken.
  uint32_t first_missing() const { return first_missing_; }
  bool is_complete() const { return first_missing_ == taken_.size(); }
  size_t workers() const { return dealt_.size(); }
  uint64_t dealt_again() const { return dealt_again_; } // shares that a removed worker had, ever

private:
  std::optional<worker_number> least_busy() const;

  const share_limits limits_;
  uint64_t step_ = 0;
  std::vector<bool> taken_;
  std::set<uint32_t> waiting_; // shares that nobody has, none of them taken
  std::map<worker_number, std::map<uint32_t, time_point>> dealt_; // shares and their deadlines
  uint32_t first_missing_ = 0;
  uint64_t dealt_again_ = 0;
};

} // namespace troupe::dataflow
