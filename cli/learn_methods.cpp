// Settings become options of the run; files are read before it and written after it.
#include "cli/learn_methods.hpp"

#include "base/text.hpp"
#include "cli/learn_data.hpp"
#include "model/training/adapter_export.hpp"
#include "storage/posix_disk.hpp"

namespace troupe::cli {
namespace {

constexpr std::string_view own_start = "start";

// `wanted` of them, evenly over all.
std::vector<model::training_document> some_of(const model::text_pieces& pieces, size_t wanted) {
  std::vector<model::training_document> out;
  const size_t count = std::min(wanted, pieces.count());
  for (size_t i = 0; i < count; ++i) out.push_back(pieces.at(i * pieces.count() / count));
  return out;
}

status add_known_importance(const anchor_subject& of, model::training_run& run) {
  if (!of.files.exists(of.known_importance)) return {};
  const auto mapped = of.files.map(of.known_importance);
  if (!mapped) return mapped.error();
  auto file = model::safetensors_file::parse(of.known_importance, (*mapped)->bytes());
  if (!file) return file.error();
  TROUPE_RETURN_IF_ERROR(run.read_importance(model::tensor_index(std::move(*file))));
  (void)of.err.write(text("importance known before: ", of.known_importance, "\n"));
  return {};
}

status write_file(storage::disk& folder, const std::string& name,
                  const std::function<status(const model::byte_sink&)>& write) {
  TROUPE_RETURN_IF_ERROR(folder.write(name, {}));
  TROUPE_RETURN_IF_ERROR(
      write([&](std::span<const std::byte> bytes) { return folder.append(name, bytes); }));
  return folder.sync(name);
}

} // namespace

model::training_method_options method_options_of(const method_settings& settings, uint64_t seed) {
  model::training_method_options out{.frozen = settings.freeze};
  if (settings.ewc > 0)
    out.anchor = model::anchor_options{.strength = settings.ewc, .decay = settings.ewc_decay};
  if (!settings.teacher.empty())
    out.distillation = model::distillation_options{.weight = settings.distil,
                                                   .temperature = settings.distil_temperature,
                                                   .hidden_weight = settings.distil_hidden};
  if (settings.lora_rank == 0) return out;
  const double alpha = settings.lora_alpha > 0 ? settings.lora_alpha : settings.lora_rank;
  out.adapters = model::low_rank_options{.rank = settings.lora_rank, .alpha = alpha, .seed = seed};
  out.adapted = settings.lora_targets;
  return out;
}

status check_methods(const method_settings& settings) {
  if (!settings.lora_out.empty() && settings.lora_rank == 0)
    return {status_code::invalid_argument, "--lora-out needs --lora-rank: nothing else is trained"};
  if (!settings.ewc_data.empty() && settings.ewc == 0)
    return {status_code::invalid_argument, "--ewc-data needs --ewc STRENGTH"};
  return {};
}

status read_teacher(const storage::file_system& files, const method_settings& settings,
                    model::training_run& run) {
  if (settings.teacher.empty() || settings.teacher == own_start) return {};
  const auto opened = actors::model_directory::open(files, settings.teacher);
  if (!opened) return opened.error().within("--teacher");
  if (opened->is_gguf())
    return {status_code::unsupported,
            text("--teacher: ", settings.teacher, ": a GGUF file; give a model directory")};
  const auto texts = opened->read_texts();
  if (!texts) return texts.error().within("--teacher");
  const auto description = model::parse_config(texts->config.content, texts->config.path);
  if (!description) return description.error().within("--teacher");
  const auto weights = opened->map_weights();
  if (!weights) return weights.error().within("--teacher");
  const status read = run.read_teacher(*description, weights->index);
  return read.ok() ? status() : opened->in_directory(read).within("--teacher");
}

status anchor_weights(const method_settings& settings, const anchor_subject& of,
                      model::training_run& run) {
  if (settings.ewc == 0) return {};
  if (of.documents.count() == 0)
    return {status_code::invalid_argument,
            "--ewc has nothing to measure importance on: give --ewc-data FILE or hold out more"};
  TROUPE_RETURN_IF_ERROR(add_known_importance(of, run));
  const auto documents = some_of(of.documents, settings.ewc_documents);
  TROUPE_RETURN_IF_ERROR(
      run.renew_anchor(documents, {.draws = settings.ewc_draws, .seed = of.seed}));
  (void)of.err.write(text("importance of weights measured on ", documents.size(), " documents\n"));
  return {};
}

status write_importance(storage::disk& folder, model::training_run& run) {
  if (run.methods().anchor() == nullptr) return {};
  TROUPE_RETURN_IF_ERROR(
      write_file(folder, std::string(importance_file),
                 [&](const model::byte_sink& to) { return run.write_importance(to); }));
  return folder.sync_directory();
}

status write_adapter(const std::string& folder, const std::string& base, model::training_run& run) {
  const auto opened = storage::posix_disk::open(folder);
  if (!opened) return opened.error();
  auto& disk = **opened;
  const std::string config = run.adapter_config(base);
  TROUPE_RETURN_IF_ERROR(
      write_file(disk, "adapter_model.safetensors",
                 [&](const model::byte_sink& to) { return run.write_adapter(to); }));
  TROUPE_RETURN_IF_ERROR(write_file(disk, "adapter_config.json", [&](const model::byte_sink& to) {
    return to(std::as_bytes(std::span(config)));
  }));
  return disk.sync_directory();
}

std::string method_figures(const model::pass_figures& figures, model::training_run& run) {
  std::string out;
  const auto add = [&out](const char* name, double value) {
    out += text(", ", name, " ", shown_figure(value));
  };
  if (run.methods().has_teacher())
    add("teacher", figures.taught_sum / static_cast<double>(figures.targets));
  if (run.methods().anchor() != nullptr) add("anchor", run.anchor_penalty());
  return out;
}

} // namespace troupe::cli
