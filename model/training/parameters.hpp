// The trainable tensors of a model as one flat list: where each lies in memory, what it is called
// in a checkpoint, and which part of the pipeline it belongs to.
#pragma once

#include "compute/training_kernels.hpp"
#include "model/description.hpp"
#include "model/tensor_index.hpp"

#include <string>
#include <vector>

namespace troupe::model {

using parameter_id = uint32_t;
inline constexpr parameter_id no_parameter = UINT32_MAX;

// Whose optimiser state a tensor is part of. Attention has both norms of its layer.
enum class parameter_owner : uint8_t { embedding, attention, dense, router, expert, head };

struct parameter {
  std::string name; // unique; as in a checkpoint with one tensor per expert
  uint32_t rows = 1;
  uint32_t cols = 0;
  size_t offset = 0; // scalars, in every array over all parameters
  bool is_matrix = false;
  parameter_owner owner = parameter_owner::embedding;
  uint32_t layer = 0;
  uint32_t expert = 0;
  // Where checkpoints of the family keep it: scalars [stored_offset, + count) of this tensor.
  std::string stored_name;
  std::vector<uint64_t> stored_shape;
  size_t stored_offset = 0;

  size_t count() const { return size_t{rows} * cols; }
};

struct mlp_parameters {
  parameter_id gate = no_parameter, up = no_parameter, down = no_parameter;
  parameter_id gate_bias = no_parameter, up_bias = no_parameter, down_bias = no_parameter;
};

struct attention_parameters {
  parameter_id input_norm = no_parameter, post_norm = no_parameter;
  parameter_id q = no_parameter, k = no_parameter, v = no_parameter;
  parameter_id q_bias = no_parameter, k_bias = no_parameter, v_bias = no_parameter;
  parameter_id q_norm = no_parameter, k_norm = no_parameter;
  parameter_id q_down = no_parameter, q_down_bias = no_parameter, q_rank_norm = no_parameter;
  parameter_id kv_down = no_parameter, kv_down_bias = no_parameter, kv_rank_norm = no_parameter;
  parameter_id kv_up = no_parameter; // per head nope_dim rows for keys, value_dim for values
  parameter_id output = no_parameter, output_bias = no_parameter;
};

struct router_parameters {
  parameter_id gate = no_parameter;
  mlp_parameters shared;
  parameter_id shared_gate = no_parameter;
};

struct layer_parameters {
  attention_parameters attention;
  mlp_parameters dense;
  router_parameters router;
  std::vector<mlp_parameters> experts;
};

struct parameter_map {
  std::vector<parameter> list;
  std::vector<layer_parameters> layers;
  parameter_id embedding = no_parameter;
  parameter_id head_norm = no_parameter;
  parameter_id head = no_parameter; // the embedding's id when they are tied
  size_t scalars = 0;

  const parameter& operator[](parameter_id id) const { return list[id]; }
};

parameter_map map_parameters(const description& model);

// Values of all parameters, matrices both ways round.
template <class T>
class parameter_values {
public:
  explicit parameter_values(const parameter_map& map)
      : map_(&map), values_(map.scalars), transposed_(map.scalars) {}

  const parameter_map& map() const { return *map_; }
  std::span<T> all() { return values_; }
  std::span<const T> all() const { return values_; }
  std::span<T> of(parameter_id id) {
    return std::span(values_).subspan((*map_)[id].offset, (*map_)[id].count());
  }
  std::span<const T> of(parameter_id id) const {
    return std::span(values_).subspan((*map_)[id].offset, (*map_)[id].count());
  }
  // Empty where the model has no such tensor.
  std::span<const T> vector(parameter_id id) const {
    return id == no_parameter ? std::span<const T>() : of(id);
  }
  compute::matrix_of<const T> matrix(parameter_id id) const {
    const auto& p = (*map_)[id];
    return {values_.data() + p.offset, p.rows, p.cols, p.cols};
  }
  compute::weight_of<T> weight(parameter_id id) const {
    const auto& p = (*map_)[id];
    return {matrix(id), {transposed_.data() + p.offset, p.cols, p.rows, p.rows}};
  }
  // Has to follow every change of values.
  void refresh(compute::training_kernels<T>& device);

private:
  const parameter_map* map_;
  std::vector<T> values_;
  std::vector<T> transposed_;
};

// Gradients of all parameters. What calls add up forms one chain of rows; close_share ends the
// chain and adds it to the total, so that parts of a step computed elsewhere can be added in order.
template <class T>
class parameter_gradients {
public:
  explicit parameter_gradients(const parameter_map& map);

  void clear();
  compute::matrix_of<T> matrix(parameter_id id) {
    const auto& p = (*map_)[id];
    return {chain_.data() + p.offset, p.rows, p.cols, p.cols};
  }
  // The head's own sum, apart from the embedding's even where they are one tensor: their rows would
  // else mix differently with every cut of a step.
  compute::matrix_of<T> head();
  std::span<T> vector(parameter_id id) {
    if (id == no_parameter) return {};
    return std::span(chain_).subspan((*map_)[id].offset, (*map_)[id].count());
  }
  void close_share();
  // What close_share does, in two parts: finish_share gives what has been added up since
  // clear_share, and add_share takes one from here or elsewhere; the first of a step takes the
  // place of the total.
  void clear_share();
  std::span<const T> finish_share();
  void add_share(std::span<const T> share, bool is_first);
  // After close_share.
  std::span<const T> total() const { return total_; }
  std::span<T> total() { return total_; }
  std::span<const T> total_of(parameter_id id) const {
    return std::span<const T>(total_).subspan((*map_)[id].offset, (*map_)[id].count());
  }

private:
  const parameter_map* map_;
  std::vector<T> chain_;
  std::vector<T> tied_head_;
  std::vector<T> total_;
  bool has_total_ = false;
};

// Values by the checkpoint's names (one tensor per expert or fused ones), widened; `corrections`
// gets the selection bias of each layer's router, empty where it has none.
status read_parameters(const description& model, const tensor_index& index, std::span<float> values,
                       const parameter_map& map, std::vector<std::vector<float>>& corrections);

} // namespace troupe::model
