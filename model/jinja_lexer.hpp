// Cuts the text of a chat template into tokens, with Jinja's rules for white space around tags.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

enum class jinja_token_kind {
  data, // text between tags
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  floating,
  sign, // an operator or a bracket
  end,
};

struct jinja_position {
  uint32_t line = 1;
  uint32_t column = 1; // in bytes
};

struct jinja_token {
  jinja_token_kind kind;
  std::string text; // of a string: its value
  jinja_position at;
};

// Says where: "chat_template.jinja: line 3, column 7: why".
status jinja_failure(std::string_view file_name, jinja_position at, std::string_view why,
                     status_code code = status_code::corrupt);

// Whole template to tokens, the last of kind `end`. trim_blocks and lstrip_blocks are on, as
// transformers sets them, and one line end at the very end is dropped.
result<std::vector<jinja_token>> lex_jinja(std::string_view source, std::string_view file_name);

} // namespace troupe::model
