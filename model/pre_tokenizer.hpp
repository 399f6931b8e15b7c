// Cutting a text into the pieces that the merging of the vocabulary works on.
#pragma once

#include "base/status.hpp"
#include "model/tokenizer_regex.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

class json_field;

// A stretch of piece_list::text. With a token it is an added token, and nothing touches it any
// more.
struct text_piece {
  size_t begin;
  size_t end;
  int32_t token = -1;
  bool at_start = false; // begins where the original text begins
};

// The text on its way through the stages. Pieces are in order, not empty, and do not overlap.
struct piece_list {
  std::string text;
  std::vector<text_piece> pieces;
};

enum class split_behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// A stretch of a piece that is a match of the splitting pattern, or what lies between two.
struct split_part {
  text_range range;
  bool is_match;
};

// Joins and drops parts as the behavior says; the rules are those of the tokenizers package.
std::vector<text_range> apply_behavior(const std::vector<split_part>& parts,
                                       split_behavior behavior);

// Replaces each letter by the printable letters of its bytes, in all pieces that are not tokens.
void map_bytes_to_letters(piece_list& list);

// The `pre_tokenizer` section of tokenizer.json, a list of steps. Immutable.
class pre_tokenizer {
public:
  // A null section gives one that cuts nothing.
  static result<pre_tokenizer> parse(const json_field& section);

  status apply(piece_list& list, regex_scratch& scratch) const;

private:
  enum class step_kind {
    split_by_pattern,
    byte_level,
    digits,
    punctuation,
    metaspace,
    white_space,
    delimiter,
  };
  enum class prepend_scheme { first, never, always };

  struct step {
    step_kind kind;
    split_behavior behavior = split_behavior::isolated;
    bool invert = false;           // split_by_pattern: what matches and what does not change places
    bool add_prefix_space = false; // byte_level
    bool splits = true;            // byte_level: by GPT-2's pattern; metaspace: at the replacement
    std::vector<regex> pattern{};  // none or one
    char32_t letter = 0;           // metaspace: the replacement; delimiter: the delimiter
    prepend_scheme prepend = prepend_scheme::always;
  };

  static status parse_into(const json_field& section, std::vector<step>& steps);
  static result<step> parse_split(const json_field& section);
  static result<step> parse_byte_level(const json_field& section);
  static result<step> parse_metaspace(const json_field& section);
  static status apply_byte_level(const step& step, piece_list& list, regex_scratch& scratch);
  static status apply_metaspace(const step& step, piece_list& list);
  static status split_by_pattern(const step& step, piece_list& list, regex_scratch& scratch);

  std::vector<step> steps_;
};

} // namespace troupe::model
