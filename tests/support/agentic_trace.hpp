// Traces of requests as agents make them, from a seed: sessions that begin with one of a few shared
// system prompts and grow by tool output and answers, forks of a conversation, users who come back
// after a long pause, one-off prompts that nobody asks again, and popularity that shifts. And how
// much of a trace a page table, or a cache that knows the future, finds computed.
#pragma once

#include "base/check.hpp"
#include "base/random.hpp"
#include "dataflow/kv_pages.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <queue>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe::tests {

struct agentic_mix {
  std::string_view name;
  uint32_t requests = 3000;
  uint32_t sessions_at_once = 24;
  uint32_t system_prompts = 12; // the n-th is asked 1/n as often as the first
  uint32_t system_tokens = 800;
  uint32_t turns_mean = 8;
  uint32_t turn_tokens_mean = 200; // user or tool output; an answer is a third of it
  uint32_t pause_percent = 10;     // turns after which the user is away for long
  uint32_t fork_percent = 5;       // turns that go back to an earlier one
  uint32_t scan_percent = 0;       // requests that are one-off
  uint32_t scan_tokens = 3000;
  uint32_t shift_every = 0; // requests after which other system prompts are the popular ones
};

// The mixes of docs/kv_cache.md.
inline std::vector<agentic_mix> agentic_mixes() {
  return {
      {.name = "agents"},
      {.name = "scans", .scan_percent = 30},
      {.name = "shifts", .system_prompts = 40, .turns_mean = 4, .shift_every = 600},
      {.name = "pauses", .sessions_at_once = 60, .pause_percent = 40},
      {.name = "one-shot", .system_prompts = 60, .system_tokens = 1500, .turns_mean = 1},
  };
}

struct traced_request {
  std::vector<int32_t> tokens; // prompt and answer
  uint32_t prompt_tokens = 0;
};

class agentic_trace {
public:
  agentic_trace(const agentic_mix& mix, uint64_t seed) : mix_(mix), seed_(seed) {
    for (uint32_t i = 0; i < mix.sessions_at_once; ++i) begin_session(below(1000));
    while (requests_.size() < mix.requests) step();
  }
  const std::vector<traced_request>& requests() const { return requests_; }

private:
  struct session {
    std::vector<int32_t> tokens;
    std::vector<uint32_t> turn_ends;
    uint32_t turns_left = 0;
  };

  uint64_t below(uint64_t bound) {
    return random_below({seed_, random_subsystem::workload, 0}, draws_++, bound);
  }
  bool happens(uint32_t percent) { return below(100) < percent; }
  // From a quarter of the mean on, long ones rare.
  uint32_t length(uint32_t mean) {
    uint32_t out = mean / 4;
    for (uint32_t part = 0; part < 3; ++part)
      out += static_cast<uint32_t>(below(mean / 2 * (happens(10) ? 4 : 1) + 1));
    return out + 1;
  }
  static void say(std::vector<int32_t>& to, uint64_t what, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      uint64_t x = (what << 20 | i) * 0x9e3779b97f4a7c15u;
      x ^= x >> 29;
      to.push_back(static_cast<int32_t>(x * 0xbf58476d1ce4e5b9u >> 48));
    }
  }

  void begin_session(uint64_t when) {
    session s;
    const uint64_t prompt = popular();
    say(s.tokens, prompt,
        mix_.system_tokens / 2 + static_cast<uint32_t>(prompt * 37 % mix_.system_tokens));
    s.turns_left = 1;
    while (mix_.turns_mean > 1 && below(mix_.turns_mean) != 0) ++s.turns_left;
    due_.emplace(when, sessions_.size());
    sessions_.push_back(std::move(s));
  }

  uint64_t popular() {
    uint64_t shares = 0;
    for (uint64_t n = 1; n <= mix_.system_prompts; ++n) shares += 1'000'000 / n;
    uint64_t at = below(shares);
    uint64_t n = 1;
    while (at >= 1'000'000 / n) at -= 1'000'000 / n++;
    const uint64_t shift = mix_.shift_every == 0 ? 0 : requests_.size() / mix_.shift_every;
    return (n + shift * mix_.system_prompts / 3) % mix_.system_prompts + 1;
  }

  void step() {
    if (happens(mix_.scan_percent)) return scan();
    const auto [now, which] = due_.top();
    due_.pop();
    session& s = sessions_[which];
    if (s.turn_ends.size() > 1 && happens(mix_.fork_percent)) {
      const size_t back = below(s.turn_ends.size());
      s.tokens.resize(s.turn_ends[back]);
      s.turn_ends.resize(back + 1);
    }
    say(s.tokens, fresh(), length(mix_.turn_tokens_mean));
    const auto prompt_tokens = static_cast<uint32_t>(s.tokens.size());
    say(s.tokens, fresh(), length(mix_.turn_tokens_mean / 3));
    s.turn_ends.push_back(static_cast<uint32_t>(s.tokens.size()));
    requests_.push_back({s.tokens, prompt_tokens});
    if (--s.turns_left == 0) {
      s = {};
      return begin_session(now + 20 + below(200));
    }
    due_.emplace(now + (happens(mix_.pause_percent) ? 3000 + below(9000) : 20 + below(400)), which);
  }

  void scan() {
    traced_request out;
    say(out.tokens, fresh(), length(mix_.scan_tokens));
    out.prompt_tokens = static_cast<uint32_t>(out.tokens.size());
    say(out.tokens, fresh(), 30);
    requests_.push_back(std::move(out));
  }

  uint64_t fresh() { return 1'000'000 + fresh_++; }

  agentic_mix mix_;
  uint64_t seed_;
  uint64_t draws_ = 0;
  uint64_t fresh_ = 0;
  std::vector<session> sessions_;
  using due = std::pair<uint64_t, size_t>; // when, which session
  std::priority_queue<due, std::vector<due>, std::greater<>> due_;
  std::vector<traced_request> requests_;
};

// How much of the prompts was found.
struct replay_result {
  uint64_t prompt_tokens = 0;
  uint64_t hit_tokens = 0;
  double cost = 0; // of computing all prompts, with attention_positions as in eviction_order
  double cost_saved = 0;
  double hit_rate() const { return double(hit_tokens) / double(prompt_tokens); }
  double saved_rate() const { return cost_saved / cost; }

  void add(uint32_t prompt, uint32_t found, uint32_t attention_positions) {
    prompt_tokens += prompt;
    hit_tokens += found;
    cost += cost_of(prompt, attention_positions);
    cost_saved += cost_of(found, attention_positions);
  }
  static double cost_of(double tokens, uint32_t attention_positions) {
    return attention_positions == 0 ? tokens : tokens + tokens * tokens / 2 / attention_positions;
  }
};

// Through a page table, with `at_once` requests open at any time.
inline replay_result replay(std::span<const traced_request> trace,
                            const dataflow::kv_pages_options& options, uint32_t at_once = 4) {
  dataflow::kv_pages pages(options);
  replay_result out;
  dataflow::sequence_id oldest = 0;
  for (dataflow::sequence_id id = 0; id < trace.size(); ++id) {
    const auto& request = trace[id];
    const auto known = std::span(request.tokens).first(request.prompt_tokens);
    const auto opened = pages.open({.id = id, .tokens = known});
    TROUPE_CHECK(opened.has_value());
    while (!pages.extend(id, static_cast<uint32_t>(request.tokens.size())).ok())
      pages.close(oldest++);
    (void)pages.commit(id, std::span(request.tokens).subspan(opened->cached_tokens));
    out.add(request.prompt_tokens, opened->cached_tokens, options.attention_positions);
    while (id - oldest + 1 >= at_once) pages.close(oldest++);
  }
  return out;
}

// A cache that knows the whole trace and gives up the page whose next use is farthest (Belady's
// rule; a parent is always used no later than its child). No policy finds more pages; with less
// than `page_count` pages in use at once it is what could be reached.
class offline_bound {
public:
  offline_bound(std::span<const traced_request> trace, uint32_t page_tokens)
      : trace_(trace), page_tokens_(page_tokens) {
    for (const auto& request : trace) paths_.push_back(path_of(request));
    uses_.resize(nodes_.size());
    for (uint32_t r = 0; r < paths_.size(); ++r)
      for (const uint32_t node : paths_[r]) uses_[node].push_back(r);
  }
  uint32_t distinct_pages() const { return static_cast<uint32_t>(nodes_.size()); }

  replay_result replay(uint32_t page_count, uint32_t attention_positions) const {
    replay_result out;
    std::set<std::pair<uint32_t, uint32_t>> cached; // next use, page
    std::vector<uint32_t> next(nodes_.size(), 0);   // into uses_
    std::vector<bool> present(nodes_.size(), false);
    for (uint32_t r = 0; r < paths_.size(); ++r) {
      const uint32_t findable = (trace_[r].prompt_tokens - 1) / page_tokens_;
      uint32_t found = 0;
      while (found < findable && present[paths_[r][found]]) ++found;
      out.add(trace_[r].prompt_tokens, found * page_tokens_, attention_positions);
      for (const uint32_t node : paths_[r]) {
        if (present[node]) cached.erase({next_use(node, next[node]), node});
        ++next[node];
      }
      for (const uint32_t node : paths_[r]) {
        present[node] = true;
        cached.insert({next_use(node, next[node]), node});
      }
      while (cached.size() > page_count) {
        const auto last = std::prev(cached.end());
        present[last->second] = false;
        cached.erase(last);
      }
    }
    return out;
  }

private:
  std::vector<uint32_t> path_of(const traced_request& request) {
    std::vector<uint32_t> path;
    uint32_t parent = UINT32_MAX;
    for (size_t at = 0; at + page_tokens_ <= request.tokens.size(); at += page_tokens_) {
      const auto page = std::span(request.tokens).subspan(at, page_tokens_);
      std::pair<uint32_t, std::vector<int32_t>> key(parent, {page.begin(), page.end()});
      parent = nodes_.emplace(std::move(key), static_cast<uint32_t>(nodes_.size())).first->second;
      path.push_back(parent);
    }
    return path;
  }
  uint32_t next_use(uint32_t node, uint32_t n) const {
    return n < uses_[node].size() ? uses_[node][n] : UINT32_MAX;
  }

  std::span<const traced_request> trace_;
  uint32_t page_tokens_;
  std::map<std::pair<uint32_t, std::vector<int32_t>>, uint32_t> nodes_;
  std::vector<std::vector<uint32_t>> paths_;
  std::vector<std::vector<uint32_t>> uses_;
};

} // namespace troupe::tests
