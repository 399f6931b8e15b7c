// Hands the files of a model directory to the readers of model/. The weight files stay mapped only
// while their tensors are packed.
#include "actors/model_bundle.hpp"

#include "actors/model_directory.hpp"
#include "actors/model_fingerprint.hpp"
#include "actors/weight_cache.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "model/chat_template.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {
namespace {

// A model whose template is missing or cannot be understood still completes texts; chats are
// refused.
void read_chat_template(const model_texts& texts, model_bundle& out) {
  auto parsed = parse_chat_template(texts);
  if (!parsed && parsed.error().code() == status_code::not_found) return;
  if (parsed)
    out.chat_template = std::make_shared<const model::chat_template>(std::move(*parsed));
  else
    out.warnings.push_back(text("chats are refused, because the chat template cannot be used: ",
                                out.directory, "/", parsed.error().why()));
}

status parse_texts(const model_texts& texts, model_bundle& out) {
  auto description = model::parse_config(texts.config.content, texts.config.path);
  if (!description) return description.error();
  out.description = std::make_shared<const model::description>(std::move(*description));

  model::generation_defaults defaults;
  if (texts.generation.present) {
    auto parsed = model::parse_generation_config(texts.generation.content, texts.generation.path);
    if (!parsed) return parsed.error();
    defaults = std::move(*parsed);
  }
  out.generation_defaults = std::make_shared<const model::generation_defaults>(std::move(defaults));

  auto tokenizer = parse_tokenizer(texts);
  if (!tokenizer) return tokenizer.error();
  out.tokenizer = std::make_shared<const model::tokenizer>(std::move(*tokenizer));
  read_chat_template(texts, out);
  if (out.tokenizer->id_limit() > out.description->vocabulary) {
    out.warnings.push_back(text(texts.tokenizer.path, ": has ids up to ",
                                out.tokenizer->id_limit() - 1, ", but the model's vocab_size is ",
                                out.description->vocabulary,
                                "; text that needs the tokens beyond it is refused"));
  }
  return {};
}

void warn_of_unused(const std::vector<std::string>& unused, model_bundle& out) {
  constexpr size_t named_max = 4;
  if (unused.empty()) return;
  std::string names;
  for (size_t i = 0; i < std::min(unused.size(), named_max); ++i)
    names += text(i > 0 ? ", " : "", unused[i]);
  if (unused.size() > named_max) names += text(" and ", unused.size() - named_max, " more");
  out.warnings.push_back(text(unused.size(), " tensors of the checkpoint are not used: ", names));
}

uint64_t fingerprint_of(const model_texts& texts, const mapped_weights& mapped,
                        const std::optional<compute::weight_format>& format) {
  fingerprint_builder fingerprint;
  for (const auto* part : {&texts.config, &texts.generation, &texts.tokenizer,
                           &texts.tokenizer_config, &texts.chat_template})
    fingerprint.add_text(part->content);
  for (const auto& [name, bytes] : mapped.file_bytes) fingerprint.add_file(name, bytes);
  for (const auto& [name, tensor] : mapped.index.tensors()) fingerprint.add_tensor(tensor);
  fingerprint.add_text(format ? compute::to_string(*format) : "as stored");
  return fingerprint.value();
}

// Reads the weights of a model, from the cache where it has them.
class weight_reading {
public:
  weight_reading(const model::description& description, const mapped_weights& mapped,
                 const storage::file_system& files, compute::executor& executor,
                 const model_bundle_options& options, const weight_cache_key& key)
      : description_(description),
        mapped_(mapped),
        files_(files),
        executor_(executor),
        options_(options),
        key_(key) {}

  result<model::model_weights> read() {
    if (options_.weight_cache.empty()) return pack({});
    if (auto cached = from_cache()) return std::move(*cached);
    return pack(open_writer());
  }

private:
  std::optional<model::model_weights> from_cache() {
    const std::string path = text(options_.weight_cache, "/", weight_cache_name(key_));
    auto cache = weight_cache_reader::open(files_, path, key_);
    status why = cache ? status() : cache.error();
    if (cache) {
      model::weight_loader loader(
          description_, mapped_.index, executor_,
          {.format = options_.format,
           .progress = options_.progress,
           .packed = [&cache](auto... asked) { return cache->next(asked...); }});
      auto weights = loader.everything();
      if (weights) return std::move(*weights);
      why = weights.error();
    }
    if (why.code() != status_code::not_found)
      log::warn(text("weights are packed again: ", why.why()));
    return std::nullopt;
  }

  std::unique_ptr<weight_cache_writer> open_writer() {
    if (!options_.open_disk) return nullptr;
    auto disk = options_.open_disk(options_.weight_cache);
    if (disk) return std::make_unique<weight_cache_writer>(std::move(*disk), key_);
    log::warn(text("packed weights are not kept: ", disk.error().why()));
    return nullptr;
  }

  result<model::model_weights> pack(std::unique_ptr<weight_cache_writer> writer) {
    model::load_options how{.format = options_.format, .progress = options_.progress};
    if (writer) how.keep = [&writer](const auto& matrix) { writer->add(matrix); };
    model::weight_loader loader(description_, mapped_.index, executor_, how);
    auto weights = loader.everything();
    if (!weights || !writer) return weights;
    if (const auto kept = writer->finish(); !kept.ok())
      log::warn(text("packed weights are not kept: ", kept.why()));
    return weights;
  }

  const model::description& description_;
  const mapped_weights& mapped_;
  const storage::file_system& files_;
  compute::executor& executor_;
  const model_bundle_options& options_;
  const weight_cache_key key_;
};

} // namespace

result<std::shared_ptr<const model_bundle>> load_model_bundle(storage::file_system& files,
                                                              compute::executor& executor,
                                                              const model_bundle_options& options) {
  const auto directory = model_directory::open(files, options.directory);
  if (!directory) return fail(directory.error());
  const auto texts = directory->read_texts();
  if (!texts) return fail(texts.error());

  auto bundle = std::make_shared<model_bundle>();
  bundle->name = directory->name();
  bundle->directory = directory->path();
  if (const auto parsed = parse_texts(*texts, *bundle); !parsed.ok()) return fail(parsed);

  const auto mapped = directory->map_weights();
  if (!mapped) return fail(mapped.error());
  const auto survey = model::survey_weights(*bundle->description, mapped->index);
  if (!survey) return fail(directory->in_directory(survey.error()));
  warn_of_unused(survey->unused, *bundle);

  bundle->fingerprint = fingerprint_of(*texts, *mapped, options.format);
  bundle->weights_changed_at = mapped->changed_at;
  auto weights = weight_reading(*bundle->description, *mapped, files, executor, options,
                                {bundle->fingerprint, mapped->changed_at})
                     .read();
  if (!weights) return fail(directory->in_directory(weights.error()));
  bundle->weights = std::make_shared<const model::model_weights>(std::move(*weights));
  return bundle;
}

} // namespace troupe::actors
