// The weights of each part of a model, loadable part by part so that an actor holds only its own.
#pragma once

#include "compute/executor.hpp"
#include "model/description.hpp"
#include "model/tensor_index.hpp"

#include <functional>

namespace troupe::model {

using compute::weight_matrix;

struct dense_mlp_weights {
  weight_matrix gate, up, down;
  std::vector<float> gate_bias, up_bias, down_bias; // empty: none
};

// Attention of one layer with both norms of the layer; latent fields are empty for gqa and the
// reverse.
struct attention_weights {
  std::vector<float> input_norm;
  std::vector<float> post_norm; // what the layer's MLP or router reads goes through it

  weight_matrix q, k, v; // latent: q only, from the compressed row when q_rank > 0
  std::vector<float> q_bias, k_bias, v_bias;
  std::vector<float> q_norm, k_norm;

  weight_matrix q_down, kv_down;
  std::vector<float> q_down_bias, kv_down_bias;
  std::vector<float> q_rank_norm, kv_rank_norm;
  std::vector<weight_matrix>
      absorb; // per head [kv_rank, nope_dim]: a query head into the cached space
  std::vector<weight_matrix> expand; // per head [value_dim, kv_rank]: a cached row into a value

  weight_matrix output;
  std::vector<float> output_bias; // already times the residual multiplier
};

struct router_weights {
  weight_matrix gate;            // always f32: a choice must not depend on the weight format
  std::vector<float> correction; // empty: none
  dense_mlp_weights shared;      // empty: no shared expert
  weight_matrix shared_gate;     // empty: none
};

struct expert_weights {
  weight_matrix gate, up, down;
};

struct head_weights {
  std::vector<float> norm;
  weight_matrix matrix; // empty when the embedding table is used
};

struct layer_weights {
  attention_weights attention;
  dense_mlp_weights dense;             // of a dense layer
  router_weights router;               // of a layer with experts
  std::vector<expert_weights> experts; // all of them
};

struct model_weights {
  weight_matrix embedding;
  head_weights head;
  std::vector<layer_weights> layers;

  const weight_matrix& head_matrix() const { return head.matrix.empty() ? embedding : head.matrix; }
};

// Bytes of stored tensors read so far and in all. Called on the loading thread, after every tensor.
using load_progress = std::function<void(uint64_t bytes_done, uint64_t bytes_total)>;

struct load_options {
  // Format of the large matrices; unset: as each tensor is stored. At int8 and int4 the embedding
  // table, the head and the per-head products of latent attention are int8 (they are small or weigh
  // most on the result); router gates are always f32, as are norms and biases.
  std::optional<compute::weight_format> format;
  load_progress progress;
  // Gives the next matrix as packing would make it; unset: tensors are packed.
  std::function<result<weight_matrix>(compute::weight_format, uint32_t outputs, uint32_t inputs)>
      packed{};
  // Hears of every matrix that was packed.
  std::function<void(const weight_matrix&)> keep{};
};

// What loading everything will read.
struct weight_survey {
  uint64_t bytes_total = 0;
  std::vector<std::string>
      unused; // tensors nobody asks for, other than those known to be superfluous
};

// Checks that every tensor is there with its shape and a usable type, without reading weights.
result<weight_survey> survey_weights(const description& model, const tensor_index& index);

// Loads parts in any order; one per loading thread. The three arguments must outlive it.
class weight_loader {
public:
  weight_loader(const description& model, const tensor_index& index, compute::executor& executor,
                load_options options);

  result<weight_matrix> embedding();
  // `share_table`: leave out the matrix when embeddings are tied, because the caller has the table.
  result<head_weights> head(bool share_table);
  result<attention_weights> attention(uint32_t layer);
  result<dense_mlp_weights> dense(uint32_t layer);
  result<router_weights> router(uint32_t layer);
  result<expert_weights> expert(uint32_t layer, uint32_t expert);
  result<model_weights> everything();

private:
  const description& model_;
  const tensor_index& index_;
  compute::executor& executor_;
  load_options options_;
  uint64_t bytes_done_ = 0;
  uint64_t bytes_total_ = 0;

  template <class Part, class Read>
  result<Part> load(const Read& read);
};

} // namespace troupe::model
