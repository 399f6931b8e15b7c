// What happens to a text before it is cut: Unicode normal forms, replacements, stripping.
#pragma once

#include "base/status.hpp"
#include "model/tokenizer_regex.hpp"

#include <string>
#include <vector>

namespace troupe::model {

class json_field;

// The `normalizer` section of tokenizer.json, a list of steps. Immutable.
class text_normalizer {
public:
  // A null section gives one that changes nothing.
  static result<text_normalizer> parse(const json_field& section);

  // Valid UTF-8 in, valid UTF-8 out.
  result<std::string> apply(std::string text, regex_scratch& scratch) const;
  bool is_identity() const { return steps_.empty(); }

private:
  enum class step_kind {
    nfc,
    nfd,
    nfkc,
    nfkd,
    lowercase,
    strip,
    strip_accents,
    prepend,
    replace,
    byte_level,
    nmt,
  };
  struct step {
    step_kind kind;
    bool left = false; // strip
    bool right = false;
    std::string content{};        // prepend, replace
    std::vector<regex> pattern{}; // replace: one
  };

  static status parse_into(const json_field& section, std::vector<step>& steps);
  static result<step> parse_step(const json_field& section, const std::string& type);
  static status apply_step(const step& step, std::string& text, regex_scratch& scratch);

  std::vector<step> steps_;
};

// Replaces every match of the pattern; shared with the decoder of the same name.
status replace_all(const regex& pattern, std::string_view content, regex_scratch& scratch,
                   std::string& text);

// {"String": "…"} or {"Regex": "…"} under `name`.
result<regex> parse_pattern(const json_field& section, const char* name);

} // namespace troupe::model
