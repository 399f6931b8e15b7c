// Characters as they stand between the quotes of a JSON string.
#pragma once

#include "model/grammar/expressions.hpp"

namespace troupe::model {

// Characters that JSON strings hold as they are: all but quote, backslash and controls.
const code_points& json_plain_characters();

// One of the characters as JSON writes it: plain where that is allowed, else its shortest escape.
expression_book::expression json_character(expression_book& book, const code_points& points);

// The text as a JSON string with its quotes, plain wherever that is allowed.
std::string json_quoted(std::string_view utf8);

} // namespace troupe::model
