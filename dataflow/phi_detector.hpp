// Suspicion of one peer from the gaps between its reports (Hayashibara et al., "The phi accrual
// failure detector", SRDS 2004). Integer arithmetic throughout, so that every machine and compiler
// suspects at the same nanosecond.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <deque>
#include <optional>

namespace troupe::dataflow {

struct phi_options {
  uint32_t threshold = 8;    // phi: -log10 of the probability that the report is merely late; 1..16
  uint32_t samples_max = 64; // gaps remembered; 1..1024
  duration expected{};       // gap between reports as promised; no less is ever assumed
  duration deviation_min{};  // standard deviation is taken to be at least this
  duration pause_allowed{};  // added to every gap
  duration silence_max{};    // suspected after this in any case; at most 30 minutes
};

class phi_detector {
public:
  explicit phi_detector(const phi_options& options);
  // A report has come. The first one starts the watch. A gap that made the peer suspect is
  // remembered only as long as was allowed: one failure does not make us patient for ever, but a
  // peer that is always slow is learnt.
  void heard(time_point now);
  // The connection to the peer is gone: unless it is heard before `by`, it is suspect then. Nothing
  // while not watching.
  void cut_off(time_point by);
  bool watching() const { return watching_; }
  // When the peer becomes suspect unless it is heard before. Requires watching().
  time_point suspect_at() const;
  bool suspect(time_point now) const; // false while not watching
  time_point last_heard() const { return last_; }
  // phi itself times 1000, for people; saturates at 99'000.
  uint32_t phi_milli(time_point now) const;
  void reset();

private:
  duration allowed_gap() const;
  void learn(duration gap);

  phi_options options_;
  bool watching_ = false;
  std::optional<time_point> cut_off_by_;
  time_point last_{};
  std::deque<duration> gaps_; // at most samples_max, the newest last
  duration mean_{};
  duration deviation_{};
};

} // namespace troupe::dataflow
