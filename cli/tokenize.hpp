// troupe tokenize: text to token ids and back, without the weights.
#pragma once

#include "base/status.hpp"
#include "cli/command.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace troupe::cli {

std::unique_ptr<command> make_tokenize();

// Ids separated by spaces, commas or brackets; each below id_limit.
result<std::vector<int32_t>> parse_ids(std::string_view input, size_t id_limit);

} // namespace troupe::cli
