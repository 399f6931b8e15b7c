// How checkpoints spell their tensors.
#pragma once

#include "base/text.hpp"
#include "model/description.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

inline constexpr std::string_view embedding_name = "model.embed_tokens.weight";
inline constexpr std::string_view final_norm_name = "model.norm.weight";
inline constexpr std::string_view head_name = "lm_head.weight";

inline std::string layer_prefix(uint32_t layer) {
  return text("model.layers.", layer, ".");
}

// Names below the layer's prefix. Where a family has several spellings the usual one comes first.
struct moe_names {
  std::vector<std::string> gate;
  std::vector<std::string>
      fused_gate_up;                   // [experts, 2 * inner, hidden], rows of gate then rows of up
  std::vector<std::string> fused_down; // [experts, hidden, inner]
  // Per expert: prefix, number, then one of the three.
  std::string expert_prefix;
  std::string expert_gate, expert_up, expert_down;
  std::string shared_prefix;
};
moe_names names_of(moe_naming naming, bool shared_gate);

// Tensors that checkpoints of the supported families carry and nobody needs: tables that are
// computed, layers for predicting several tokens at once, the copy of a tied head.
bool is_superfluous(std::string_view tensor, const description& model);

} // namespace troupe::model
