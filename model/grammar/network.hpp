// A grammar ready to run: one small automaton over bytes for each rule, with edges that call other
// rules.
#pragma once

#include "base/status.hpp"
#include "model/grammar/expressions.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::model {

struct network_limits {
  uint32_t states_max = 1 << 16; // of all rules; repetitions are written out
  uint32_t depth_max = 512;      // calls within calls
};

// Immutable. Every state that can be reached can be left towards the end of its rule within the
// bound on depth, so that a text that was begun can always be completed.
class network {
public:
  using state = uint32_t;
  struct byte_edge {
    uint32_t set = 0; // of sets()
    state target = 0;
  };
  struct call_edge {
    state callee = 0;  // where the rule begins
    state target = 0;  // where it goes on behind the rule
    bool tail = false; // nothing follows: the caller need not be remembered
  };

  // `invalid_argument` when a rule is missing, calls itself before any byte, no text matches, or
  // the grammar is larger than the limits. `usable`: bytes that may occur in texts.
  static result<network> compile(const expression_book& book, const byte_set& usable,
                                 const network_limits& limits = {});

  state start() const { return start_; }
  bool is_end(state at) const { return ends_[at]; }
  // Whether the rule it is in calls no other.
  bool is_in_leaf(state at) const { return leaves_[at]; }
  // Calls within calls that are needed to get to the end of the rule.
  uint32_t needed_depth(state at) const { return needed_[at]; }
  uint32_t depth_max() const { return depth_max_; }

  std::span<const byte_edge> byte_edges(state at) const {
    return std::span(byte_edges_).subspan(byte_begin_[at], byte_begin_[at + 1] - byte_begin_[at]);
  }
  std::span<const call_edge> call_edges(state at) const {
    return std::span(call_edges_).subspan(call_begin_[at], call_begin_[at + 1] - call_begin_[at]);
  }
  std::span<const state> silent_edges(state at) const {
    return std::span(silent_edges_)
        .subspan(silent_begin_[at], silent_begin_[at + 1] - silent_begin_[at]);
  }
  const byte_set& set(uint32_t index) const { return sets_[index]; }
  size_t states() const { return ends_.size(); }

private:
  friend class network_builder;

  state start_ = 0;
  uint32_t depth_max_ = 0;
  std::vector<bool> ends_;
  std::vector<bool> leaves_;
  std::vector<uint32_t> needed_;
  std::vector<byte_set> sets_;
  std::vector<byte_edge> byte_edges_;
  std::vector<call_edge> call_edges_;
  std::vector<state> silent_edges_;
  std::vector<uint32_t> byte_begin_; // by state; one more at the end
  std::vector<uint32_t> call_begin_;
  std::vector<uint32_t> silent_begin_;
};

} // namespace troupe::model
