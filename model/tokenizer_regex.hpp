// The regular expressions of tokenizer.json: Oniguruma's Ruby syntax and meaning, run by PCRE2.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

struct text_range {
  size_t begin;
  size_t end;
};

// Rewrites a pattern so that PCRE2 matches what Oniguruma would: \s, \w, \d, \h and categories by
// Oniguruma's Unicode tables, Ruby's flags and interval rules. Constructs whose meaning differs and
// that no published tokenizer uses are refused with their position.
result<std::string> translate_oniguruma(std::string_view pattern);

// Working memory of matching; one per thread at a time.
class regex_scratch {
public:
  regex_scratch();
  ~regex_scratch();
  regex_scratch(const regex_scratch&) = delete;
  regex_scratch& operator=(const regex_scratch&) = delete;

private:
  friend class regex;
  struct parts;
  std::unique_ptr<parts> parts_;
};

// A compiled pattern. Immutable; any number of threads may match at once, each with its own
// scratch.
class regex {
public:
  static result<regex> compile(std::string_view oniguruma_pattern);
  // Matches the text itself.
  static result<regex> compile_literal(std::string_view literal);

  // Appends the matches from left to right, as Oniguruma's iterator finds them: none overlap, and
  // an empty one never follows a match directly. `subject` must be valid UTF-8. Fails with
  // `exhausted` when a pattern needs more steps or memory than the bounds allow.
  status find_all(std::string_view subject, regex_scratch& scratch,
                  std::vector<text_range>& out) const;

private:
  struct program;
  // Shared by the copies of this regex, which never change it.
  std::shared_ptr<const program> program_;
};

} // namespace troupe::model
