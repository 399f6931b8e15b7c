// Looking up the end of a sequence in itself.
#include "dataflow/draft.hpp"

#include "base/check.hpp"

#include <algorithm>

namespace troupe::dataflow {
namespace {

constexpr uint32_t length_max = 64;
constexpr uint32_t rest_max = 64;

// How many tokens before `end` are those before the end of all, at most `most`.
uint32_t match_length(std::span<const int32_t> tokens, size_t end, uint32_t most) {
  uint32_t length = 0;
  while (length < most && length < end &&
         tokens[end - 1 - length] == tokens[tokens.size() - 1 - length])
    ++length;
  return length;
}

} // namespace

std::vector<int32_t> draft_from(std::span<const int32_t> tokens, uint32_t count_max,
                                const draft_options& options) {
  TROUPE_CHECK(options.match_min >= 1 && options.match_max >= options.match_min);
  std::vector<int32_t> out;
  if (count_max == 0 || tokens.size() <= options.match_min) return out;
  tokens = tokens.last(std::min<size_t>(tokens.size(), options.window));
  uint32_t best = options.match_min - 1;
  size_t from = 0;
  for (size_t end = tokens.size() - 1; end >= options.match_min && best < options.match_max;
       --end) {
    const uint32_t length = match_length(tokens, end, options.match_max);
    if (length <= best) continue;
    best = length;
    from = end;
  }
  if (best < options.match_min) return out;
  for (size_t i = from; out.size() < count_max; ++i)
    out.push_back(i < tokens.size() ? tokens[i] : out[i - tokens.size()]);
  return out;
}

uint32_t draft_length::next(uint32_t count_max) const {
  return rest_ > 0 ? 0 : std::min(length_, count_max);
}

void draft_length::drew(uint32_t drafted, uint32_t accepted) {
  TROUPE_CHECK(accepted <= drafted);
  if (drafted == 0) {
    if (rest_ > 0) --rest_;
    return;
  }
  if (accepted == drafted) {
    length_ = std::min(2 * length_, length_max);
    rest_next_ = 4;
  } else if (accepted > 0) {
    length_ = std::max(1u, accepted);
    rest_next_ = 4;
  } else {
    length_ = std::max(1u, length_ / 2);
    if (length_ > 1) return;
    rest_ = rest_next_;
    rest_next_ = std::min(2 * rest_next_, rest_max);
  }
}

} // namespace troupe::dataflow
