// JSON schemas (a documented part of draft 2020-12) as expressions over the text of a JSON value.
// What is supported and how it is read: docs/structured_output.md.
#pragma once

#include "base/status.hpp"
#include "model/grammar/expressions.hpp"

#include <string_view>

namespace troupe::model {

struct json_schema_options {
  bool lenient = false; // leave out keywords that are not supported, instead of refusing them
};

// Into an empty book. `invalid_argument` names the place in the schema ("#/properties/age") and the
// keyword.
status parse_json_schema(expression_book& book, std::string_view schema,
                         const json_schema_options& options = {});
// Any JSON object, into an empty book.
void any_json_object(expression_book& book);

} // namespace troupe::model
