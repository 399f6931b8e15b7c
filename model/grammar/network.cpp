// Expressions become automata part by part; then everything that leads nowhere is left out.
#include "model/grammar/network.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <utility>

namespace troupe::model {
namespace {

using state = network::state;
constexpr uint32_t unreachable = UINT32_MAX;

struct raw_byte_edge {
  state from;
  byte_set bytes;
  state to;
};
struct raw_call_edge {
  state from;
  uint32_t rule;
  state to;
};
struct raw_silent_edge {
  state from;
  state to;
};

// Lists of edge numbers by state.
class edge_index {
public:
  template <class Edges, class Key>
  edge_index(size_t states, const Edges& edges, Key key) : begin_(states + 1, 0) {
    for (const auto& edge : edges) ++begin_[key(edge) + 1];
    for (size_t i = 0; i < states; ++i) begin_[i + 1] += begin_[i];
    items_.resize(edges.size());
    std::vector<uint32_t> next(begin_.begin(), begin_.end() - 1);
    for (uint32_t i = 0; i < edges.size(); ++i) items_[next[key(edges[i])]++] = i;
  }
  std::span<const uint32_t> of(state at) const {
    return std::span(items_).subspan(begin_[at], begin_[at + 1] - begin_[at]);
  }

private:
  std::vector<uint32_t> begin_;
  std::vector<uint32_t> items_;
};

} // namespace

class network_builder {
public:
  network_builder(const expression_book& book, const byte_set& usable, const network_limits& limits)
      : book_(book), usable_(usable), limits_(limits), steps_left_(16ull * limits.states_max) {}

  result<network> run() {
    TROUPE_CHECK(!book_.rules().empty());
    for (const auto& rule : book_.rules()) {
      if (!rule.body)
        return fail(status_code::invalid_argument,
                    text("the rule '", rule.name, "' is used but not defined"));
      current_rule_ = static_cast<uint32_t>(starts_.size());
      starts_.push_back(add_state());
      finals_.push_back(add_state());
    }
    for (current_rule_ = 0; current_rule_ < starts_.size(); ++current_rule_)
      build(*book_.rules()[current_rule_].body, starts_[current_rule_], finals_[current_rule_]);
    if (!why_.ok()) return fail(why_);
    find_tails();
    find_needed_depths();
    if (needed_[starts_[0]] == unreachable)
      return fail(status_code::invalid_argument, "no text matches it");
    if (needed_[starts_[0]] > limits_.depth_max)
      return fail(status_code::invalid_argument,
                  text("the shortest text that matches it nests ", needed_[starts_[0]],
                       " rules deep; at most ", limits_.depth_max, " are supported"));
    if (status s = check_left_recursion(); !s.ok()) return fail(std::move(s));
    return finish();
  }

private:
  using kind = expression_book::kind;
  using expression = expression_book::expression;

  // -- from expressions to edges

  state add_state() {
    if (states_ >= limits_.states_max) give_up();
    rule_of_.push_back(current_rule_);
    return states_++;
  }

  void give_up() {
    if (!why_.ok()) return;
    why_ = status(status_code::invalid_argument,
                  text("it is too large: written out it has more than ", limits_.states_max,
                       " states; counted repetitions and long lists cost most"));
  }

  // Adds what leads from one state to another; nothing else may lead into `from`'s new edges, so
  // loops get a state of their own.
  void build(expression which, state from, state to) {
    if (steps_left_ == 0) give_up();
    if (!why_.ok()) return;
    --steps_left_;
    const auto& node = book_.at(which);
    switch (node.what) {
      case kind::bytes:
        return byte_step(from, node.bytes, to);
      case kind::literal:
        return build_literal(node.text, from, to);
      case kind::sequence:
        return build_sequence(node.parts, from, to);
      case kind::choice:
        for (const expression part : node.parts) build(part, from, to);
        return;
      case kind::words:
        return build_words(node.words, from, to);
      case kind::repeat:
        return build_repeat(node, from, to);
      case kind::call:
        return calls_.push_back({from, node.callee, to});
    }
  }

  void byte_step(state from, byte_set bytes, state to) {
    bytes.keep(usable_);
    if (!bytes.empty()) bytes_.push_back({from, bytes, to});
  }

  void build_literal(const std::string& content, state from, state to) {
    if (content.empty()) return silents_.push_back({from, to});
    for (size_t i = 0; i < content.size() && why_.ok(); ++i) {
      const auto byte = static_cast<uint8_t>(content[i]);
      const state next = i + 1 == content.size() ? to : add_state();
      byte_step(from, byte_set::range(byte, byte), next);
      from = next;
    }
  }

  void build_sequence(const std::vector<expression>& parts, state from, state to) {
    if (parts.empty()) return silents_.push_back({from, to});
    for (size_t i = 0; i < parts.size() && why_.ok(); ++i) {
      const state next = i + 1 == parts.size() ? to : add_state();
      build(parts[i], from, next);
      from = next;
    }
  }

  // Common beginnings are shared: thousands of words stay one state wide.
  void build_words(const std::vector<std::string>& words, state from, state to) {
    std::map<std::pair<state, uint8_t>, state> known;
    for (const auto& word : words) {
      if (!why_.ok()) return;
      if (word.empty()) {
        silents_.push_back({from, to});
        continue;
      }
      state at = from;
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        const auto byte = static_cast<uint8_t>(word[i]);
        auto [entry, fresh] = known.try_emplace({at, byte}, 0);
        if (fresh) {
          entry->second = add_state();
          byte_step(at, byte_set::range(byte, byte), entry->second);
        }
        at = entry->second;
      }
      const auto last = static_cast<uint8_t>(word.back());
      byte_step(at, byte_set::range(last, last), to);
    }
  }

  void build_repeat(const expression_book::node& node, state from, state to) {
    const expression part = node.parts.front();
    for (uint32_t i = 0; i < node.least && why_.ok(); ++i) {
      const state next = add_state();
      build(part, from, next);
      from = next;
    }
    if (!node.most) {
      const state loop = add_state();
      silents_.push_back({from, loop});
      build(part, loop, loop);
      return silents_.push_back({loop, to});
    }
    for (uint32_t i = node.least; i < *node.most && why_.ok(); ++i) {
      const state next = add_state();
      silents_.push_back({from, to});
      build(part, from, next);
      from = next;
    }
    silents_.push_back({from, to});
  }

  // -- what the edges mean

  // States behind which nothing is left but the end of the rule.
  void find_tails() {
    std::vector<uint32_t> open(states_, 0);
    for (const auto& edge : bytes_) ++open[edge.from];
    for (const auto& edge : calls_) ++open[edge.from];
    for (const auto& edge : silents_) ++open[edge.from];
    const edge_index into(states_, silents_, [](const auto& edge) { return edge.to; });
    tails_.assign(states_, false);
    std::vector<state> work = finals_;
    while (!work.empty()) {
      const state at = work.back();
      work.pop_back();
      tails_[at] = true;
      for (const uint32_t i : into.of(at))
        if (--open[silents_[i].from] == 0) work.push_back(silents_[i].from);
    }
  }

  // The depth a way over this edge needs, or unreachable as long as a part is not known.
  uint32_t needed_by(const raw_call_edge& edge) const {
    const uint32_t inside = needed_[starts_[edge.rule]];
    const uint32_t behind = needed_[edge.to];
    if (inside == unreachable || behind == unreachable) return unreachable;
    return tails_[edge.to] ? inside : std::max(inside + 1, behind);
  }

  // Shortest ways by Knuth's generalisation of Dijkstra's algorithm: the state that needs least is
  // final first.
  void find_needed_depths() {
    const edge_index bytes_into(states_, bytes_, [](const auto& edge) { return edge.to; });
    const edge_index silents_into(states_, silents_, [](const auto& edge) { return edge.to; });
    const edge_index calls_into(states_, calls_, [](const auto& edge) { return edge.to; });
    const edge_index calls_of(states_, calls_,
                              [this](const auto& edge) { return starts_[edge.rule]; });
    using entry = std::pair<uint32_t, state>;
    std::priority_queue<entry, std::vector<entry>, std::greater<>> work;
    needed_.assign(states_, unreachable);
    for (const state end : finals_) work.push({0, end});
    while (!work.empty()) {
      const auto [depth, at] = work.top();
      work.pop();
      if (needed_[at] != unreachable) continue;
      needed_[at] = depth;
      for (const uint32_t i : bytes_into.of(at)) work.push({depth, bytes_[i].from});
      for (const uint32_t i : silents_into.of(at)) work.push({depth, silents_[i].from});
      for (const auto* calls : {&calls_into, &calls_of})
        for (const uint32_t i : calls->of(at))
          if (const uint32_t needed = needed_by(calls_[i]); needed != unreachable)
            work.push({needed, calls_[i].from});
    }
  }

  bool usable(state at) const { return needed_[at] <= limits_.depth_max; }

  // Which states reach the end of their rule without a byte.
  std::vector<bool> silent_states() const {
    const edge_index silents_into(states_, silents_, [](const auto& edge) { return edge.to; });
    const edge_index calls_into(states_, calls_, [](const auto& edge) { return edge.to; });
    const edge_index calls_of(states_, calls_,
                              [this](const auto& edge) { return starts_[edge.rule]; });
    std::vector<bool> out(states_, false);
    std::vector<state> work = finals_;
    while (!work.empty()) {
      const state at = work.back();
      work.pop_back();
      if (out[at]) continue;
      out[at] = true;
      for (const uint32_t i : silents_into.of(at)) work.push_back(silents_[i].from);
      for (const auto* calls : {&calls_into, &calls_of})
        for (const uint32_t i : calls->of(at))
          if (out[starts_[calls_[i].rule]] && out[calls_[i].to]) work.push_back(calls_[i].from);
    }
    return out;
  }

  // A rule that calls itself before any byte would be called for ever.
  status check_left_recursion() const {
    const auto silent = silent_states();
    const edge_index silents_from(states_, silents_, [](const auto& edge) { return edge.from; });
    const edge_index calls_from(states_, calls_, [](const auto& edge) { return edge.from; });
    const size_t rules = starts_.size();
    std::vector<std::vector<uint32_t>> first(rules); // rules called before any byte
    std::vector<uint32_t> seen(states_, unreachable);
    for (uint32_t rule = 0; rule < rules; ++rule) {
      std::vector<state> work{starts_[rule]};
      while (!work.empty()) {
        const state at = work.back();
        work.pop_back();
        if (seen[at] == rule || !usable(at)) continue;
        seen[at] = rule;
        for (const uint32_t i : silents_from.of(at)) work.push_back(silents_[i].to);
        for (const uint32_t i : calls_from.of(at)) {
          if (needed_by(calls_[i]) == unreachable) continue;
          first[rule].push_back(calls_[i].rule);
          if (silent[starts_[calls_[i].rule]]) work.push_back(calls_[i].to);
        }
      }
    }
    return find_cycle(first);
  }

  // Rules whose callees all are without a cycle are taken away; whoever is left is on one or before
  // one.
  status find_cycle(const std::vector<std::vector<uint32_t>>& first) const {
    std::vector<uint32_t> open(first.size(), 0);
    std::vector<std::vector<uint32_t>> callers(first.size());
    std::vector<uint32_t> work;
    for (uint32_t rule = 0; rule < first.size(); ++rule) {
      for (const uint32_t callee : first[rule]) callers[callee].push_back(rule);
      open[rule] = static_cast<uint32_t>(first[rule].size());
      if (open[rule] == 0) work.push_back(rule);
    }
    while (!work.empty()) {
      const uint32_t done = work.back();
      work.pop_back();
      for (const uint32_t caller : callers[done])
        if (--open[caller] == 0) work.push_back(caller);
    }
    const auto left = std::find_if(open.begin(), open.end(), [](uint32_t n) { return n > 0; });
    if (left == open.end()) return {};
    // Following callees that are left leads into the cycle.
    auto at = static_cast<uint32_t>(left - open.begin());
    for (size_t i = 0; i < first.size(); ++i)
      at = *std::find_if(first[at].begin(), first[at].end(),
                         [&open](uint32_t r) { return open[r] > 0; });
    return {status_code::invalid_argument,
            text("the rule '", book_.rules()[at].name,
                 "' calls itself before any character (left recursion); write it as a repetition")};
  }

  // -- the result

  template <class Raw, class Edge, class Make>
  void put_edges(const std::vector<Raw>& raw, std::vector<Edge>& edges,
                 std::vector<uint32_t>& begin, Make make) const {
    const edge_index from(states_, raw, [](const auto& edge) { return edge.from; });
    for (state at = 0; at < states_; ++at) {
      begin.push_back(static_cast<uint32_t>(edges.size()));
      for (const uint32_t i : from.of(at))
        if (std::optional<Edge> made = make(raw[i])) edges.push_back(*made);
    }
    begin.push_back(static_cast<uint32_t>(edges.size()));
  }

  network finish() {
    network out;
    out.start_ = starts_[0];
    out.depth_max_ = limits_.depth_max;
    out.ends_.assign(states_, false);
    for (const state end : finals_) out.ends_[end] = true;
    std::map<byte_set, uint32_t> sets;
    put_edges(bytes_, out.byte_edges_, out.byte_begin_,
              [&](const raw_byte_edge& edge) -> std::optional<network::byte_edge> {
                if (!usable(edge.to)) return std::nullopt;
                const auto entry = sets.try_emplace(edge.bytes, out.sets_.size()).first;
                if (entry->second == out.sets_.size()) out.sets_.push_back(edge.bytes);
                return network::byte_edge{entry->second, edge.to};
              });
    put_edges(calls_, out.call_edges_, out.call_begin_,
              [&](const raw_call_edge& edge) -> std::optional<network::call_edge> {
                const uint32_t needed = needed_by(edge);
                if (needed > limits_.depth_max) return std::nullopt;
                return network::call_edge{starts_[edge.rule], edge.to, tails_[edge.to]};
              });
    put_edges(silents_, out.silent_edges_, out.silent_begin_,
              [&](const raw_silent_edge& edge) -> std::optional<state> {
                if (!usable(edge.to)) return std::nullopt;
                return edge.to;
              });
    std::vector<bool> calls(starts_.size(), false);
    for (const auto& edge : calls_) calls[rule_of_[edge.from]] = true;
    for (const uint32_t rule : rule_of_) out.leaves_.push_back(!calls[rule]);
    out.needed_ = std::move(needed_);
    return out;
  }

  const expression_book& book_;
  const byte_set usable_;
  const network_limits limits_;
  uint64_t steps_left_;
  status why_;
  uint32_t states_ = 0;
  uint32_t current_rule_ = 0;
  std::vector<uint32_t> rule_of_; // by state
  std::vector<state> starts_;     // by rule
  std::vector<state> finals_;
  std::vector<raw_byte_edge> bytes_;
  std::vector<raw_call_edge> calls_;
  std::vector<raw_silent_edge> silents_;
  std::vector<bool> tails_;
  std::vector<uint32_t> needed_;
};

result<network> network::compile(const expression_book& book, const byte_set& usable,
                                 const network_limits& limits) {
  return network_builder(book, usable, limits).run();
}

} // namespace troupe::model
