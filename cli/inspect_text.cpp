// The facts about a model as a table for people and as JSON for programs.
#include "cli/inspect.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>

namespace troupe::cli {
namespace {

std::string_view name_of(model::rope_kind kind) {
  using enum model::rope_kind;
  switch (kind) {
    case plain:
      return "plain";
    case linear:
      return "linear";
    case dynamic:
      return "dynamic";
    case yarn:
      return "yarn";
    case llama3:
      return "llama3";
    case longrope:
      return "longrope";
  }
  return "";
}

// The layers that stand for the model: the first with experts, and the first at all.
const model::layer_spec* first_moe(const model::description& description) {
  for (const auto& layer : description.layers)
    if (layer.is_moe()) return &layer;
  return nullptr;
}

uint64_t moe_layers(const model::description& description) {
  uint64_t out = 0;
  for (const auto& layer : description.layers) out += layer.is_moe() ? 1 : 0;
  return out;
}

std::string count_text(uint64_t count) {
  std::array<char, 32> out;
  if (count < 10'000)
    std::snprintf(out.data(), out.size(), "%llu", static_cast<unsigned long long>(count));
  else if (count < 1'000'000'000)
    std::snprintf(out.data(), out.size(), "%.2f M", double(count) / 1e6);
  else
    std::snprintf(out.data(), out.size(), "%.2f B", double(count) / 1e9);
  return out.data();
}

std::string attention_text(const model::attention_spec& of) {
  std::string out =
      of.kind == model::attention_kind::latent
          ? text("latent (MLA), ", of.heads, " heads, compressed to ", of.kv_rank, " + ",
                 of.rope_dim)
          : text("grouped queries, ", of.heads, " heads on ", of.kv_heads, " of ", of.head_dim);
  if (of.window > 0) out += text(", window ", of.window);
  return out;
}

std::string experts_text(const model::description& description) {
  const auto* layer = first_moe(description);
  if (layer == nullptr) return "none, every layer is dense";
  std::string out =
      text(layer->moe.rule.experts, " in ", moe_layers(description), " of ",
           description.layers.size(), " layers, ", layer->moe.rule.top_k, " for each token");
  if (layer->moe.rule.groups > 1)
    out += text(", chosen from ", layer->moe.rule.groups_kept, " of ", layer->moe.rule.groups,
                " groups");
  if (layer->moe.shared.inner > 0) out += ", and a shared one";
  return out;
}

std::string id_text(const std::optional<int32_t>& id) {
  return id ? std::to_string(*id) : "none";
}

class table {
public:
  void row(std::string_view name, std::string_view value) {
    std::string left(name);
    left.resize(16, ' ');
    out_ += text(left, value, "\n");
  }
  std::string take() { return std::move(out_); }

private:
  std::string out_;
};

} // namespace

std::string facts_table(const model_facts& facts) {
  const auto& d = facts.description;
  table out;
  out.row("model", facts.directory);
  out.row("family", d.name);
  out.row("parameters", text(count_text(facts.parameters), ", ",
                             count_text(facts.parameters_active), " active for a token"));
  out.row("layers", text(d.layers.size(), " of width ", d.hidden));
  out.row("attention", attention_text(d.layers.front().attention));
  out.row("experts", experts_text(d));
  out.row("positions",
          text(d.positions_max, ", rope ", name_of(d.rope.kind), ", theta ", d.rope.theta));
  out.row("vocabulary",
          text(d.vocabulary, d.tied_embeddings ? ", head tied to the embedding" : ""));
  out.row("tokenizer", facts.tokens == 0
                           ? "none"
                           : text(facts.tokens, " tokens, first ", id_text(facts.bos_id), ", end ",
                                  id_text(facts.eos_id)));
  out.row("chat template", facts.has_chat_template ? "yes" : "no");
  std::string types;
  for (const auto& [type, count] : facts.tensors_by_type)
    types += text(types.empty() ? "" : ", ", count, " ", type);
  out.row("tensors",
          text(facts.tensors, " (", types, "), files of ", human_bytes(facts.file_bytes)));
  std::string formats;
  for (const auto& [format, bytes] : facts.format_bytes)
    formats += text(formats.empty() ? "" : ", ", format, " ", human_bytes(bytes));
  out.row("in memory", text("about ", formats));
  out.row("keys, values",
          text(human_bytes(facts.kv_bytes_per_token), " a token, ",
               human_bytes(facts.kv_bytes_per_token * d.positions_max), " a full sequence"));
  for (const auto& warning : facts.warnings) out.row("warning", warning);
  return out.take();
}

std::string facts_json(const model_facts& facts) {
  const auto& d = facts.description;
  const auto& attention = d.layers.front().attention;
  nlohmann::ordered_json out;
  out["directory"] = facts.directory;
  out["family"] = d.name;
  out["parameters"] = facts.parameters;
  out["parameters_active"] = facts.parameters_active;
  out["layers"] = d.layers.size();
  out["hidden"] = d.hidden;
  out["attention"] = {{"kind", attention.kind == model::attention_kind::latent ? "latent" : "gqa"},
                      {"heads", attention.heads},
                      {"kv_heads", attention.kv_heads},
                      {"key_dim", attention.key_dim()},
                      {"value_dim", attention.value_dim},
                      {"window", attention.window}};
  const auto* moe = first_moe(d);
  out["experts"] = {{"count", moe ? moe->moe.rule.experts : 0},
                    {"per_token", moe ? moe->moe.rule.top_k : 0},
                    {"groups", moe ? moe->moe.rule.groups : 0},
                    {"shared", moe && moe->moe.shared.inner > 0},
                    {"layers", moe_layers(d)}};
  out["positions_max"] = d.positions_max;
  out["rope"] = {{"kind", name_of(d.rope.kind)}, {"theta", d.rope.theta}};
  out["vocabulary"] = d.vocabulary;
  out["tied_embeddings"] = d.tied_embeddings;
  out["tokenizer"] = {{"tokens", facts.tokens}, {"bos_id", nullptr}, {"eos_id", nullptr}};
  if (facts.bos_id) out["tokenizer"]["bos_id"] = *facts.bos_id;
  if (facts.eos_id) out["tokenizer"]["eos_id"] = *facts.eos_id;
  out["chat_template"] = facts.has_chat_template;
  out["tensors"] = {{"count", facts.tensors}, {"by_type", facts.tensors_by_type}};
  out["file_bytes"] = facts.file_bytes;
  for (const auto& [format, bytes] : facts.format_bytes) out["memory_bytes"][format] = bytes;
  out["kv_bytes_per_token"] = facts.kv_bytes_per_token;
  out["warnings"] = facts.warnings;
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace troupe::cli
