// How a node reaches the others: its endpoint, and what it asks them before it has one.
#pragma once

#include "cli/node.hpp"
#include "transport/endpoint.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe::cli {

result<std::unique_ptr<transport::endpoint>> open_node_endpoint(
    const node_plan& plan, uint64_t incarnation, const transport::secret& key,
    transport::endpoint_listener& listener);

// The text of the cluster file, from the node at `seed`; asks again until it answers.
result<std::string> fetch_cluster_text(const clock& time, const std::string& seed,
                                       const transport::secret& key);

// The names that the node at `seed` has heard of.
result<std::vector<std::string>> fetch_names(const std::string& seed, const transport::secret& key);

} // namespace troupe::cli
