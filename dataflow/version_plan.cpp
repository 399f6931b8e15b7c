// One thing at a time: a version is loaded, watched, put in force, and the one before it let go.
#include "dataflow/version_plan.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <utility>

namespace troupe::dataflow {

version_plan::version_plan(const version_limits& limits, uint64_t first)
    : limits_(limits), serving_(first), wanted_(first) {
  TROUPE_CHECK(limits.versions_max >= 2 && first != 0);
  held_[first] = {};
  proven_.insert(first);
}

void version_plan::promoted(uint64_t version) {
  if (version == wanted_ || version == 0) return;
  wanted_ = version;
  refused_.clear(); // somebody has decided anew
  rolling_back_ = false;
  trouble_.clear();
  if (canary_ != wanted_) std::exchange(canary_, 0);
}

void version_plan::loaded(uint64_t version) {
  TROUPE_CHECK(version == loading_);
  loading_ = 0;
  held_[version] = {};
}

void version_plan::refused(uint64_t version, std::string why) {
  if (version == loading_) loading_ = 0;
  if (version == wanted_) trouble_ = why;
  refused_[version] = std::move(why);
}

void version_plan::in_use(uint64_t version, uint64_t streams) {
  if (const auto found = held_.find(version); found != held_.end()) found->second.streams = streams;
}

void version_plan::counted(uint64_t version, const canary_counts& counts) {
  if (version == canary_) counts_ = counts;
}

version_plan::step version_plan::next(time_point now) {
  using kind = step::kind;
  if (canary_ != 0) {
    const auto verdict = judge(counts_, limits_.canary);
    if (verdict == canary_verdict::passed) {
      proven_.insert(canary_);
      return switch_to(canary_, now);
    }
    if (verdict == canary_verdict::failed) {
      const uint64_t failed = std::exchange(canary_, 0);
      held_.at(failed).aside = true;
      held_.at(failed).replaced = now - limits_.way_back; // nobody wants it back
      trouble_ = text("version ", failed, " failed ", counts_.failed, " of the first ",
                      counts_.answered + counts_.failed, " requests it answered");
      refused_[failed] = trouble_;
      rolling_back_ = true;
      return {kind::roll_back, failed, trouble_};
    }
  }
  if (wanted_ != serving_ && wanted_ != canary_ && !rolling_back_ && refused_.count(wanted_) == 0) {
    if (held_.count(wanted_) != 0) return switch_to(wanted_, now);
    if (loading_ == 0) return make_room();
  }
  return free_idle(now);
}

version_plan::step version_plan::switch_to(uint64_t version, time_point now) {
  if (limits_.canary.percent > 0 && proven_.count(version) == 0) {
    canary_ = version;
    counts_ = {};
    return {step::kind::canary, version, {}};
  }
  canary_ = 0;
  auto& before = held_.at(serving_);
  before.aside = true;
  before.replaced = now;
  serving_ = version;
  held_.at(version).aside = false;
  proven_.insert(version);
  trouble_.clear();
  return {step::kind::activate, version, {}};
}

bool version_plan::is_free(uint64_t version, const held& of) const {
  return of.streams == 0 && version != serving_ && version != canary_ && version != loading_;
}

// A version that is coming has the right of way over the quick way back.
version_plan::step version_plan::make_room() {
  if (held_.size() < limits_.versions_max) {
    loading_ = wanted_;
    return {step::kind::load, wanted_, {}};
  }
  for (const auto& [version, of] : held_) {
    if (!is_free(version, of)) continue;
    const uint64_t gone = version;
    held_.erase(gone);
    return {step::kind::free, gone, {}};
  }
  return {step::kind::none, wanted_,
          text("version ", wanted_, " waits: ", held_.size(),
               " versions are in memory and still have streams, the most allowed")};
}

version_plan::step version_plan::free_idle(time_point now) {
  for (const auto& [version, of] : held_) {
    if (!is_free(version, of) || version == wanted_) continue;
    if (of.aside && now - of.replaced < limits_.way_back) continue;
    const uint64_t gone = version;
    held_.erase(gone);
    return {step::kind::free, gone, {}};
  }
  return {};
}

} // namespace troupe::dataflow
