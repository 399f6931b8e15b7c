// Files that hold what nobody else may read: the cluster's secret, an admin key.
#pragma once

#include "base/status.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::cli {

// Fails when anybody but its owner may read or write it (the message says what to do), or when it
// is larger than bytes_max.
result<std::string> read_private_file(const std::string& path, size_t bytes_max);

// A new file with mode 600; fails when there is one of that name already.
status write_private_file(const std::string& path, std::string_view content);

} // namespace troupe::cli
