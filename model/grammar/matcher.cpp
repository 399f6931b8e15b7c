// States are sets of ways to read the text; which state a byte leads to is found once. A mask is
// put together from views: what may follow one way while its rule, and a caller's rest, lasts is
// the same wherever the rule was called from; only tokens that reach beyond are looked at in place.
#include "model/grammar/matcher.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

constexpr uint64_t cost_of_state = 32;       // beside its ways
constexpr uint32_t visits_at_unit_cost = 32; // of nodes of the tree, of which a walk sees thousands
constexpr network::state no_caller = UINT32_MAX;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * uint64_t{0x9E3779B97F4A7C15};
  return hash ^ (hash >> 29);
}

void put(token_mask& mask, std::span<const int32_t> tokens) {
  for (const int32_t id : tokens) {
    const auto bit = static_cast<uint32_t>(id);
    mask[bit >> 6] |= uint64_t{1} << (bit & 63);
  }
}

status too_ambiguous() {
  return {status_code::exhausted,
          "the constraint can be read in too many ways at once for the text so far; write it with "
          "less overlap"};
}

} // namespace

matcher::matcher(network grammar, std::shared_ptr<const vocabulary> words,
                 const matcher_limits& limits)
    : grammar_(std::move(grammar)), words_(std::move(words)), limits_(limits) {
  frames_.resize(1);
  nodes_.resize(2);
}

// -- texts

matcher::place matcher::open() {
  make_room();
  const state_id begin = start_state();
  if (free_places_.empty()) {
    places_.push_back(begin);
    return static_cast<place>(places_.size() - 1);
  }
  const place out = free_places_.back();
  free_places_.pop_back();
  places_[out] = begin;
  return out;
}

void matcher::close(place which) {
  places_[which] = unknown;
  free_places_.push_back(which);
}

bool matcher::advance(place which, std::string_view bytes) {
  make_room();
  state_id at = places_[which];
  for (const char byte : bytes) at = step(at, static_cast<uint8_t>(byte));
  if (at == dead) return false;
  places_[which] = at;
  return true;
}

bool matcher::is_complete(place which) {
  return nodes_[places_[which]].complete;
}

bool matcher::is_over(place which) {
  const state_id at = places_[which];
  return at != crowded && nodes_[at].ways.empty();
}

result<std::shared_ptr<const token_mask>> matcher::mask(place which) {
  make_room();
  ++counters_.masks_asked;
  const state_id at = places_[which];
  if (at == crowded) return fail(too_ambiguous());
  if (nodes_[at].mask != nullptr) return nodes_[at].mask;
  ++counters_.masks_made;
  auto made = std::make_shared<token_mask>((words_->size() + 63) / 64, 0);
  uint64_t cost = 0;
  const std::vector<way> ways = nodes_[at].ways; // a copy: states are found meanwhile
  for (const way& each : ways) {
    if (!add_way(each, *made, cost) || cost > limits_.walk_cost_max) return fail(too_ambiguous());
  }
  bytes_ += made->size() * sizeof(uint64_t);
  nodes_[at].mask = std::move(made);
  return nodes_[at].mask;
}

// -- states

uint32_t matcher::reach_of(const way& at) const {
  const frame& top = frames_[at.stack];
  return std::max(top.reach, top.depth + grammar_.needed_depth(at.at));
}

matcher::stack_id matcher::push(network::state back, stack_id below) {
  const auto [entry, fresh] = known_frames_.try_emplace(uint64_t{back} << 32 | below,
                                                        static_cast<stack_id>(frames_.size()));
  if (fresh) {
    const uint32_t reach = reach_of({back, below});
    frames_.push_back({back, below, frames_[below].depth + 1, reach});
    bytes_ += sizeof(frame) + 48;
  }
  return entry->second;
}

void matcher::begin_visits() {
  ++round_;
  seen_count_ = 0;
  visited_.clear();
  visited_end_ = visited_too_many_ = false;
}

// False when it was there before in this round.
bool matcher::note(const way& at) {
  if (2 * (seen_count_ + 1) > seen_.size()) grow_seen();
  const uint64_t key = uint64_t{at.at} << 32 | at.stack;
  const size_t mask = seen_.size() - 1;
  size_t slot = mix(0, key) & mask;
  while (seen_round_[slot] == round_) {
    if (seen_[slot] == key) return false;
    slot = (slot + 1) & mask;
  }
  seen_round_[slot] = round_;
  seen_[slot] = key;
  ++seen_count_;
  return true;
}

void matcher::grow_seen() {
  std::vector<uint64_t> before = std::move(seen_);
  std::vector<uint64_t> rounds = std::move(seen_round_);
  const size_t size = std::max<size_t>(256, 2 * before.size());
  seen_.assign(size, 0);
  seen_round_.assign(size, round_ - 1);
  seen_count_ = 0;
  for (size_t i = 0; i < before.size(); ++i)
    if (rounds[i] == round_)
      note({static_cast<network::state>(before[i] >> 32), static_cast<stack_id>(before[i])});
}

// Follows all edges that need no byte.
void matcher::visit(network::state at, stack_id stack) {
  pending_.assign(1, {at, stack});
  while (!pending_.empty()) {
    const way next = pending_.back();
    pending_.pop_back();
    if (reach_of(next) > grammar_.depth_max() || !note(next)) continue;
    if (visited_.size() >= limits_.ways_max || seen_count_ > size_t{16} * limits_.ways_max) {
      visited_too_many_ = true;
      return;
    }
    if (grammar_.is_end(next.at)) {
      if (next.stack == bottom)
        visited_end_ = true;
      else
        pending_.push_back({frames_[next.stack].back, frames_[next.stack].below});
    }
    for (const auto& edge : grammar_.call_edges(next.at))
      pending_.push_back({edge.callee, edge.tail ? next.stack : push(edge.target, next.stack)});
    for (const auto target : grammar_.silent_edges(next.at))
      pending_.push_back({target, next.stack});
    if (!grammar_.byte_edges(next.at).empty()) visited_.push_back(next);
  }
}

matcher::state_id matcher::collect() {
  if (visited_too_many_) return crowded;
  if (visited_.empty() && !visited_end_) return dead;
  return intern(visited_, visited_end_);
}

matcher::state_id matcher::intern(const std::vector<way>& ways, bool complete) {
  uint64_t hash = complete ? 1 : 0;
  for (const way& each : ways) hash = mix(hash, uint64_t{each.at} << 32 | each.stack);
  const auto [begin, end] = known_nodes_.equal_range(hash);
  for (auto entry = begin; entry != end; ++entry)
    if (nodes_[entry->second].complete == complete && nodes_[entry->second].ways == ways)
      return entry->second;
  const auto id = static_cast<state_id>(nodes_.size());
  known_nodes_.emplace(hash, id);
  node made;
  made.ways = ways;
  made.complete = complete;
  for (const way& each : ways) made.reach = std::max(made.reach, reach_of(each));
  bytes_ += sizeof(node) + ways.size() * sizeof(way) + 64;
  nodes_.push_back(std::move(made));
  return id;
}

matcher::state_id matcher::step(state_id from, uint8_t byte) {
  if (from == dead || from == crowded) return from;
  if (nodes_[from].next != nullptr) {
    const state_id known = (*nodes_[from].next)[byte];
    if (known != unknown) return known;
  } else {
    nodes_[from].next = std::make_unique<std::array<state_id, 256>>();
    nodes_[from].next->fill(unknown);
    bytes_ += sizeof(std::array<state_id, 256>);
  }
  begin_visits();
  for (const way& each : nodes_[from].ways)
    for (const auto& edge : grammar_.byte_edges(each.at))
      if (!visited_too_many_ && grammar_.set(edge.set).has(byte)) visit(edge.target, each.stack);
  const state_id to = collect();
  (*nodes_[from].next)[byte] = to;
  return to;
}

matcher::state_id matcher::start_state() {
  begin_visits();
  visit(grammar_.start(), bottom);
  return collect();
}

matcher::state_id matcher::behind(stack_id stack) {
  begin_visits();
  visit(frames_[stack].back, frames_[stack].below);
  return collect();
}

// -- masks

// Goes down the tree of tokens below `from`, where the text is in `state`.
matcher::walk_result matcher::walk(vocabulary::node from, state_id state, token_mask& to,
                                   std::vector<vocabulary::node>* escapes) {
  const uint64_t me = ++walks_;
  const vocabulary& words = *words_;
  walk_result out;
  std::array<state_id, vocabulary::token_bytes_max + 1> path;
  path[words.depth(from)] = state;
  const vocabulary::node end = words.end(from);
  uint32_t visits = 0;
  for (vocabulary::node i = from + 1; i < end;) {
    if (++visits % visits_at_unit_cost == 0 && ++out.cost > limits_.walk_cost_max) return out;
    const uint8_t depth = words.depth(i);
    const state_id at = step(path[depth - 1], words.byte(i));
    if (at == dead) {
      i = words.end(i);
      continue;
    }
    node& here = nodes_[at];
    if (here.walk != me) {
      here.walk = me;
      out.cost += cost_of_state + here.ways.size();
      out.reach = std::max(out.reach, here.reach);
      if (out.cost > limits_.walk_cost_max) return out;
    }
    put(to, words.tokens(i));
    if (escapes != nullptr && here.complete && words.end(i) > i + 1) escapes->push_back(i);
    path[depth] = at;
    ++i;
  }
  return out;
}

// `below` is what was left out of sight.
const matcher::view& matcher::view_of(const way& at, stack_id& below) {
  // Small rules that call nothing are seen together with the rest of their caller.
  const bool with_caller = at.stack != bottom && grammar_.is_in_leaf(at.at);
  const frame top = frames_[at.stack];
  below = with_caller ? top.below : at.stack;
  const auto [entry, fresh] = views_.try_emplace({at.at, with_caller ? top.back : no_caller});
  view& out = entry->second;
  if (!fresh) return out;
  const stack_id stack = with_caller ? push(top.back, bottom) : bottom;
  out.mask.assign((words_->size() + 63) / 64, 0);
  const auto walked = walk(0, intern({{at.at, stack}}, false), out.mask, &out.escapes);
  out.reach = walked.reach;
  out.cost = walked.cost;
  bytes_ +=
      out.mask.size() * sizeof(uint64_t) + out.escapes.size() * sizeof(vocabulary::node) + 128;
  return out;
}

// False when it costs too much.
bool matcher::add_way(const way& at, token_mask& to, uint64_t& cost) {
  stack_id below = bottom;
  const view& seen = view_of(at, below);
  cost += seen.cost;
  if (cost > limits_.walk_cost_max) return false;
  if (depth_of(below) + seen.reach > grammar_.depth_max()) {
    // So deep that not all may follow which could elsewhere.
    cost += walk(0, intern({at}, false), to, nullptr).cost;
    return cost <= limits_.walk_cost_max;
  }
  for (size_t i = 0; i < to.size(); ++i) to[i] |= seen.mask[i];
  if (below == bottom || seen.escapes.empty()) return true;
  const state_id rest = behind(below);
  for (const auto escape : seen.escapes) {
    cost += walk(escape, rest, to, nullptr).cost;
    if (cost > limits_.walk_cost_max) return false;
  }
  return true;
}

// -- cache

void matcher::make_room() {
  if (bytes_ <= limits_.cache_bytes_max) return;
  ++counters_.cache_flushes;
  const std::vector<frame> frames = std::move(frames_);
  const std::vector<node> nodes = std::move(nodes_);
  frames_.assign(1, {});
  nodes_.clear();
  nodes_.resize(2);
  known_frames_.clear();
  known_nodes_.clear();
  views_.clear();
  bytes_ = 0;
  std::unordered_map<state_id, state_id> carried; // looked up only
  for (state_id& at : places_) {
    if (at == unknown || at == dead || at == crowded) continue;
    const auto [entry, fresh] = carried.try_emplace(at, dead);
    if (fresh) entry->second = carry_over(nodes[at], frames);
    at = entry->second;
  }
}

matcher::state_id matcher::carry_over(const node& from, const std::vector<frame>& frames) {
  std::vector<way> ways;
  std::vector<network::state> chain;
  for (const way& each : from.ways) {
    chain.clear();
    for (stack_id at = each.stack; at != bottom; at = frames[at].below)
      chain.push_back(frames[at].back);
    stack_id stack = bottom;
    for (auto back = chain.rbegin(); back != chain.rend(); ++back) stack = push(*back, stack);
    ways.push_back({each.at, stack});
  }
  return intern(ways, from.complete);
}

bool constrained_text::add(int32_t token) {
  const auto& words = matcher_->words();
  if (token < 0 || static_cast<size_t>(token) >= words.size()) return false;
  const std::string& bytes = words.bytes_of(token);
  return !bytes.empty() && matcher_->advance(place_, bytes);
}

} // namespace troupe::model
