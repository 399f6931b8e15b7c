// Stop texts are few and short, so plain comparison at every position of the held text is enough.
#include "dataflow/stop_matcher.hpp"

#include <algorithm>
#include <utility>

namespace troupe::dataflow {

stop_matcher::stop_matcher(std::vector<std::string> stop_texts, bool include_stop_text)
    : stop_texts_(std::move(stop_texts)), include_stop_text_(include_stop_text) {
  std::erase_if(stop_texts_, [](const std::string& stop) { return stop.empty(); });
  // Longest first: the first that matches at a position is the one that counts there.
  std::stable_sort(stop_texts_.begin(), stop_texts_.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

stop_matcher::match_result stop_matcher::feed(std::string_view piece) {
  if (stopped_) return {};
  if (stop_texts_.empty()) return {std::string(piece), false, {}};
  held_ += piece;
  const std::string_view text = held_;
  for (size_t at = 0; at < text.size(); ++at) {
    for (const std::string& stop : stop_texts_) {
      if (!text.substr(at).starts_with(stop)) continue;
      stopped_ = true;
      held_.resize(include_stop_text_ ? at + stop.size() : at);
      return {std::exchange(held_, {}), true, stop};
    }
  }
  const size_t emitted = text.size() - held_suffix(text);
  match_result out{held_.substr(0, emitted), false, {}};
  held_.erase(0, emitted);
  return out;
}

std::string stop_matcher::pass(std::string_view piece) {
  if (stopped_) return {};
  return flush().append(piece);
}

std::string stop_matcher::flush() {
  return std::exchange(held_, {});
}

// Length of the longest suffix of the text that a stop text begins with.
size_t stop_matcher::held_suffix(std::string_view text) const {
  size_t longest = 0;
  for (const std::string& stop : stop_texts_) {
    size_t length = std::min(stop.size() - 1, text.size());
    while (length > longest && !text.ends_with(std::string_view(stop).substr(0, length))) --length;
    longest = std::max(longest, length);
  }
  return longest;
}

} // namespace troupe::dataflow
