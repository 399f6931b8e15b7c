// The secret that all nodes of a cluster share: from a file that only its owner can read, or from
// the environment. It is never a flag, since everybody can read the command lines of a machine.
#pragma once

#include "cli/program.hpp"
#include "transport/session/secret.hpp"

#include <string>

namespace troupe::cli {

inline constexpr const char* secret_variable = "TROUPE_CLUSTER_SECRET";

// From `file`, or from the variable when it is empty. The message of a failure never repeats it.
result<transport::secret> cluster_secret(const program& context, const std::string& file);

// Hexadecimal digits mean the bytes they write, everything else itself; white space at the end does
// not count. At least cluster_key_bytes_min bytes. `where` begins the message of a failure.
result<transport::secret> parse_secret(std::string_view content, const std::string& where);

} // namespace troupe::cli
