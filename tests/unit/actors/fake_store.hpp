// A store of a cluster's state in memory: leases end by the test's clock, and it can fall silent or
// lose everything.
#pragma once

#include "base/clock.hpp"
#include "storage/state_store.hpp"

#include <functional>
#include <string>
#include <utility>

namespace troupe::tests {

class fake_store final : public storage::state_store {
public:
  explicit fake_store(const clock& time) : time_(time) {}

  void read(answered then) override { reply(std::move(then), true); }
  void campaign(const std::string& node, uint64_t incarnation, duration term,
                answered then) override {
    ++campaigns;
    if (!reachable) return reply(std::move(then), false);
    expire();
    const bool won = !contents.leader;
    if (won) {
      ++revisions_;
      contents.leader = {node, incarnation, ++leases_, revisions_};
      keep_until(term);
    }
    reply(std::move(then), won);
  }
  void keep(uint64_t lease, answered then) override {
    if (!reachable) return reply(std::move(then), false);
    const bool lives = holds(lease);
    if (lives) keep_until(term_);
    then(storage::store_answer{lives, {}});
  }
  void replace(const storage::store_leader& leader, const storage::store_contents& next,
               answered then) override {
    ++replacements;
    if (!reachable) return reply(std::move(then), false);
    expire();
    const bool fits = contents.leader && contents.leader->since == leader.since &&
                      contents.revision == next.revision;
    if (fits) {
      contents.revision = ++revisions_;
      contents.layout = next.layout;
      contents.state = next.state;
    }
    reply(std::move(then), fits);
  }
  void end(uint64_t lease, answered then) override {
    if (!reachable) return reply(std::move(then), false);
    if (holds(lease)) contents.leader.reset();
    then(storage::store_answer{true, {}});
  }
  storage::store_counters counters() const override { return {}; }

  std::string leader() {
    expire();
    return contents.leader ? contents.leader->node : "";
  }

  storage::store_contents contents;
  bool reachable = true;
  uint64_t campaigns = 0;
  uint64_t replacements = 0;

private:
  void reply(answered then, bool done) {
    if (!reachable) return then(fail(status_code::unavailable, "the store is away"));
    expire();
    then(storage::store_answer{done, contents});
  }
  bool holds(uint64_t lease) {
    expire();
    return contents.leader && contents.leader->lease == lease;
  }
  void keep_until(duration term) {
    term_ = term;
    until_ = time_.now() + term;
  }
  void expire() {
    if (contents.leader && time_.now() >= until_) contents.leader.reset();
  }

  const clock& time_;
  time_point until_{};
  duration term_{};
  uint64_t leases_ = 0;
  uint64_t revisions_ = 0;
};

} // namespace troupe::tests
