// Sets of trainable tensors, and the words that name them in settings.
#pragma once

#include "model/training/parameters.hpp"

#include <string_view>
#include <vector>

namespace troupe::model {

class parameter_set {
public:
  parameter_set() = default; // holds none
  explicit parameter_set(const parameter_map& map) : held_(map.list.size()) {}

  bool has(parameter_id id) const { return id < held_.size() && held_[id]; }
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  void add(parameter_id id);

private:
  std::vector<bool> held_; // by id
  size_t count_ = 0;
};

// What a tensor is for; each is of one kind. The head of a model with tied embeddings is its
// embedding. The gate in front of a shared expert belongs to that.
enum class parameter_kind : uint8_t {
  embedding,
  attention,
  dense,
  router,
  shared,
  expert,
  head,
  norm
};
std::vector<parameter_kind> kinds_of(const parameter_map& map); // by id

// Words separated by commas: a kind ("expert"), or "layers:A-B" or "layers:A" for everything in
// those layers, the first being 0. An empty list names nothing. The message of a failure names the
// word and where it stands.
result<parameter_set> read_parameter_list(std::string_view list, const parameter_map& map);

} // namespace troupe::model
