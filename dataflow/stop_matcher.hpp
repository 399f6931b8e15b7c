// Finds stop texts in a stream of text pieces and holds back what could become one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

// Judged after every piece, over everything not yet emitted: the match that starts first wins, of
// those that start together the longest. Pieces and stop texts are complete UTF-8, so what is
// emitted is too.
class stop_matcher {
public:
  struct match_result {
    std::string emit; // may go to the client now
    bool stopped = false;
    std::string stopped_by; // the stop text; it is part of `emit` only with include_stop_text
  };

  stop_matcher() = default;
  // Empty stop texts are ignored.
  stop_matcher(std::vector<std::string> stop_texts, bool include_stop_text);

  // After a match everything is swallowed.
  match_result feed(std::string_view piece);

  // Emits without looking for matches in it (before the minimum number of tokens); what was held
  // back is emitted first.
  std::string pass(std::string_view piece);

  // The stream ends otherwise: what was held back.
  std::string flush();

  bool stopped() const { return stopped_; }
  // Bytes held back now; fewer than the longest stop text has.
  size_t held_bytes() const { return held_.size(); }

private:
  size_t held_suffix(std::string_view text) const;

  std::vector<std::string> stop_texts_;
  bool include_stop_text_ = false;
  bool stopped_ = false;
  std::string held_;
};

} // namespace troupe::dataflow
