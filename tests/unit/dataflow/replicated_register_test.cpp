// Votes, ballots and recoveries one by one.
#include "dataflow/replicated_register.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using outcome = register_proposer::outcome;

cluster_layout voters(uint32_t count) {
  cluster_layout layout;
  for (uint32_t n = 0; n < count; ++n) layout.nodes.push_back(std::string(1, 'a' + char(n)));
  layout.voters = count;
  return layout;
}

cluster_state state_of(uint64_t epoch) {
  cluster_state state;
  state.epoch = epoch;
  return state;
}

time_point at(int64_t ms) {
  return time_point{} + milliseconds(ms);
}

class replicated_register_test : public testing::Test {
protected:
  // Reads and writes through these voters.
  outcome write(register_proposer& p, std::vector<node_index> through, uint64_t epoch) {
    const auto prepare = p.begin(at(0));
    outcome out = outcome::waiting;
    for (const node_index n : through)
      out = p.on_promise(n, acceptors.at(n).on_prepare(prepare)->answer);
    if (out != outcome::read) return out;
    const auto accept = p.propose(state_of(epoch));
    for (const node_index n : through)
      out = p.on_accepted(n, acceptors.at(n).on_accept(accept)->answer);
    return out;
  }

  cluster_layout layout = voters(3);
  std::vector<register_acceptor> acceptors = {{{}, true}, {{}, true}, {{}, true}};
};

TEST_F(replicated_register_test, a_majority_agrees_and_the_next_reads_it) {
  register_proposer first(layout, 0, 1);
  EXPECT_EQ(write(first, {0, 1}, 1), outcome::committed);
  EXPECT_EQ(first.proposed().epoch, 1u);
  EXPECT_FALSE(first.busy());
  register_proposer second(layout, 2, 1);
  const auto prepare = second.begin(at(0)); // above: the higher node breaks ties
  EXPECT_EQ(second.on_promise(2, acceptors[2].on_prepare(prepare)->answer), outcome::waiting);
  EXPECT_EQ(second.on_promise(1, acceptors[1].on_prepare(prepare)->answer), outcome::read);
  EXPECT_EQ(second.current()->epoch, 1u);
}

TEST_F(replicated_register_test, nothing_agreed_reads_as_nothing) {
  register_proposer p(layout, 1, 1);
  const auto prepare = p.begin(at(0));
  p.on_promise(0, acceptors[0].on_prepare(prepare)->answer);
  EXPECT_EQ(p.on_promise(1, acceptors[1].on_prepare(prepare)->answer), outcome::read);
  EXPECT_FALSE(p.current().has_value());
}

TEST_F(replicated_register_test, a_repeated_vote_counts_once) {
  register_proposer p(layout, 0, 1);
  const auto promise = acceptors[0].on_prepare(p.begin(at(0)))->answer;
  EXPECT_EQ(p.on_promise(0, promise), outcome::waiting);
  EXPECT_EQ(p.on_promise(0, promise), outcome::waiting);
  EXPECT_EQ(p.unanswered(), (std::vector<node_index>{1, 2}));
  const auto prepare = std::get<schemas::register_prepare>(p.question());
  EXPECT_EQ(p.on_promise(1, acceptors[1].on_prepare(prepare)->answer), outcome::read);
  const auto accepted = acceptors[0].on_accept(p.propose(state_of(1)))->answer;
  EXPECT_EQ(p.on_accepted(0, accepted), outcome::waiting);
  EXPECT_EQ(p.on_accepted(0, accepted), outcome::waiting);
  EXPECT_EQ(p.unanswered(), (std::vector<node_index>{1, 2}));
}

TEST_F(replicated_register_test, answers_of_earlier_ballots_and_strangers_count_for_nothing) {
  register_proposer p(layout, 0, 1);
  const auto old = p.begin(at(0));
  const auto late = acceptors[1].on_prepare(old)->answer;
  p.give_up();
  EXPECT_EQ(p.on_promise(1, late), outcome::waiting);
  const auto prepare = p.begin(at(1));
  EXPECT_GT(prepare.number, old.number);
  p.on_promise(0, acceptors[0].on_prepare(prepare)->answer);
  EXPECT_EQ(p.on_promise(1, late), outcome::waiting);
  schemas::register_promise stranger;
  stranger.number = prepare.number;
  stranger.granted = true;
  EXPECT_EQ(p.on_promise(3, stranger), outcome::waiting);
  EXPECT_EQ(p.on_promise(no_node, stranger), outcome::waiting);
}

TEST_F(replicated_register_test, a_lower_ballot_is_refused_and_the_next_attempt_is_above) {
  register_proposer low(layout, 0, 1);
  register_proposer high(layout, 1, 1);
  const auto first = low.begin(at(0));
  low.on_promise(0, acceptors[0].on_prepare(first)->answer);
  low.on_promise(1, acceptors[1].on_prepare(first)->answer);
  const auto accept = low.propose(state_of(1));
  const auto second = high.begin(at(0));
  EXPECT_TRUE(acceptors[0].on_prepare(second)->answer.granted);
  const auto refusal = *acceptors[0].on_accept(accept);
  EXPECT_FALSE(refusal.answer.granted);
  EXPECT_FALSE(refusal.changed);
  EXPECT_EQ(low.on_accepted(0, refusal.answer), outcome::refused);
  EXPECT_FALSE(low.busy());
  EXPECT_FALSE(acceptors[0].on_prepare(first)->answer.granted);
  EXPECT_GT(low.begin(at(1)).number, second.number);
}

TEST_F(replicated_register_test, the_newest_accepted_value_is_the_one_read) {
  register_proposer a(layout, 0, 1);
  register_proposer b(layout, 1, 1);
  EXPECT_EQ(write(a, {0, 1}, 1), outcome::committed);
  EXPECT_EQ(write(b, {1, 2}, 2), outcome::committed);
  const auto prepare = a.begin(at(0)); // node 0 still has epoch 1
  a.on_promise(0, acceptors[0].on_prepare(prepare)->answer);
  EXPECT_EQ(a.on_promise(2, acceptors[2].on_prepare(prepare)->answer), outcome::read);
  EXPECT_EQ(a.current()->epoch, 2u);
}

TEST_F(replicated_register_test, only_what_changed_must_be_made_durable) {
  register_proposer p(layout, 0, 1);
  const auto prepare = p.begin(at(0));
  EXPECT_TRUE(acceptors[0].on_prepare(prepare)->changed);
  EXPECT_FALSE(acceptors[0].on_prepare(prepare)->changed);
  p.on_promise(0, acceptors[0].on_prepare(prepare)->answer);
  p.on_promise(1, acceptors[1].on_prepare(prepare)->answer);
  const auto accept = p.propose(state_of(4));
  EXPECT_TRUE(acceptors[0].on_accept(accept)->changed);
  EXPECT_FALSE(acceptors[0].on_accept(accept)->changed);
  EXPECT_TRUE(acceptors[0].on_accept(accept)->answer.granted);
  EXPECT_EQ(acceptors[0].state().value.epoch, 4u);
}

TEST_F(replicated_register_test, lives_of_a_node_never_share_a_ballot) {
  register_proposer first(layout, 0, 1);
  register_proposer second(layout, 0, 2);
  EXPECT_NE(first.begin(at(0)).number, second.begin(at(0)).number);
}

TEST_F(replicated_register_test, an_attempt_is_overdue_after_its_time) {
  register_proposer p(layout, 0, 1);
  EXPECT_FALSE(p.overdue(at(1000), milliseconds(200)));
  p.begin(at(10));
  EXPECT_FALSE(p.overdue(at(209), milliseconds(200)));
  EXPECT_TRUE(p.overdue(at(210), milliseconds(200)));
  p.give_up();
  EXPECT_FALSE(p.overdue(at(999), milliseconds(200)));
  EXPECT_TRUE(p.unanswered().empty());
}

TEST_F(replicated_register_test, a_voter_without_memory_grants_nothing) {
  register_acceptor forgetful({}, false);
  register_proposer p(layout, 0, 1);
  EXPECT_FALSE(forgetful.remembers());
  EXPECT_FALSE(forgetful.on_prepare(p.begin(at(0))).has_value());
  EXPECT_FALSE(forgetful.on_accept({}).has_value());
  EXPECT_FALSE(forgetful.on_recover(1, {1}).has_value());
}

TEST_F(replicated_register_test, a_voter_recovers_from_a_majority_of_the_others) {
  register_proposer p(layout, 0, 1);
  EXPECT_EQ(write(p, {0, 1}, 7), outcome::committed);
  register_recovery recovery(layout, 1, 5);
  EXPECT_EQ(recovery.unanswered(), (std::vector<node_index>{0, 2}));
  const auto zero = *acceptors[0].on_recover(1, recovery.question());
  EXPECT_TRUE(zero.changed);
  EXPECT_FALSE(recovery.on_recovered(1, zero.answer)); // not from itself
  EXPECT_FALSE(recovery.on_recovered(0, zero.answer));
  EXPECT_FALSE(recovery.on_recovered(0, zero.answer)); // not twice
  auto wrong = acceptors[2].on_recover(1, recovery.question())->answer;
  wrong.nonce = 4;
  EXPECT_FALSE(recovery.on_recovered(2, wrong));
  EXPECT_TRUE(recovery.on_recovered(2, acceptors[2].on_recover(1, recovery.question())->answer));
  EXPECT_EQ(recovery.state().value.epoch, 7u);
  EXPECT_EQ(recovery.state().promised, acceptors[0].state().promised);
  EXPECT_EQ(recovery.state().recovered, (std::vector<uint64_t>{0, 5}));
  EXPECT_FALSE(acceptors[0].on_recover(1, {4}).has_value()); // a question of an earlier life
}

TEST_F(replicated_register_test, small_clusters_cannot_recover) {
  const auto alone = voters(1);
  register_recovery single(alone, 0, 1);
  EXPECT_TRUE(single.unanswered().empty());
  EXPECT_FALSE(single.done());
  register_recovery pair(voters(2), 0, 1);
  EXPECT_FALSE(pair.on_recovered(1, acceptors[1].on_recover(0, {1})->answer));
}

// The voter's promise is forgotten, and nobody else is a witness of it: without the nonces in the
// votes, two different values would be agreed on one after the other, the second unaware of the
// first.
TEST_F(replicated_register_test, a_promise_of_a_forgotten_life_counts_for_nothing) {
  register_proposer paused(layout, 2, 9); // the higher ballot
  const auto high = paused.begin(at(0));
  paused.on_promise(0, acceptors[0].on_prepare(high)->answer);

  register_recovery recovery(layout, 0, 2); // voter 0 loses its memory and gets it back
  recovery.on_recovered(1, acceptors[1].on_recover(0, recovery.question())->answer);
  recovery.on_recovered(2, acceptors[2].on_recover(0, recovery.question())->answer);
  acceptors[0] = register_acceptor(recovery.state(), true);

  register_proposer other(layout, 1, 1); // the lower ballot
  EXPECT_EQ(write(other, {0, 1}, 1), outcome::committed);

  const auto unaware = acceptors[2].on_prepare(high)->answer;
  EXPECT_EQ(paused.on_promise(2, unaware), outcome::waiting);
  EXPECT_EQ(paused.unanswered(), (std::vector<node_index>{0, 1}));
  EXPECT_EQ(paused.on_promise(0, acceptors[0].on_prepare(high)->answer), outcome::read);
  EXPECT_EQ(paused.current()->epoch, 1u);
}

} // namespace
} // namespace troupe::dataflow
