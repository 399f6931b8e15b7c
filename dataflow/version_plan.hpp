// Which versions of the weights a server has in memory, which one answers what is asked now, and
// what is to be done next so that it becomes the promoted one. Pure; the caller does what next()
// says and tells the outcome.
#pragma once

#include "base/clock.hpp"
#include "dataflow/promotion.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace troupe::dataflow {

struct version_limits {
  uint32_t versions_max = 2; // in memory at once, at least 2
  // So long the version before stays in memory after it was replaced, for a quick way back.
  duration way_back = std::chrono::seconds(60);
  canary_limits canary{};
};

class version_plan {
public:
  // `first` is loaded and answers everything.
  version_plan(const version_limits& limits, uint64_t first);

  // -- what is known

  // The registry's word, as often as it is read.
  void promoted(uint64_t version);
  // The outcome of load(): it can serve, or why not. A version that cannot be loaded is not tried
  // again until another one was promoted.
  void loaded(uint64_t version);
  void refused(uint64_t version, std::string why);
  // So many streams still hold it.
  void in_use(uint64_t version, uint64_t streams);
  // Of the canary, since it began.
  void counted(uint64_t version, const canary_counts& counts);

  // -- what is to be done

  struct step {
    enum class kind : uint8_t {
      none,      // until something changes
      load,      // bring it into memory, beside those that serve
      free,      // nobody uses it; let it go
      activate,  // it answers what is asked from now on
      canary,    // it answers its share of that
      roll_back, // the canary failed: the registry is to go back, and nobody asks it any more
    };
    kind what = kind::none;
    uint64_t version = 0;
    std::string why; // none: what is waited for; roll_back: what went wrong
  };
  // Takes for granted that activate, canary and free are done at once; load and roll_back are
  // answered by loaded(), refused() and promoted().
  step next(time_point now);

  // -- as it is

  uint64_t serving() const { return serving_; }
  uint64_t canary() const { return canary_; }   // 0: none
  uint64_t loading() const { return loading_; } // 0: none
  uint64_t wanted() const { return wanted_; }
  // Why the promoted version does not serve; empty: it does, or is on its way.
  const std::string& trouble() const { return trouble_; }

private:
  struct held {
    uint64_t streams = 0;
    time_point replaced{}; // when it stopped to answer what is asked
    bool aside = false;    // it did
  };

  step switch_to(uint64_t version, time_point now);
  step make_room();
  step free_idle(time_point now);
  bool is_free(uint64_t version, const held& of) const;

  version_limits limits_;
  std::map<uint64_t, held> held_; // in memory
  std::set<uint64_t> proven_;     // passed as a canary, or served before
  std::map<uint64_t, std::string> refused_;
  canary_counts counts_;
  uint64_t serving_ = 0;
  uint64_t canary_ = 0;
  uint64_t loading_ = 0;
  uint64_t wanted_ = 0;
  bool rolling_back_ = false; // until the registry says another version
  std::string trouble_;
};

} // namespace troupe::dataflow
