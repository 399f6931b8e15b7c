// One parametric decoder: what a transformer of any supported family consists of, as plain data.
// Everything else in this folder and above works from this description and never asks for the
// family.
#pragma once

#include "base/status.hpp"
#include "compute/kernels.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

enum class rope_kind : uint8_t { plain, linear, dynamic, yarn, llama3, longrope };

// Rotary embedding, the same in all layers. Which fields mean something depends on the kind; what
// they mean is in model/rotary.hpp.
struct rope_spec {
  rope_kind kind = rope_kind::plain;
  compute::rope_style style = compute::rope_style::half_split;
  uint32_t dim = 0; // columns of a head that are rotated
  double theta = 10000;
  double factor = 1;
  uint32_t positions_max = 0;      // of the model's configuration
  uint32_t original_positions = 0; // the context length before stretching
  std::optional<double> attention_factor;
  double beta_fast = 32;
  double beta_slow = 1;
  double mscale = 0;
  double mscale_all_dim = 0;
  bool truncate = true;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  std::vector<double> short_factor; // [dim / 2]
  std::vector<double> long_factor;
};

// gqa: separate keys and values for groups of query heads. latent: keys and values are
// up-projections of one low-rank row per token, which alone is cached (DeepSeek's MLA).
enum class attention_kind : uint8_t { gqa, latent };
enum class qk_norm : uint8_t { none, per_head, full_width };

struct attention_spec {
  attention_kind kind = attention_kind::gqa;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;  // latent: 1, the shared row
  uint32_t head_dim = 0;  // gqa
  uint32_t q_rank = 0;    // latent: 0 when queries are projected in one step
  uint32_t kv_rank = 0;   // latent: width of the compressed row
  uint32_t nope_dim = 0;  // latent: columns of a query head without rotation
  uint32_t rope_dim = 0;  // latent: rotated columns
  uint32_t value_dim = 0; // columns of an output head
  bool qkv_bias = false;  // latent: on the two down-projections only
  bool output_bias = false;
  qk_norm norm = qk_norm::none;
  float clip = 0;          // q, k and v are clamped to [-clip, clip]; 0: not
  uint32_t window = 0;     // positions a query sees, itself included; 0: all
  float scale = 1;         // of the scores
  float rank_norm_eps = 0; // latent: of the norms on the compressed rows

  // Columns of one query row as projected, of one cached key, and of one output row before o_proj.
  uint32_t query_width() const { return heads * query_head_dim(); }
  uint32_t query_head_dim() const {
    return kind == attention_kind::latent ? nope_dim + rope_dim : head_dim;
  }
  uint32_t key_dim() const {
    return kind == attention_kind::latent ? kv_rank + rope_dim : head_dim;
  }
  uint32_t output_width() const { return heads * value_dim; }
};

struct dense_spec {
  uint32_t inner = 0; // 0: none
  bool bias = false;
};

struct moe_spec {
  compute::router_rule rule; // experts == 0: the layer is dense
  bool correction_bias = false;
  uint32_t inner = 0;       // of a routed expert
  dense_spec shared;        // the expert every token visits
  bool shared_gate = false; // its output is scaled by a sigmoid of one more product
};

struct layer_spec {
  attention_spec attention;
  dense_spec dense; // of a dense layer
  moe_spec moe;     // of a layer with experts
  bool is_moe() const { return moe.rule.experts > 0; }
};

// How checkpoints of the family spell the tensors of a layer with experts (model/tensor_names.hpp).
enum class moe_naming : uint8_t { mlp, block_sparse, granite };

struct description {
  std::string name; // model_type of the configuration
  uint32_t vocabulary = 0;
  uint32_t hidden = 0;
  uint32_t positions_max = 0;
  std::vector<layer_spec> layers;
  rope_spec rope;
  float norm_eps = 0;
  bool tied_embeddings = false; // the head is the embedding table
  compute::activation activation = compute::activation::silu;
  float embedding_multiplier = 1;
  float residual_multiplier = 1; // on what each block adds
  float logits_multiplier = 1;
  moe_naming naming = moe_naming::mlp;
  std::optional<int32_t> bos_id;
  std::vector<int32_t> eos_ids;

  uint32_t experts_max() const; // over the layers
  uint32_t top_k_max() const;
};

// Reads config.json of a Hugging Face checkpoint. Missing fields get the defaults of transformers;
// what cannot be is `corrupt`, what this build cannot do is `unsupported`, both naming `file` and
// the field.
result<description> parse_config(std::string_view config_json,
                                 std::string_view file = "config.json");

// The cache of one layer.
compute::kv_shape kv_shape_of(const attention_spec& attention, uint32_t page_tokens);

} // namespace troupe::model
