// Regular expressions: those parts of the common syntax that describe a set of texts.
//
// Characters and escapes (\n \t \r \f \v \0 \xHH \uHHHH \u{H...}, a backslash before punctuation);
// . (all but line ends); [...] and [^...] with ranges; \d \w \s \D \W \S (ASCII); ( ) (?: )
// (?<name> ) (?P<name> ); | ; * + ? {m} {m,} {m,n}, also lazy, which describes the same texts; ^
// and $ where a text begins and ends. Refused with their position: look-around, references to
// groups, word boundaries, properties (\p), flags, possessive quantifiers.
#pragma once

#include "base/status.hpp"
#include "model/grammar/expressions.hpp"

#include <string_view>

namespace troupe::model {

struct regex_options {
  bool anchored = true;     // the pattern is about the whole text; else about some part of it
  bool json_string = false; // the text stands between the quotes of a JSON string
};

// `invalid_argument` names the position, counted in bytes from 1.
result<expression_book::expression> parse_regex(expression_book& book, std::string_view pattern,
                                                const regex_options& options = {});

} // namespace troupe::model
