// The frame around the families: syntax, model_type, and what must hold whatever the family.
#include "base/text.hpp"
#include "model/config_families.hpp"
#include "model/description.hpp"
#include "model/fp8.hpp"
#include "model/json_document.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

void check_attention(config_fields& config, const attention_spec& attention) {
  const uint64_t widest =
      uint64_t{attention.heads} *
      std::max({attention.query_head_dim(), attention.key_dim(), attention.value_dim});
  if (widest > width_max) {
    config.refuse(status_code::corrupt,
                  text("attention is ", widest, " columns wide, more than ", width_max));
  }
  if (attention.kv_heads == 0 || attention.heads % attention.kv_heads != 0) {
    config.refuse(status_code::corrupt,
                  text("num_attention_heads ", attention.heads,
                       " is not a multiple of num_key_value_heads ", attention.kv_heads));
  }
}

void check_router(config_fields& config, const compute::router_rule& rule) {
  if (rule.experts == 0) return;
  if (rule.groups == 0 || rule.experts % rule.groups != 0) {
    config.refuse_field(
        status_code::corrupt, "n_group",
        text("is ", rule.groups, ", which does not divide the ", rule.experts, " experts"));
    return;
  }
  if (rule.groups_kept == 0 || rule.groups_kept > rule.groups) {
    config.refuse_field(status_code::corrupt, "topk_group",
                        text("is ", rule.groups_kept, " of ", rule.groups, " groups"));
    return;
  }
  const uint32_t choosable = rule.experts / rule.groups * rule.groups_kept;
  if (rule.top_k == 0 || rule.top_k > choosable) {
    config.refuse_field(
        status_code::corrupt, "num_experts_per_tok",
        text("is ", rule.top_k, ", but a token may choose from ", choosable, " experts"));
  }
  if (rule.groups > 1 && rule.group_by == compute::group_score::sum_of_top_2 &&
      rule.experts / rule.groups < 2) {
    config.refuse_field(status_code::corrupt, "n_group",
                        "leaves fewer than two experts in a group");
  }
}

// Real checkpoints name ids beyond their vocabulary; such a token cannot occur and is left out.
void drop_impossible_tokens(description& model) {
  const auto impossible = [&model](int32_t id) {
    return static_cast<uint32_t>(id) >= model.vocabulary;
  };
  std::erase_if(model.eos_ids, impossible);
  if (model.bos_id && impossible(*model.bos_id)) model.bos_id.reset();
}

} // namespace

uint32_t description::experts_max() const {
  uint32_t most = 0;
  for (const auto& layer : layers) most = std::max(most, layer.moe.rule.experts);
  return most;
}

uint32_t description::top_k_max() const {
  uint32_t most = 0;
  for (const auto& layer : layers) most = std::max(most, layer.moe.rule.top_k);
  return most;
}

compute::kv_shape kv_shape_of(const attention_spec& attention, uint32_t page_tokens) {
  const bool latent = attention.kind == attention_kind::latent;
  return {.page_tokens = page_tokens,
          .heads = attention.kv_heads,
          .key_dim = attention.key_dim(),
          .value_dim = latent ? attention.kv_rank : attention.value_dim,
          .value_in_key = latent};
}

// Which form the weights have; what it says of activations is for other engines.
void check_quantisation(config_fields& config, status& first) {
  const auto* given = config.object("quantization_config");
  if (given == nullptr) return;
  config_fields fields(*given, text(config.where(), ": quantization_config"), first);
  const auto method = fields.word("quant_method", "");
  if (method != "fp8")
    return fields.refuse_field(
        status_code::unsupported, "quant_method",
        text("is \"", method, "\"; quantised weights can be read as \"fp8\""));
  if (const auto format = fields.word("fmt", "e4m3"); format != "e4m3")
    return fields.refuse_field(status_code::unsupported, "fmt",
                               text("is \"", format, "\"; it must be \"e4m3\""));
  const auto square = fields.ids("weight_block_size");
  if (square != std::vector<int32_t>{fp8_square, fp8_square})
    fields.refuse_field(status_code::unsupported, "weight_block_size",
                        text("must be [", fp8_square, ", ", fp8_square, "]"));
}

result<description> parse_config(std::string_view config_json, std::string_view file) {
  const auto document = parse_json_object(config_json, file);
  if (!document) return fail(document.error());
  status first;
  config_fields config(*document, file, first);
  description out;
  out.name = config.word("model_type", "");
  if (first.ok() && out.name.empty()) {
    config.refuse_field(status_code::corrupt, "model_type", "is missing");
  }
  check_quantisation(config, first);
  if (!first.ok()) return fail(first);
  if (!read_family(config, out)) {
    const auto known = family_names();
    std::string list;
    for (const auto& name : known) list += (list.empty() ? "" : ", ") + name;
    const auto near = nearest_name(out.name, known);
    return fail(
        status_code::unsupported,
        text(file, ": field 'model_type' is '", out.name, "', which is not supported",
             near.empty() ? "" : text(" (did you mean '", near, "'?)"), "; known are ", list));
  }
  if (!first.ok()) return fail(first);
  for (const auto& layer : out.layers) {
    check_attention(config, layer.attention);
    check_router(config, layer.moe.rule);
  }
  drop_impossible_tokens(out);
  if (!first.ok()) return fail(first);
  return out;
}

} // namespace troupe::model
