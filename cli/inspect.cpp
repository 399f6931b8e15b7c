// Gathers the facts and is the command; how they are printed is in inspect_text.cpp.
#include "cli/inspect.hpp"

#include "base/text.hpp"
#include "cli/engine_setup.hpp"
#include "cli/program.hpp"
#include "compute/dtype.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <array>

namespace troupe::cli {
namespace {

constexpr uint32_t page_tokens = 16; // any page size gives the same bytes a token

struct inspect_settings {
  std::vector<std::string> directory;
  model_choice model;
  bool json = false;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "directory",
           .value = "PATH",
           .help = "model directory or GGUF file; without it --model or the built-in model",
           .positional = true},
          directory);
    visit({.name = "model",
           .value = "PATH",
           .help = "the same as a flag",
           .aliases = "-m",
           .unset = "the built-in model"},
          model.model);
    visit({.name = "json", .help = "print JSON"}, json);
    common.for_each_field(visit);
  }
};

// Weights of the routed experts that a token does not visit.
uint64_t idle_parameters(const model::description& description) {
  uint64_t out = 0;
  for (const auto& layer : description.layers) {
    const uint64_t idle =
        layer.moe.rule.experts - std::min(layer.moe.rule.experts, layer.moe.rule.top_k);
    out += idle * 3 * layer.moe.inner * description.hidden; // gate, up and down
  }
  return out;
}

double bytes_per_weight(compute::weight_format format, bool is_table) {
  constexpr double scale = 2.0 / compute::quant_block;
  switch (format) {
    case compute::weight_format::f32:
      return 4;
    case compute::weight_format::bf16:
    case compute::weight_format::f16:
      return 2;
    case compute::weight_format::int8:
      return 1 + scale;
    case compute::weight_format::int4:
      return is_table ? 1 + scale : 0.5 + scale;
  }
  return 4;
}

// Matrices in the format, the rest in f32, as the loader does it.
uint64_t bytes_in_format(const model::tensor_index& index, compute::weight_format format) {
  double out = 0;
  for (const auto& [name, tensor] : index.tensors()) {
    const bool is_table =
        name.find("embed_tokens") != std::string::npos || name.find("lm_head") != std::string::npos;
    const bool is_matrix = tensor.shape.size() >= 2 && !name.ends_with("mlp.gate.weight") &&
                           !name.ends_with("block_sparse_moe.gate.weight");
    out += double(tensor.elements()) * (is_matrix ? bytes_per_weight(format, is_table) : 4);
  }
  return uint64_t(out);
}

void add_weight_facts(const actors::mapped_weights& weights, model_facts& out) {
  for (const auto& [name, tensor] : weights.index.tensors()) {
    out.parameters += tensor.elements();
    ++out.tensors;
    ++out.tensors_by_type[tensor.type_name];
  }
  out.parameters_active =
      out.parameters - std::min(out.parameters, idle_parameters(out.description));
  for (const auto& [name, bytes] : weights.file_bytes) out.file_bytes += bytes;
  using format = compute::weight_format;
  for (const auto each : {format::f32, format::bf16, format::f16, format::int8, format::int4})
    out.format_bytes.emplace_back(compute::to_string(each), bytes_in_format(weights.index, each));
}

// A model without a usable tokenizer cannot be served, but it can be looked at.
void add_tokenizer_facts(const actors::model_texts& texts, model_facts& out) {
  if (!texts.tokenizer.present) {
    out.warnings.push_back(
        text(texts.tokenizer.path, " is missing; without it the model cannot be used"));
    return;
  }
  const auto tokenizer = actors::parse_tokenizer(texts);
  if (!tokenizer) {
    out.warnings.push_back(tokenizer.error().why());
    return;
  }
  out.tokens = tokenizer->vocab_size();
  out.bos_id = tokenizer->bos_id();
  out.eos_id = tokenizer->eos_id();
  if (tokenizer->id_limit() > out.description.vocabulary)
    out.warnings.push_back(text("the tokenizer has ids up to ", tokenizer->id_limit() - 1,
                                ", the model's vocab_size is ", out.description.vocabulary));
}

void add_chat_facts(const actors::model_texts& texts, model_facts& out) {
  const auto chat = actors::parse_chat_template(texts);
  out.has_chat_template = chat.has_value();
  if (!chat && chat.error().code() != status_code::not_found)
    out.warnings.push_back(chat.error().why());
}

int run_inspect(program& context, const inspect_settings& settings) {
  model_choice where = settings.model;
  if (settings.directory.size() > 1)
    return context.complain(
        status(status_code::invalid_argument, "troupe model inspect takes one directory or file"),
        exit_usage);
  if (!settings.directory.empty()) where.model = settings.directory[0];
  const auto directory = model_directory_of(context, where);
  if (!directory) return context.complain(directory.error().why, directory.error().code);
  const auto facts = inspect_model(context.files, *directory);
  if (!facts) return context.complain(facts.error(), exit_no_model);
  (void)context.out.write(settings.json ? facts_json(*facts) : facts_table(*facts));
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "model inspect",
    .section = "inspect",
    .summary = "describes a model without loading its weights",
    .notes =
        "exit codes: 0 done; 1 failed; 2 wrong usage; 3 the model cannot be read; 141 the reader "
        "of standard\n"
        "  output went away\n",
};

} // namespace

result<model_facts> inspect_model(const storage::file_system& files, const std::string& path) {
  const auto directory = actors::model_directory::open(files, path);
  if (!directory) return fail(directory.error());
  const auto texts = directory->read_texts(/*tokenizer_needed=*/false);
  if (!texts) return fail(texts.error());
  auto description = model::parse_config(texts->config.content, texts->config.path);
  if (!description) return fail(description.error());
  const auto weights = directory->map_weights();
  if (!weights) return fail(weights.error());
  const auto survey = model::survey_weights(*description, weights->index);
  if (!survey) return fail(directory->in_directory(survey.error()));

  model_facts out;
  out.directory = directory->path();
  out.description = std::move(*description);
  for (const auto& layer : out.description.layers)
    out.kv_bytes_per_token +=
        compute::kv_page_bytes(model::kv_shape_of(layer.attention, page_tokens)) / page_tokens;
  add_weight_facts(*weights, out);
  add_tokenizer_facts(*texts, out);
  add_chat_facts(*texts, out);
  for (const auto& name : survey->unused)
    out.warnings.push_back(text("tensor ", name, " is not used"));
  return out;
}

std::unique_ptr<command> make_inspect() {
  return make_command<inspect_settings>(info, run_inspect);
}

} // namespace troupe::cli
