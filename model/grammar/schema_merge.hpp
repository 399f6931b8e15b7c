// allOf: two schemas that both hold, as one. For sources of grammar/ only.
#pragma once

#include "base/status.hpp"

#include <nlohmann/json.hpp>

namespace troupe::model {

// `unsupported` names the keyword that cannot be joined.
result<nlohmann::ordered_json> merge_schemas(const nlohmann::ordered_json& a,
                                             const nlohmann::ordered_json& b);

// Whether a keyword only describes.
bool is_annotation(std::string_view keyword);

} // namespace troupe::model
