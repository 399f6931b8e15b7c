// The spellings of each family.
#include "model/tensor_names.hpp"

#include "model/fp8.hpp"

#include <charconv>

namespace troupe::model {

moe_names names_of(moe_naming naming, bool shared_gate) {
  moe_names names;
  names.gate = {"mlp.gate.weight"};
  names.fused_gate_up = {"mlp.experts.gate_up_proj", "block_sparse_moe.experts.gate_up_proj"};
  names.fused_down = {"mlp.experts.down_proj", "block_sparse_moe.experts.down_proj"};
  names.expert_prefix = "mlp.experts.";
  names.expert_gate = ".gate_proj.weight";
  names.expert_up = ".up_proj.weight";
  names.expert_down = ".down_proj.weight";
  // Qwen2-MoE has one shared expert and says so; DeepSeek merges several into one.
  names.shared_prefix = shared_gate ? "mlp.shared_expert." : "mlp.shared_experts.";
  if (naming == moe_naming::block_sparse) {
    names.gate = {"block_sparse_moe.gate.weight", "mlp.gate.weight"};
    names.expert_prefix = "block_sparse_moe.experts.";
    names.expert_gate = ".w1.weight";
    names.expert_up = ".w3.weight";
    names.expert_down = ".w2.weight";
  } else if (naming == moe_naming::granite) {
    names.gate = {"block_sparse_moe.router.layer.weight", "block_sparse_moe.router.weight"};
    names.fused_gate_up.insert(names.fused_gate_up.begin(), "block_sparse_moe.input_linear.weight");
    names.fused_down.insert(names.fused_down.begin(), "block_sparse_moe.output_linear.weight");
  }
  return names;
}

bool is_superfluous(std::string_view tensor, const description& model) {
  if (tensor.ends_with("rotary_emb.inv_freq") || tensor.ends_with(".masked_bias")) return true;
  if (model.tied_embeddings && tensor == head_name) return true;
  if (tensor.ends_with(fp8_scale_suffix)) return true; // read with their weights
  constexpr std::string_view prefix = "model.layers.";
  if (!tensor.starts_with(prefix)) return false;
  const std::string_view rest = tensor.substr(prefix.size());
  uint32_t layer = 0;
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  return parsed.ec == std::errc() && layer >= model.layers.size();
}

} // namespace troupe::model
