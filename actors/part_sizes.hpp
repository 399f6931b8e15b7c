// How large the parts of a model are for the nodes that play them.
#pragma once

#include "dataflow/cluster.hpp"

namespace troupe::actors {

struct node_resources;

// A stage: attention, dense and router weights of its layers and all of their KV pages; the first
// one also the embedding table. A shard: its experts in every layer. The sequencer: the head (the
// embedding table where they are one, also on a node that has it already).
dataflow::part_bytes sizes_of_parts(const node_resources& resources);

} // namespace troupe::actors
