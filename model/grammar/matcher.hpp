// Runs a grammar along with the tokens of an answer and says which tokens may come next.
#pragma once

#include "base/status.hpp"
#include "model/grammar/network.hpp"
#include "model/grammar/vocabulary.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe::model {

// A bit for each token of the vocabulary: whether it may come next.
using token_mask = std::vector<uint64_t>;

struct matcher_limits {
  uint32_t ways_max = 4096;                  // in which a text may be read at once
  uint64_t walk_cost_max = 2'000'000;        // of one mask: states, their ways, tokens looked at
  size_t cache_bytes_max = size_t{32} << 20; // beyond it everything is found anew
};

struct matcher_counters {
  uint64_t masks_asked = 0;
  uint64_t masks_made = 0;
  uint64_t cache_flushes = 0;
};

// What is known of a grammar's states, found when it is needed and kept: one for all streams under
// the same constraint. One thread at a time. What it answers depends on grammar, vocabulary and
// text alone, never on what was asked before.
class matcher {
public:
  matcher(network grammar, std::shared_ptr<const vocabulary> words,
          const matcher_limits& limits = {});
  matcher(const matcher&) = delete;
  matcher& operator=(const matcher&) = delete;

  const vocabulary& words() const { return *words_; }
  const matcher_counters& counters() const { return counters_; }

  // A text under way; see constrained_text.
  using place = uint32_t;
  place open();
  void close(place which);
  bool advance(place which, std::string_view bytes); // false: no text begins so; nothing changes
  bool is_complete(place which);                     // the text may end here
  bool is_over(place which);                         // nothing can follow
  result<std::shared_ptr<const token_mask>> mask(place which); // shared with the draws under way

private:
  using state_id = uint32_t;
  using stack_id = uint32_t;
  static constexpr state_id dead = 0;
  static constexpr state_id crowded = 1; // too many ways; a request that gets here fails
  static constexpr state_id unknown = UINT32_MAX;
  static constexpr stack_id bottom = 0;

  // Where a rule that is being read was called from.
  struct frame {
    network::state back = 0;
    stack_id below = bottom;
    uint32_t depth = 0;
    uint32_t reach = 0; // the depth that the way back to the bottom needs
  };
  // One way to read the text so far: a state that waits for a byte.
  struct way {
    network::state at = 0;
    stack_id stack = bottom;
    friend bool operator==(const way&, const way&) = default;
  };
  struct node {
    std::vector<way> ways; // in the order in which they were found
    bool complete = false;
    uint32_t reach = 0; // the depth that the deepest way needs
    uint64_t walk = 0;  // the last that came by
    std::unique_ptr<std::array<state_id, 256>> next;
    std::shared_ptr<const token_mask> mask; // shared with the draws under way
  };
  // What may follow a way when all below it is left out of sight.
  struct view {
    token_mask mask;
    std::vector<vocabulary::node> escapes; // where the text leaves the view; more may follow
    uint32_t reach = 0;
    uint64_t cost = 0;
  };
  struct walk_result {
    uint64_t cost = 0; // beyond the limit: the walk was given up
    uint32_t reach = 0;
  };

  // -- states
  uint32_t depth_of(stack_id stack) const { return frames_[stack].depth; }
  uint32_t reach_of(const way& at) const;
  stack_id push(network::state back, stack_id below);
  void begin_visits();
  bool note(const way& at);
  void grow_seen();
  void visit(network::state at, stack_id stack);
  state_id collect(); // of what was visited
  state_id intern(const std::vector<way>& ways, bool complete);
  state_id step(state_id from, uint8_t byte);
  state_id start_state();
  state_id behind(stack_id stack); // the rule on top has ended

  // -- masks
  const view& view_of(const way& at, stack_id& below);
  walk_result walk(vocabulary::node from, state_id state, token_mask& to,
                   std::vector<vocabulary::node>* escapes);
  bool add_way(const way& at, token_mask& to, uint64_t& cost);

  // -- cache
  void make_room();
  state_id carry_over(const node& from, const std::vector<frame>& frames);

  const network grammar_;
  const std::shared_ptr<const vocabulary> words_; // shared by all matchers of a model
  const matcher_limits limits_;
  matcher_counters counters_;

  std::vector<frame> frames_;
  std::unordered_map<uint64_t, stack_id> known_frames_; // never iterated
  std::vector<node> nodes_;
  std::unordered_multimap<uint64_t, state_id> known_nodes_; // by hash; never iterated
  std::map<std::pair<network::state, network::state>, view> views_;
  size_t bytes_ = 0; // of the above, about
  uint64_t walks_ = 0;

  std::vector<state_id> places_; // unknown: free
  std::vector<place> free_places_;

  // Of the state being found.
  std::vector<way> visited_;
  std::vector<uint64_t> seen_; // open addressing; valid where the round fits
  std::vector<uint64_t> seen_round_;
  uint64_t round_ = 0;
  size_t seen_count_ = 0;
  bool visited_end_ = false;
  bool visited_too_many_ = false;
  std::vector<way> pending_;
};

// The text of one answer under a constraint, token by token.
class constrained_text {
public:
  explicit constrained_text(std::shared_ptr<matcher> source)
      : matcher_(std::move(source)), place_(matcher_->open()) {}
  ~constrained_text() {
    if (matcher_ != nullptr) matcher_->close(place_);
  }
  constrained_text(constrained_text&& other) noexcept = default;
  constrained_text& operator=(constrained_text&& other) noexcept {
    std::swap(matcher_, other.matcher_);
    std::swap(place_, other.place_);
    return *this;
  }

  // False when the token cannot come here; the text is then as before.
  bool add(int32_t token);
  bool is_complete() const { return matcher_->is_complete(place_); }
  bool is_over() const { return matcher_->is_over(place_); }
  result<std::shared_ptr<const token_mask>> mask() const { return matcher_->mask(place_); }

private:
  std::shared_ptr<matcher> matcher_; // owned together by all texts under the constraint
  matcher::place place_;
};

} // namespace troupe::model
