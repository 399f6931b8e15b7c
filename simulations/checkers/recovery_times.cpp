// Follows one recovery at a time from its first failure to the last stream that goes on.
#include "simulations/checkers/recovery_times.hpp"

namespace troupe::simulations {

void recovery_times::failed(time_point now) {
  const bool idle = failed_ && !proposed_ && now - *failed_ > idle_max_;
  if (!failed_ || idle) failed_ = now;
}

void recovery_times::proposed(uint64_t epoch, time_point now) {
  if (!failed_ || epoch <= epoch_) return;
  epoch_ = epoch;
  if (!proposed_) proposed_ = now;
  agreed_.reset(); // the epochs before were not the last step of this recovery
  go_.reset();
}

void recovery_times::agreed(uint64_t epoch, time_point now) {
  if (proposed_ && !agreed_ && epoch >= epoch_) agreed_ = now;
}

void recovery_times::go(uint64_t epoch, time_point now) {
  if (!agreed_ || go_ || epoch < epoch_) return;
  go_ = now;
  still_ = waiting_.size();
  for (auto& [stream, waits] : waiting_) waits = true;
  close_if_refilled(now);
}

void recovery_times::stream_opened(uint64_t stream) {
  waiting_.emplace(stream, false); // it did not stand still: it was not there
}

void recovery_times::stream_ended(uint64_t stream, time_point now) {
  token(stream, now);
  waiting_.erase(stream);
}

void recovery_times::token(uint64_t stream, time_point now) {
  const auto found = waiting_.find(stream);
  if (found == waiting_.end() || !found->second) return;
  found->second = false;
  --still_;
  close_if_refilled(now);
}

void recovery_times::close_if_refilled(time_point now) {
  if (!go_ || still_ > 0) return;
  done_.push_back({.detect = *proposed_ - *failed_,
                   .decide = *agreed_ - *proposed_,
                   .restore = *go_ - *agreed_,
                   .refill = now - *go_});
  failed_.reset();
  proposed_.reset();
  agreed_.reset();
  go_.reset();
}

} // namespace troupe::simulations
