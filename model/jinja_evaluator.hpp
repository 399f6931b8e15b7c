// Renders a parsed chat template.
#pragma once

#include "base/status.hpp"
#include "model/jinja_ast.hpp"
#include "model/jinja_runtime.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::model {

struct jinja_inputs {
  template_value::entries variables;
  std::optional<int64_t> now_unix_s; // what strftime_now shows, already in the wanted time zone
};

// The text, or the first failure with line and column. Always ends, within the limits.
result<std::string> render_jinja(const jinja_body& body, const jinja_inputs& inputs,
                                 std::string_view file_name, const jinja_limits& limits);

} // namespace troupe::model
