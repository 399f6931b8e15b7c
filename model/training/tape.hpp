// What forward leaves behind for backward, layer by layer. A tape is reused: its memory grows to
// the largest call and stays.
#pragma once

#include "compute/training_kernels.hpp"
#include "model/expert_groups.hpp"

#include <vector>

namespace troupe::model {

// A matrix that owns its rows and can be given another shape; contents are lost then.
template <class T>
class owned_rows {
public:
  compute::matrix_of<T> shape(uint32_t rows, uint32_t cols) {
    if (data_.size() < size_t{rows} * cols) data_.resize(size_t{rows} * cols);
    view_ = {data_.data(), rows, cols, cols};
    return view_;
  }
  const compute::matrix_of<T>& view() const { return view_; }

private:
  std::vector<T> data_;
  compute::matrix_of<T> view_;
};

template <class T>
struct attention_tape {
  owned_rows<T> normed;
  owned_rows<T> q_raw, k_raw, v_raw; // as projected, where norms or limits follow
  owned_rows<T> q_normed, k_normed;  // where limits follow norms
  owned_rows<T> q_rank_raw, q_rank;  // latent
  owned_rows<T> keys_raw;            // latent: before norm and rotation
  owned_rows<T> q, keys, values;     // as attention reads them
  owned_rows<T> absorbed;            // latent: queries in the compressed space
  owned_rows<T> in_rank;             // latent: attention's result there
  owned_rows<T> attended;
  owned_rows<T> scaled; // attended times the residual multiplier, where there is one
  owned_rows<T> hidden; // after attention
  owned_rows<T> output; // normed hidden, which the MLP or the experts read
};

template <class T>
struct mlp_tape {
  owned_rows<T> gate, up, inner;
};

template <class T>
struct experts_tape {
  owned_rows<T> logits;
  std::vector<int32_t> ids; // [rows, top_k] in routing order
  std::vector<T> weights;
  expert_grouping grouping;
  owned_rows<T> input, output; // rows sorted by expert
  mlp_tape<T> routed;
  mlp_tape<T> shared;
  owned_rows<T> shared_raw, shared_gate, shared_output;
};

template <class T>
struct layer_tape {
  attention_tape<T> attention;
  mlp_tape<T> dense;
  experts_tape<T> experts;
};

} // namespace troupe::model
