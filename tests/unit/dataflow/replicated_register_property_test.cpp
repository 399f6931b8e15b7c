// Voters and proposers over a network that loses, repeats and reorders, with crashes that keep the
// memory and crashes that lose it: what is agreed on is always one chain of values.
#include "base/random.hpp"
#include "dataflow/replicated_register.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::dataflow {
namespace {

using outcome = register_proposer::outcome;
using schemas::register_accept;
using schemas::register_accepted;
using schemas::register_prepare;
using schemas::register_promise;
using schemas::register_recover;
using schemas::register_recovered;

using message = std::variant<register_prepare, register_promise, register_accept, register_accepted,
                             register_recover, register_recovered>;

struct packet {
  node_index source = no_node;
  node_index target = no_node;
  message body;
};

// Every proposed value is told apart by its kv_version, and its parent is written down.
class history {
public:
  cluster_state successor(const std::optional<cluster_state>& parent) {
    cluster_state next;
    next.epoch = parent ? parent->epoch + 1 : 1;
    next.kv_version = ++values_;
    parents_[next.kv_version] = parent ? parent->kv_version : 0;
    return next;
  }

  void committed(const cluster_state& value) {
    const auto [at, is_new] = committed_.emplace(value.epoch, value.kv_version);
    ASSERT_EQ(at->second, value.kv_version) << "two values agreed on for epoch " << value.epoch;
    if (is_new && at != committed_.begin()) expect_descent(*at, *std::prev(at));
    if (is_new && std::next(at) != committed_.end()) expect_descent(*std::next(at), *at);
  }

  uint64_t newest_epoch() const { return committed_.empty() ? 0 : committed_.rbegin()->first; }
  size_t commits() const { return committed_.size(); }

private:
  using epoch_and_value = std::pair<const uint64_t, uint64_t>;

  void expect_descent(const epoch_and_value& child, const epoch_and_value& ancestor) {
    uint64_t at = child.second;
    for (uint64_t epoch = child.first; epoch > ancestor.first && at != 0; --epoch)
      at = parents_.at(at);
    ASSERT_EQ(at, ancestor.second)
        << "epoch " << child.first << " does not know of epoch " << ancestor.first;
  }

  uint64_t values_ = 0;
  std::map<uint64_t, uint64_t> parents_;
  std::map<uint64_t, uint64_t> committed_; // by epoch
};

class register_run {
public:
  register_run(uint64_t seed, uint32_t voters)
      : key_{seed, random_subsystem::faults, voters}, losses_(below(2) == 0) {
    for (uint32_t n = 0; n < voters; ++n) layout_.nodes.push_back(std::string(1, 'a' + char(n)));
    layout_.voters = voters;
    for (uint32_t n = 0; n < voters; ++n) nodes_.emplace_back(layout_, n);
  }

  void run() {
    for (int step = 0; step < 500; ++step) {
      act();
      if (testing::Test::HasFatalFailure()) return;
    }
    heal();
  }

  size_t commits() const { return history_.commits(); }
  uint32_t memories_lost() const { return memories_lost_; }
  uint32_t recoveries() const { return recoveries_; }

private:
  struct node {
    node(const cluster_layout& layout, node_index self)
        : acceptor({}, true), proposer(layout, self, 1) {}
    register_acceptor acceptor;
    acceptor_state durable;
    register_proposer proposer;
    std::optional<register_recovery> recovery;
    uint64_t incarnation = 1;
    uint64_t newest_at_begin = 0;
  };

  uint64_t below(uint64_t bound) { return random_below(key_, draws_++, bound); }
  node_index any_node() { return static_cast<node_index>(below(nodes_.size())); }

  void act() {
    const uint64_t dice = below(1000);
    if (dice < 60) {
      clog();
    } else if (dice < 800) {
      deliver_any();
    } else if (dice < 850) {
      begin(any_node());
    } else if (dice < 930) {
      ask_again(any_node());
    } else if (dice < 935) {
      nodes_[any_node()].proposer.give_up();
    } else if (dice < 970) {
      ask_recovery(any_node());
    } else if (dice < 977) {
      crash(any_node(), false);
    } else if (losses_) {
      crash(any_node(), true);
    }
  }

  void send(node_index source, node_index target, const message& body) {
    packet& p = network_.emplace_back();
    p.source = source;
    p.target = target;
    p.body = body;
  }
  void send_all(node_index source, const message& body) {
    for (node_index n = 0; n < nodes_.size(); ++n) send(source, n, body);
  }

  // Ways from node to node are clogged for long, so that what was said in one life is heard in
  // another, and whole attempts pass by others.
  bool clogged(const packet& p) const { return !calm_ && clogs_.count({p.source, p.target}) != 0; }
  void clog() {
    const std::pair way(any_node(), any_node());
    if (clogs_.erase(way) == 0 && below(3) != 0) clogs_.insert(way);
  }

  void deliver_any() {
    if (network_.empty()) return;
    size_t at = below(network_.size());
    for (size_t tries = 0; tries < network_.size() && clogged(network_[at]); ++tries)
      at = (at + 1) % network_.size();
    const packet p = network_[at];
    if (clogged(p)) return;
    if (below(10) != 0 || calm_) { // else it will come once more
      network_[at] = network_.back();
      network_.pop_back();
    }
    if (below(10) == 0 && !calm_) return; // lost
    std::visit([this, &p](const auto& body) { on(p, body); }, p.body);
  }

  void begin(node_index at) {
    node& n = nodes_[at];
    if (n.proposer.busy()) return;
    n.newest_at_begin = history_.newest_epoch();
    send_all(at, n.proposer.begin({}));
  }

  void ask_again(node_index at) {
    const auto& proposer = nodes_[at].proposer;
    for (const node_index to : proposer.unanswered())
      std::visit([&](const auto& question) { send(at, to, question); }, proposer.question());
  }

  void ask_recovery(node_index at) {
    const auto& recovery = nodes_[at].recovery;
    if (!recovery) return;
    for (const node_index to : recovery->unanswered()) send(at, to, recovery->question());
  }

  void crash(node_index at, bool loses_memory) {
    node& n = nodes_[at];
    const auto recovering =
        std::count_if(nodes_.begin(), nodes_.end(), [](const node& each) { return each.recovery; });
    const bool may_lose = recovering < static_cast<int64_t>((nodes_.size() - 1) / 2);
    if (loses_memory && !n.recovery && !may_lose) return;
    ++n.incarnation;
    n.proposer = register_proposer(layout_, at, n.incarnation);
    if (loses_memory || n.recovery) {
      memories_lost_ += !n.recovery;
      n.durable = {};
      n.acceptor = register_acceptor({}, false);
      n.recovery.emplace(layout_, at, n.incarnation);
      ask_recovery(at);
    } else {
      n.acceptor = register_acceptor(n.durable, true);
    }
  }

  void on(const packet& p, const register_prepare& in) {
    node& n = nodes_[p.target];
    if (auto out = n.acceptor.on_prepare(in)) answer(p, n, out->changed, out->answer);
  }
  void on(const packet& p, const register_accept& in) {
    node& n = nodes_[p.target];
    if (auto out = n.acceptor.on_accept(in)) answer(p, n, out->changed, out->answer);
  }
  void on(const packet& p, const register_recover& in) {
    node& n = nodes_[p.target];
    if (auto out = n.acceptor.on_recover(p.source, in)) answer(p, n, out->changed, out->answer);
  }
  void answer(const packet& p, node& n, bool changed, const message& body) {
    if (changed) n.durable = n.acceptor.state();
    ASSERT_EQ(n.durable, n.acceptor.state()); // an unreported change would be forgotten
    send(p.target, p.source, body);
  }

  void on(const packet& p, const register_recovered& in) {
    node& n = nodes_[p.target];
    if (!n.recovery || !n.recovery->on_recovered(p.source, in)) return;
    n.durable = n.recovery->state();
    n.acceptor = register_acceptor(n.durable, true);
    n.recovery.reset();
    ++recoveries_;
  }
  void on(const packet& p, const register_promise& in) {
    node& n = nodes_[p.target];
    if (n.proposer.on_promise(p.source, in) != outcome::read) return;
    const auto& current = n.proposer.current();
    ASSERT_GE(current ? current->epoch : 0, n.newest_at_begin) << "an agreed value was not read";
    const bool only_finish = current && below(4) == 0;
    send_all(p.target, n.proposer.propose(only_finish ? *current : history_.successor(current)));
  }
  void on(const packet& p, const register_accepted& in) {
    node& n = nodes_[p.target];
    if (n.proposer.on_accepted(p.source, in) != outcome::committed) return;
    history_.committed(n.proposer.proposed());
  }

  // No more faults: everybody recovers and a single proposer gets its value through.
  void heal() {
    calm_ = true;
    const uint64_t before = history_.newest_epoch();
    for (auto& n : nodes_) n.proposer.give_up();
    for (int round = 0; round < 20; ++round) {
      for (node_index at = 0; at < nodes_.size(); ++at) ask_recovery(at);
      begin(0);
      ask_again(0);
      while (!network_.empty() && !testing::Test::HasFatalFailure()) deliver_any();
    }
    for (const auto& n : nodes_) ASSERT_FALSE(n.recovery.has_value());
    ASSERT_GT(history_.newest_epoch(), before);
  }

  random_key key_;
  uint64_t draws_ = 0;
  bool losses_;
  bool calm_ = false;
  std::set<std::pair<node_index, node_index>> clogs_;
  cluster_layout layout_;
  std::vector<node> nodes_;
  std::vector<packet> network_;
  history history_;
  uint32_t memories_lost_ = 0;
  uint32_t recoveries_ = 0;
};

void run_seeds(uint32_t voters, uint64_t seeds) {
  size_t commits = 0;
  uint32_t lost = 0;
  uint32_t recovered = 0;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    register_run run(seed, voters);
    run.run();
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    commits += run.commits();
    lost += run.memories_lost();
    recovered += run.recoveries();
  }
  EXPECT_GT(commits, 2 * seeds); // the runs are no standstill
  EXPECT_GT(lost, seeds / 2);
  EXPECT_EQ(recovered, lost);
}

TEST(replicated_register_property_test, three_voters_agree_on_one_chain) {
  run_seeds(3, 6000);
}

TEST(replicated_register_property_test, five_voters_agree_on_one_chain) {
  run_seeds(5, 3000);
}

} // namespace
} // namespace troupe::dataflow
