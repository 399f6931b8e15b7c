// A model as the cost model sees it: how many parameters are read and how many operations are done
// where. No weights.
#pragma once

#include "base/status.hpp"
#include "model/description.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations::capacity {

struct layer_shape {
  double attention_params = 0;
  double dense_params = 0;  // feed-forward of a dense layer, shared expert, router
  double expert_params = 0; // of one routed expert; 0: a dense layer
  double score_flops = 0;   // per query token and context token
  // The same for long chunks of a latent-attention layer, which first expands keys and values of
  // the context: cheaper when many queries share them. 0: there is no such form.
  double expanded_score_flops = 0, expand_flops = 0; // the second per context token
  double kv_bytes = 0;                               // per token
  uint32_t window = 0;                               // context tokens a query sees; 0: all
  bool is_moe() const { return expert_params > 0; }
};

struct model_shape {
  std::string name;
  uint32_t hidden = 0;
  uint32_t vocabulary = 0;
  uint32_t experts = 0;
  uint32_t top_k = 0;
  double head_params = 0;  // of the last stage
  double table_params = 0; // of the first stage: the embedding
  double weight_bytes = 2; // of one parameter
  std::vector<layer_shape> layers;

  double params() const;        // all
  double active_params() const; // that one token is multiplied with
  double kv_bytes_per_token() const;
};

// mixtral-8x7b, qwen3-30b-a3b, deepseek-v3: the fields of their published config.json, read by the
// parser that reads checkpoints.
result<model_shape> model_named(std::string_view name);
std::vector<std::string> model_names();

// `weight_bytes`: of one parameter as served.
model_shape shape_of(const model::description& from, std::string name, double weight_bytes);

} // namespace troupe::simulations::capacity
