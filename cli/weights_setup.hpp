// A server's versions of its weights, from settings.
#pragma once

#include "cli/engine_setup.hpp"
#include "cli/serve.hpp"
#include "cli/weight_versions.hpp"
#include "storage/posix_io_worker.hpp"

#include <memory>
#include <string>

namespace troupe::cli {

// Which published version a server begins with: the promoted one.
setup_result<storage::weights_manifest> promoted_weights(const storage::weights_registry& registry,
                                                         const serve_settings& settings);

// How clients call a model whose versions are in this folder, unless told otherwise.
std::string name_of_weights(const std::string& folder);

dataflow::version_limits version_limits_of(const serve_settings& settings);

// Torn down from the bottom up.
struct running_versions {
  std::unique_ptr<storage::weights_registry> registry;
  std::unique_ptr<weight_versions> versions;
  std::unique_ptr<storage::posix_io_worker> worker; // its last job is done before the versions go
};
// Takes the engine over; the executor must outlive what it returns.
running_versions follow_weights(program& context,
                                std::unique_ptr<storage::weights_registry> registry,
                                const storage::weights_manifest& first, running_engine& started,
                                const engine_setup& setup, const dataflow::version_limits& limits);

} // namespace troupe::cli
