// The voter's and the proposer's side of the register, and how a voter gets its memory back.
#include "dataflow/replicated_register.hpp"

#include "base/check.hpp"
#include "base/mutant.hpp"

#include <algorithm>

namespace troupe::dataflow {
namespace {

// The nonce of the latest recovery of `voter` that a voter with this list knows of; 0: none.
uint64_t recovery_of(const std::vector<uint64_t>& recovered, node_index voter) {
  return voter < recovered.size() ? recovered[voter] : 0;
}

void note_recovery(std::vector<uint64_t>& recovered, node_index voter, uint64_t nonce) {
  if (recovered.size() <= voter) recovered.resize(voter + 1, 0);
  recovered[voter] = std::max(recovered[voter], nonce);
}

// Whether what `from` has answered was answered in its latest life that any answer knows of.
template <class Answers>
bool in_latest_life(const Answers& answers, node_index from) {
  const uint64_t own = recovery_of(answers.at(from).recovered, from);
  return std::all_of(answers.begin(), answers.end(), [own, from](const auto& answer) {
    return recovery_of(answer.second.recovered, from) <= own;
  });
}

template <class Answers>
uint32_t count_in_latest_life(const Answers& answers) {
  return static_cast<uint32_t>(std::count_if(
      answers.begin(), answers.end(),
      [&answers](const auto& answer) { return in_latest_life(answers, answer.first); }));
}

// Counter in the upper half of a round, the proposer's incarnation in the lower.
constexpr uint32_t counter_shift = 32;

} // namespace

register_acceptor::register_acceptor(acceptor_state state, bool remembers)
    : state_(std::move(state)), remembers_(remembers) {}

bool register_acceptor::outdated(const ballot& number) const {
  return number < state_.promised && !TROUPE_MUTANT(promise_lower_ballot);
}

std::optional<register_acceptor::promise> register_acceptor::on_prepare(
    const schemas::register_prepare& in) {
  if (!remembers_) return {};
  promise out;
  out.answer.number = in.number;
  out.answer.recovered = state_.recovered;
  if (outdated(in.number)) {
    out.answer.promised = state_.promised;
    return out;
  }
  out.changed = state_.promised != in.number; // a repeated question has the same answer
  state_.promised = in.number;
  out.answer.granted = true;
  out.answer.accepted = state_.accepted;
  out.answer.value = state_.value;
  return out;
}

std::optional<register_acceptor::acceptance> register_acceptor::on_accept(
    const schemas::register_accept& in) {
  if (!remembers_) return {};
  acceptance out;
  out.answer.number = in.number;
  out.answer.recovered = state_.recovered;
  if (outdated(in.number)) {
    out.answer.promised = state_.promised;
    return out;
  }
  out.answer.granted = true;
  out.changed = state_.accepted != in.number;
  if (!out.changed) return out;
  state_.promised = in.number;
  state_.accepted = in.number;
  state_.value = in.value;
  return out;
}

std::optional<register_acceptor::recovery> register_acceptor::on_recover(
    node_index from, const schemas::register_recover& in) {
  const uint64_t known = recovery_of(state_.recovered, from);
  if (!remembers_ || in.nonce < known) return {};
  recovery out;
  out.changed = in.nonce > known;
  note_recovery(state_.recovered, from, in.nonce);
  out.answer = {in.nonce, state_};
  return out;
}

register_recovery::register_recovery(const cluster_layout& layout, node_index self, uint64_t nonce)
    : layout_(layout), self_(self), nonce_(nonce) {
  TROUPE_CHECK(layout.is_voter(self));
  TROUPE_CHECK(nonce > 0); // 0 stands for no recovery
}

bool register_recovery::on_recovered(node_index from, const schemas::register_recovered& in) {
  if (in.nonce == nonce_ && layout_.is_voter(from) && from != self_)
    answers_.insert_or_assign(from, in.state);
  return done();
}

bool register_recovery::done() const {
  return count_in_latest_life(answers_) >= layout_.majority();
}

acceptor_state register_recovery::state() const {
  TROUPE_CHECK(done());
  acceptor_state merged;
  // An answer of an earlier life says what was true then; more knowledge never harms.
  for (const auto& [from, answer] : answers_) {
    merged.promised = std::max(merged.promised, answer.promised);
    if (merged.accepted < answer.accepted) {
      merged.accepted = answer.accepted;
      merged.value = answer.value;
    }
    for (node_index voter = 0; voter < answer.recovered.size(); ++voter)
      note_recovery(merged.recovered, voter, answer.recovered[voter]);
  }
  note_recovery(merged.recovered, self_, nonce_);
  return merged;
}

std::vector<node_index> register_recovery::unanswered() const {
  std::vector<node_index> nodes;
  for (node_index voter = 0; voter < layout_.voters; ++voter)
    if (voter != self_ && !(answers_.count(voter) != 0 && in_latest_life(answers_, voter)))
      nodes.push_back(voter);
  return nodes;
}

register_proposer::register_proposer(const cluster_layout& layout, node_index self,
                                     uint64_t incarnation)
    : layout_(layout), self_(self), incarnation_(static_cast<uint32_t>(incarnation)) {}

schemas::register_prepare register_proposer::begin(time_point now) {
  const uint64_t counter = (highest_seen_.round >> counter_shift) + 1;
  number_ = {counter << counter_shift | incarnation_, self_};
  highest_seen_ = number_;
  phase_ = phase::preparing;
  began_ = now;
  votes_.clear();
  repeated_votes_ = 0;
  return {number_};
}

register_proposer::outcome register_proposer::on_promise(node_index from,
                                                         const schemas::register_promise& in) {
  if (!in.granted) highest_seen_ = std::max(highest_seen_, in.promised);
  if (!expected(from, in.number, phase::preparing)) return outcome::waiting;
  if (!in.granted) return refuse(in.promised);
  count(from, {in.recovered, in.accepted, in.value});
  if (!majority_answered()) return outcome::waiting;
  read_current();
  phase_ = phase::read;
  return outcome::read;
}

schemas::register_accept register_proposer::propose(cluster_state value) {
  TROUPE_CHECK(phase_ == phase::read);
  proposed_ = std::move(value);
  phase_ = phase::accepting;
  votes_.clear();
  repeated_votes_ = 0;
  return {number_, proposed_};
}

register_proposer::outcome register_proposer::on_accepted(node_index from,
                                                          const schemas::register_accepted& in) {
  if (!in.granted) highest_seen_ = std::max(highest_seen_, in.promised);
  if (!expected(from, in.number, phase::accepting)) return outcome::waiting;
  if (!in.granted) return refuse(in.promised);
  count(from, {in.recovered, {}, {}});
  if (!majority_answered()) return outcome::waiting;
  current_ = proposed_;
  give_up();
  return outcome::committed;
}

void register_proposer::give_up() {
  phase_ = phase::idle;
  votes_.clear();
}

bool register_proposer::overdue(time_point now, duration timeout) const {
  return busy() && now - began_ >= timeout;
}

const std::optional<cluster_state>& register_proposer::current() const {
  return current_;
}

std::vector<node_index> register_proposer::unanswered() const {
  std::vector<node_index> nodes;
  if (phase_ != phase::preparing && phase_ != phase::accepting) return nodes;
  for (node_index voter = 0; voter < layout_.voters; ++voter)
    if (!valid(voter)) nodes.push_back(voter);
  return nodes;
}

std::variant<schemas::register_prepare, schemas::register_accept> register_proposer::question()
    const {
  TROUPE_CHECK(phase_ == phase::preparing || phase_ == phase::accepting);
  if (phase_ == phase::preparing) return schemas::register_prepare{number_};
  return schemas::register_accept{number_, proposed_};
}

// Late answers to earlier ballots, or to the earlier phase, count for nothing.
bool register_proposer::expected(node_index from, const ballot& number, phase during) const {
  return layout_.is_voter(from) && phase_ == during && number == number_;
}

register_proposer::outcome register_proposer::refuse(const ballot& promised) {
  if (promised <= number_) return outcome::waiting; // no reason to refuse: not from a sane voter
  give_up();
  return outcome::refused;
}

void register_proposer::count(node_index from, vote answer) {
  const auto known = votes_.find(from);
  if (known == votes_.end()) {
    votes_.emplace(from, std::move(answer));
    return;
  }
  if (TROUPE_MUTANT(double_vote)) ++repeated_votes_;
  // Answers may overtake each other: that of the voter's later life stands.
  if (recovery_of(answer.recovered, from) >= recovery_of(known->second.recovered, from))
    known->second = std::move(answer);
}

bool register_proposer::valid(node_index from) const {
  return votes_.count(from) != 0 && in_latest_life(votes_, from);
}

bool register_proposer::majority_answered() const {
  return count_in_latest_life(votes_) + repeated_votes_ >= layout_.majority();
}

void register_proposer::read_current() {
  current_.reset();
  ballot newest;
  for (const auto& [from, answer] : votes_) {
    if (answer.accepted <= newest || TROUPE_MUTANT(forget_accepted_value)) continue;
    newest = answer.accepted;
    current_ = answer.value;
  }
}

} // namespace troupe::dataflow
