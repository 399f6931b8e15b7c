// From the tokens of a chat template to its parsed form.
#pragma once

#include "base/status.hpp"
#include "model/jinja_ast.hpp"

#include <string_view>

namespace troupe::model {

// Fails with line and column at what is wrong, and with `unsupported` at tags that chat templates
// have no use for (include, extends, …).
result<jinja_body> parse_jinja(std::string_view source, std::string_view file_name);

} // namespace troupe::model
