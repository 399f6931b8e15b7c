// Whole clusters of tables and leaders under cuts, crashes and restarts: what is decided settles,
// everybody who is in hears everybody, and after healing everybody is in again.
#include "base/random.hpp"
#include "dataflow/membership_rules.hpp"
#include "dataflow/placement.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The register is taken for granted: a leader reads and writes the one agreed state, and whoever is
// connected to a leader learns it.
class cluster_run {
public:
  explicit cluster_run(uint64_t seed)
      : key_{seed, random_subsystem::faults, 2}, count_(static_cast<uint32_t>(3 + below(5))) {
    for (uint32_t n = 0; n < count_; ++n) layout_.nodes.push_back(std::string(1, 'a' + char(n)));
    layout_.voters = count_ >= 5 && below(2) == 0 ? 5 : 3;
    layout_.stages = 2;
    layout_.shards = 4;
    layout_.shard_copies = 2;
    layout_.layers = 4;
    layout_.experts = 8;
    timing_.readmit_max = seconds(4);
    for (node_index n = 0; n < count_; ++n) nodes_.emplace_back(*this, n);
  }

  void run() {
    go_on(seconds(2));
    ASSERT_EQ(agreed_.epoch, 1u) << "a healthy cluster forms at once";
    for (int faults = 0; faults < 3; ++faults) {
      break_something();
      go_on(milliseconds(below(4000)));
    }
    // The same faults go on: decisions come to rest, whoever comes back having come back.
    go_on(seconds(20));
    const auto at_rest = agreed_.epoch;
    go_on(seconds(10));
    ASSERT_EQ(agreed_.epoch, at_rest) << "flapping: " << why_;
    expect_sound();
    heal();
    go_on(seconds(20));
    const auto whole = agreed_.epoch;
    go_on(seconds(5));
    ASSERT_EQ(agreed_.epoch, whole) << "flapping: " << why_;
    for (node_index n = 0; n < count_; ++n) {
      ASSERT_TRUE(agreed_.members[n].present && agreed_.members[n].serving) << n;
      ASSERT_EQ(agreed_.members[n].incarnation, nodes_[n].incarnation);
    }
    ASSERT_LE(agreed_.epoch, 80u); // about a dozen faults' worth
  }

private:
  struct node {
    node(cluster_run& run, node_index self)
        : table(run.layout_, run.timing_, self, 1, run.now_),
          doors(run.timing_, run.count_),
          next_tick(run.now_ + milliseconds(run.below(100))) {}
    membership_table table;
    readmission doors;
    cluster_state known;
    uint64_t incarnation = 1;
    uint64_t number = 0;
    uint64_t generation = 0;
    bool alive = true;
    bool serving = true;
    bool draining = false;
    time_point next_tick;
  };

  uint64_t below(uint64_t bound) { return random_below(key_, draws_++, bound); }
  node_index any_node() { return static_cast<node_index>(below(count_)); }

  void go_on(duration time) {
    for (const time_point end = now_ + time; now_ < end; now_ += milliseconds(5)) {
      while (!network_.empty() && network_.begin()->first <= now_) {
        const auto [target, report] = network_.begin()->second;
        network_.erase(network_.begin());
        if (nodes_[target].alive) nodes_[target].table.on_report(report, now_);
      }
      for (node_index n = 0; n < count_; ++n)
        if (nodes_[n].alive && nodes_[n].next_tick <= now_) tick(n);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  void tick(node_index self) {
    node& n = nodes_[self];
    n.next_tick += timing_.report_every;
    const node_report own = report(self);
    for (node_index to = 0; to < count_; ++to) {
      if (to == self || cuts_.count({self, to}) != 0 || below(50) == 0) continue;
      network_.emplace(now_ + milliseconds(1 + below(15)), std::pair(to, own));
    }
    if (own.leads) lead(self, own);
  }

  node_report report(node_index self) {
    node& n = nodes_[self];
    node_report own;
    own.node = self;
    own.incarnation = n.incarnation;
    own.number = ++n.number;
    own.epoch = n.known.epoch;
    own.generation = n.generation;
    own.serving = n.serving;
    own.draining = n.draining;
    own.majority = n.table.has_majority(now_);
    own.leads = n.table.should_lead(now_);
    own.hears = n.table.hears(now_);
    return own;
  }

  void lead(node_index self, const node_report& own) {
    learn(self);
    const auto view = view_of(nodes_[self].table, own, now_);
    if (auto change = next_state(view, layout_, agreed_, nodes_[self].doors, now_)) {
      check(*change);
      agreed_ = std::move(change->next);
      why_ = text_of(self) + ": " + change->why;
    }
    for (node_index n = 0; n < count_; ++n)
      if (nodes_[n].alive && nodes_[self].table.connected(n, now_) && below(5) != 0) learn(n);
  }

  void learn(node_index at) {
    node& n = nodes_[at];
    if (n.known.epoch >= agreed_.epoch) return;
    n.doors.observe(n.known, agreed_, now_);
    n.known = agreed_;
    n.table.agreed(agreed_);
  }

  void check(const state_change& change) {
    const auto& next = change.next;
    ASSERT_EQ(next.epoch, agreed_.epoch + 1);
    std::vector<bool> serving;
    for (const auto& m : next.members) serving.push_back(m.serving);
    const auto s = validate(next.where, layout_, serving);
    ASSERT_TRUE(s.ok()) << s.why();
    bool lost = agreed_.where.stages != next.where.stages;
    for (const node_index host : next.where.stages)
      lost |= agreed_.members.empty() ||
              agreed_.members[host].incarnation != next.members[host].incarnation;
    ASSERT_EQ(next.kv_version, agreed_.kv_version + lost) << change.why;
  }

  // Who is in is alive, and hears who else is in; unless too few voters are left to decide.
  void expect_sound() {
    bool led = false;
    for (const auto& n : nodes_) led |= n.alive && n.table.should_lead(now_);
    if (!led) return;
    for (node_index a = 0; a < count_; ++a) {
      if (!agreed_.members[a].present) continue;
      EXPECT_TRUE(nodes_[a].alive) << a;
      EXPECT_EQ(agreed_.members[a].serving, nodes_[a].serving && !nodes_[a].draining) << a;
      for (node_index b = 0; b < count_; ++b)
        if (agreed_.members[b].present) {
          EXPECT_EQ(cuts_.count({a, b}), 0u) << a << b;
        }
    }
  }

  void break_something() {
    const node_index a = any_node();
    const node_index b = any_node();
    switch (below(8)) {
      case 0: // crash for good
        nodes_[a].alive = false;
        return;
      case 1: // crash and restart
      case 2:
        restart(a);
        return;
      case 3: // one way
        if (a != b) cuts_.insert({a, b});
        return;
      case 4: // both ways
        if (a != b) cuts_.insert({{a, b}, {b, a}});
        return;
      case 5: { // a partition, perhaps one way only
        const uint64_t side = below(uint64_t{1} << count_);
        const bool both = below(2) == 0;
        for (node_index x = 0; x < count_; ++x)
          for (node_index y = 0; y < count_; ++y)
            if ((side >> x & 1) != (side >> y & 1) && (both || (side >> x & 1) == 0))
              cuts_.insert({x, y});
        return;
      }
      case 6:
        nodes_[a].serving = false;
        return;
      default:
        nodes_[a].draining = true;
        ++nodes_[b].generation;
        return;
    }
  }

  void restart(node_index at) {
    node fresh(*this, at);
    fresh.incarnation = nodes_[at].incarnation + 1;
    fresh.table = membership_table(layout_, timing_, at, fresh.incarnation, now_);
    fresh.next_tick = now_;
    nodes_[at] = std::move(fresh);
  }

  void heal() {
    cuts_.clear();
    for (node_index n = 0; n < count_; ++n) {
      if (!nodes_[n].alive) restart(n);
      nodes_[n].serving = true;
      nodes_[n].draining = false;
    }
  }

  std::string text_of(node_index n) const { return layout_.nodes[n]; }

  random_key key_;
  uint64_t draws_ = 0;
  uint32_t count_;
  cluster_layout layout_;
  cluster_timing timing_;
  time_point now_{};
  std::vector<node> nodes_;
  std::multimap<time_point, std::pair<node_index, node_report>> network_;
  std::set<std::pair<node_index, node_index>> cuts_; // from, to
  cluster_state agreed_;
  std::string why_;
};

TEST(membership_property_test, decisions_settle_and_everybody_comes_back) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    cluster_run(seed).run();
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

} // namespace
} // namespace troupe::dataflow
