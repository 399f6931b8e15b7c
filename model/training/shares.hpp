// How a step is cut into shares: the parts whose gradients are summed one after another, wherever
// each was computed.
#pragma once

#include "model/training/training_pass.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::model {

using share_documents = std::span<const training_document>;

// Consecutive documents, as many as fit into `share_tokens` and at least one; 0: all in one share.
// Depends on nothing else, so every node cuts alike.
std::vector<share_documents> cut_into_shares(share_documents documents, uint32_t share_tokens);

// Tokens that are asked for.
uint64_t count_targets(share_documents documents);

} // namespace troupe::model
