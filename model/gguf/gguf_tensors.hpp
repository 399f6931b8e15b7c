// The tensors of a GGUF file under the names that model/weights.cpp looks for.
#pragma once

#include "base/status.hpp"
#include "model/gguf/gguf_file.hpp"
#include "model/tensor_index.hpp"

namespace troupe::model {

// Renames tensors, cuts those that hold all experts of a layer into one for each, and marks rows
// that the converter reordered. Tensors of other purposes keep their names. Shapes are checked
// later, where a weight is asked for; only what cutting relies on is checked here.
result<tensor_index> gguf_tensor_index(const gguf_file& file);

// The name that a file of this format would have for a weight of ours; the name itself for one that
// it has none for.
std::string gguf_tensor_name(std::string_view name);

} // namespace troupe::model
