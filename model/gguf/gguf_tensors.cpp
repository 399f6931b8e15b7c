// The table of names, read in both directions.
#include "model/gguf/gguf_tensors.hpp"

#include "base/text.hpp"
#include "model/config_families.hpp"
#include "model/gguf/gguf_keys.hpp"
#include "model/tensor_names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace troupe::model {
namespace {

using tensor_map = std::map<std::string, stored_tensor, std::less<>>;

struct name_pair {
  std::string_view file, ours; // both followed by ".weight" or ".bias"
};

constexpr std::array<name_pair, 3> outer_names = {{
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
}};

// Below "blk.N." and "model.layers.N.".
constexpr std::array<name_pair, 19> layer_names = {{
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    {"attn_kv_b", "self_attn.kv_b_proj"},
    {"attn_k_b", "self_attn.k_b_proj"},
    {"attn_v_b", "self_attn.v_b_proj"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};

// Tables that the configuration is made from.
bool is_rope_table(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

struct layer_name {
  uint32_t layer;
  std::string_view rest;
};

// "<prefix>N.<rest>"
std::optional<layer_name> split_layer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  layer_name out{};
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out.layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  out.rest = name.substr(static_cast<size_t>(end - name.data()) + 1);
  return out;
}

template <size_t Count>
std::string renamed(const std::array<name_pair, Count>& names, std::string_view stem,
                    bool to_ours) {
  for (const auto& [file, ours] : names) {
    if (stem == (to_ours ? file : ours)) return std::string(to_ours ? ours : file);
  }
  return {};
}

// "a.b.weight" into "a.b" and ".weight".
std::pair<std::string_view, std::string_view> split_suffix(std::string_view name) {
  const size_t dot = std::min(name.rfind('.'), name.size());
  return {name.substr(0, dot), name.substr(dot)};
}

// What the metadata says about names and rows.
struct naming {
  moe_names names;
  uint64_t layers = 0;
  uint64_t experts = 0;
  // Of the architectures whose query and key rows the converter reorders; else 0.
  uint64_t paired_heads = 0, paired_kv_heads = 0;
};

result<naming> naming_of(const gguf_file& file) {
  gguf_keys keys(file);
  const auto architecture = keys.needed_word("general.architecture");
  const auto key = [&](std::string_view rest) { return text(architecture, ".", rest); };
  const bool llama = architecture == "llama", granite = architecture == "granitemoe";
  naming out;
  out.names = names_of(granite ? moe_naming::granite
                       : llama ? moe_naming::block_sparse
                               : moe_naming::mlp,
                       architecture == "qwen2moe");
  out.layers = std::min<uint64_t>(keys.needed_count(key("block_count")), layers_max);
  out.experts = std::min<uint64_t>(keys.count(key("expert_count")).value_or(0), experts_max);
  if (llama || granite) {
    out.paired_heads = keys.needed_count(key("attention.head_count"));
    out.paired_kv_heads = keys.count(key("attention.head_count_kv")).value_or(out.paired_heads);
  }
  if (!keys.ok()) return fail(keys.first_error());
  return out;
}

class indexer {
public:
  indexer(const gguf_file& file, const naming& from) : file_(file), from_(from) {}

  result<tensor_index> run() {
    for (const auto& [name, tensor] : file_.tensors()) {
      if (is_rope_table(name)) continue;
      add(tensor);
      if (!first_.ok()) return fail(first_);
    }
    return tensor_index(std::move(out_), gguf_tensor_name);
  }

private:
  void refuse(const stored_tensor& tensor, std::string_view why) {
    first_ = status(status_code::corrupt, text(file_.file(), ": tensor '", tensor.name, "' ", why));
  }

  void add(const stored_tensor& tensor) {
    const auto place = split_layer(tensor.name, "blk.");
    if (place && place->layer < from_.layers) return add_to_layer(tensor, *place);
    const auto [stem, suffix] = split_suffix(tensor.name);
    const auto outer = renamed(outer_names, stem, true);
    put(outer.empty() ? tensor.name : outer + std::string(suffix), tensor);
  }

  void put(std::string name, stored_tensor tensor) {
    out_.emplace(std::move(name), std::move(tensor));
  }

  void add_to_layer(const stored_tensor& tensor, const layer_name& place) {
    const auto& names = from_.names;
    const std::string prefix = layer_prefix(place.layer);
    const auto [stem, suffix] = split_suffix(place.rest);
    if (const auto ours = renamed(layer_names, stem, true); !ours.empty()) {
      stored_tensor moved = tensor;
      if (stem == "attn_q") pair_heads(moved, from_.paired_heads);
      if (stem == "attn_k") pair_heads(moved, from_.paired_kv_heads);
      return put(prefix + ours + std::string(suffix), std::move(moved));
    }
    const auto part_of = [&, stem = stem](std::string_view ending) -> const std::string* {
      if (stem == text("ffn_gate", ending)) return &names.expert_gate;
      if (stem == text("ffn_up", ending)) return &names.expert_up;
      if (stem == text("ffn_down", ending)) return &names.expert_down;
      return nullptr;
    };
    if (stem == "ffn_gate_inp") return put(prefix + names.gate.front(), tensor);
    if (stem == "exp_probs_b" || place.rest == "exp_probs_b")
      return put(prefix + "mlp.gate.e_score_correction_bias", tensor);
    if (stem == "ffn_gate_inp_shexp") {
      stored_tensor row = tensor; // files have it without the dimension of one
      if (row.shape.size() == 1) row.shape.insert(row.shape.begin(), 1);
      return put(prefix + "mlp.shared_expert_gate.weight", std::move(row));
    }
    if (part_of("_shexp") != nullptr) {
      const std::string part = std::string(stem.substr(4, stem.size() - 4 - 6)); // "gate"
      return put(prefix + names.shared_prefix + part + "_proj" + std::string(suffix), tensor);
    }
    if (const auto* part = part_of("_exps"); part != nullptr && suffix == ".weight")
      return cut_experts(tensor, prefix + names.expert_prefix, *part);
    // Early files have a tensor for each expert: ffn_gate.E.weight.
    const auto [kind, number] = split_suffix(stem);
    if (number.size() > 1 && suffix == ".weight") {
      const std::string* part = kind == "ffn_gate"   ? &names.expert_gate
                                : kind == "ffn_up"   ? &names.expert_up
                                : kind == "ffn_down" ? &names.expert_down
                                                     : nullptr;
      if (part != nullptr)
        return put(prefix + names.expert_prefix + std::string(number.substr(1)) + *part, tensor);
    }
    put(tensor.name, tensor);
  }

  // The converter of the llama architectures reorders query and key rows; a halved head needs an
  // even number of them.
  void pair_heads(stored_tensor& tensor, uint64_t heads) {
    if (tensor.shape.empty() || heads == 0) return;
    const uint64_t rows = tensor.shape.front();
    if (heads > heads_max || rows == 0 || rows % (heads * 2) != 0)
      return refuse(tensor, text("has ", rows, " rows, which are no pairs for ", heads, " heads"));
    tensor.paired_heads = static_cast<uint32_t>(heads);
  }

  void cut_experts(const stored_tensor& tensor, const std::string& prefix,
                   const std::string& part) {
    if (tensor.shape.size() != 3 || tensor.shape[0] != from_.experts || tensor.data.empty()) {
      return refuse(tensor, text("has shape ", tensor.shape_text(), " where a matrix for each of ",
                                 from_.experts, " experts is needed"));
    }
    const uint64_t experts = tensor.shape[0];
    if (out_.size() + experts > tensors_max)
      return refuse(tensor, text("makes more than ", tensors_max, " matrices of experts"));
    const uint64_t bytes = tensor.data.size() / experts; // rows are whole blocks, so this is exact
    for (uint64_t expert = 0; expert < experts; ++expert) {
      stored_tensor one = tensor;
      one.name = text(tensor.name, "[", expert, "]");
      one.shape.erase(one.shape.begin());
      one.data = tensor.data.subspan(expert * bytes, bytes);
      one.data_begin = tensor.data_begin + expert * bytes;
      put(prefix + std::to_string(expert) + part, std::move(one));
    }
  }

  static constexpr uint64_t tensors_max = 1 << 19; // several times what the largest models have

  const gguf_file& file_;
  const naming& from_;
  tensor_map out_;
  status first_;
};

} // namespace

result<tensor_index> gguf_tensor_index(const gguf_file& file) {
  const auto names = naming_of(file);
  if (!names) return fail(names.error());
  return indexer(file, *names).run();
}

std::string gguf_tensor_name(std::string_view name) {
  const auto [stem, suffix] = split_suffix(name);
  if (const auto outer = renamed(outer_names, stem, false); !outer.empty())
    return outer + std::string(suffix);
  const auto place = split_layer(name, "model.layers.");
  if (!place) return std::string(name);
  const std::string prefix = text("blk.", place->layer, ".");
  const auto [inner, ending] = split_suffix(place->rest);
  if (const auto file = renamed(layer_names, inner, false); !file.empty())
    return prefix + file + std::string(ending);
  if (place->rest.ends_with("e_score_correction_bias")) return prefix + "exp_probs_b.bias";
  if (place->rest.find("shared_expert_gate") != std::string_view::npos)
    return prefix + "ffn_gate_inp_shexp.weight";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> parts = {{
      {"gate_proj", "ffn_gate"},
      {"up_proj", "ffn_up"},
      {"down_proj", "ffn_down"},
      {"w1", "ffn_gate"},
      {"w3", "ffn_up"},
      {"w2", "ffn_down"},
  }};
  const std::string_view last = inner.substr(std::min(inner.rfind('.') + 1, inner.size()));
  const bool is_shared = inner.find("shared_expert") != std::string_view::npos;
  for (const auto& [ours, file] : parts) {
    if (last == ours) return text(prefix, file, is_shared ? "_shexp" : "_exps", ending);
  }
  // Routers, and the fused matrices that only other checkpoints have.
  if (place->rest.find("experts") != std::string_view::npos) return prefix + "ffn_gate_exps.weight";
  if (place->rest.find("input_linear") != std::string_view::npos)
    return prefix + "ffn_gate_exps.weight";
  return prefix + "ffn_gate_inp.weight";
}

} // namespace troupe::model
