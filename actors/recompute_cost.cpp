// Counts multiplications of one token.
#include "actors/recompute_cost.hpp"

#include "model/description.hpp"

#include <algorithm>

namespace troupe::actors {
namespace {

uint64_t products_of(const model::layer_spec& layer, uint64_t hidden) {
  const auto& a = layer.attention;
  const bool latent = a.kind == model::attention_kind::latent;
  const uint64_t cached = latent ? a.kv_rank + a.rope_dim : uint64_t{2} * a.kv_heads * a.head_dim;
  uint64_t out = hidden * (a.query_width() + cached + a.output_width());
  out += 3 * hidden * layer.dense.inner;
  if (layer.is_moe())
    out += 3 * hidden * (uint64_t{layer.moe.rule.top_k} * layer.moe.inner + layer.moe.shared.inner);
  return out;
}

// With one earlier position: the score, and the weighted sum.
uint64_t attention_of(const model::attention_spec& a) {
  if (a.window != 0) return 0;
  const bool latent = a.kind == model::attention_kind::latent;
  return uint64_t{a.heads} * (a.key_dim() + (latent ? a.kv_rank : a.value_dim));
}

} // namespace

uint32_t attention_positions_of(const model::description& description) {
  uint64_t products = 0;
  uint64_t attention = 0;
  for (const auto& layer : description.layers) {
    products += products_of(layer, description.hidden);
    attention += attention_of(layer.attention);
  }
  if (attention == 0) return 0;
  return static_cast<uint32_t>(std::clamp<uint64_t>(products / attention, 1, UINT32_MAX));
}

} // namespace troupe::actors
