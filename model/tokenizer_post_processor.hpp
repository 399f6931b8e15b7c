// The tokens that a model wants around a text, such as the one that begins a document.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <vector>

namespace troupe::model {

class json_field;

// The `post_processor` section of tokenizer.json. Immutable.
class post_processor {
public:
  static result<post_processor> parse(const json_field& section);

  // The ids of a single text with what belongs around them; without add_special_tokens the text
  // alone.
  std::vector<int32_t> apply(std::vector<int32_t> ids, bool add_special_tokens) const;

private:
  // The text itself, or tokens to insert.
  struct part {
    bool is_text;
    std::vector<int32_t> tokens;
  };

  static status parse_into(const json_field& section, post_processor& out);
  static result<std::vector<part>> parse_template(const json_field& section);
  static result<std::vector<part>> parse_frame(const json_field& section);

  std::vector<part> parts_; // empty: the text alone
};

} // namespace troupe::model
