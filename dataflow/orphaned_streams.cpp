// A short list, oldest first, searched from the newest.
#include "dataflow/orphaned_streams.hpp"

#include "base/mutant.hpp"

#include <iterator>
#include <utility>

namespace troupe::dataflow {
namespace {

// FNV-1a: tells prompts apart before they are compared in full.
uint64_t hash_of(const std::vector<int32_t>& tokens) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const int32_t token : tokens)
    hash = (hash ^ static_cast<uint32_t>(token)) * uint64_t{0x100000001b3};
  return hash;
}

} // namespace

bool draws_the_same(const generation_request& a, const generation_request& b) {
  return a.sampling == b.sampling && a.tokens_max == b.tokens_max && a.tokens_min == b.tokens_min &&
         a.ignore_eos == b.ignore_eos && a.stop_ids == b.stop_ids &&
         a.top_logprobs == b.top_logprobs && a.prompt_logprobs == b.prompt_logprobs &&
         a.cache_salt == b.cache_salt && a.constraint == b.constraint && a.prompt == b.prompt;
}

void orphaned_streams::keep(std::shared_ptr<const generation_request> request, uint32_t choice,
                            std::vector<int32_t> drawn, time_point now) {
  drop_old(now);
  if (drawn.empty() || drawn.size() > limits_.drawn_max || request->top_logprobs ||
      request->prompt_logprobs)
    return;
  orphan entry{std::move(request), 0, choice, std::move(drawn), now};
  if (entry.size() > limits_.tokens_max || limits_.streams_max == 0) return;
  entry.prompt_hash = hash_of(entry.request->prompt);
  while (kept_.size() >= limits_.streams_max || tokens_ + entry.size() > limits_.tokens_max)
    drop(kept_.begin());
  tokens_ += entry.size();
  kept_.push_back(std::move(entry));
}

std::vector<int32_t> orphaned_streams::take(const generation_request& request, uint32_t choice,
                                            time_point now) {
  drop_old(now);
  if (kept_.empty()) return {};
  const uint64_t hash = hash_of(request.prompt);
  for (auto at = kept_.end(); at != kept_.begin();) {
    --at;
    const bool same =
        at->prompt_hash == hash && at->choice == choice && draws_the_same(*at->request, request);
    if (!same && !TROUPE_MUTANT(orphans_mixed_up)) continue;
    std::vector<int32_t> out = std::move(at->drawn);
    tokens_ -= at->request->prompt.size() + out.size();
    kept_.erase(at);
    return out;
  }
  return {};
}

orphaned_streams::position orphaned_streams::drop(position at) {
  tokens_ -= at->size();
  return kept_.erase(at);
}

void orphaned_streams::drop_old(time_point now) {
  while (!kept_.empty() && now - kept_.front().since > limits_.age_max) drop(kept_.begin());
}

} // namespace troupe::dataflow
