// Grammars as a list of rules, in the notation of llama.cpp's and XGrammar's files.
//
//   root   ::= "answer: " (number | word) # a comment
//   number ::= [0-9]+ ("." [0-9]{1,3})?
//   word   ::= [^0-9 ] .*
//
// Names are letters, digits, _ and -. Texts stand in double or single quotes; \n \t \r \f \v \\ \"
// \' \[ \] \- \xHH \uHHHH \UHHHHHHHH are escapes, in classes too. A dot is any character. A rule
// ends where the next begins.
#pragma once

#include "base/status.hpp"
#include "model/grammar/expressions.hpp"

#include <string_view>

namespace troupe::model {

// Into an empty book. `invalid_argument` names line and column.
status parse_ebnf(expression_book& book, std::string_view grammar);

} // namespace troupe::model
