// Reads a model directory through the file seam and hands its bytes to the readers of model/. The
// weight files stay mapped only while their tensors are packed.
#include "actors/model_bundle.hpp"

#include "actors/model_fingerprint.hpp"
#include "base/text.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "model/tensor_index.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "storage/file_system.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace troupe::actors {
namespace {

constexpr size_t config_bytes_max = 16 << 20;
constexpr size_t tokenizer_bytes_max = 512 << 20;
constexpr size_t shard_map_bytes_max = 256 << 20;
constexpr std::string_view single_file = "model.safetensors";
constexpr std::string_view shard_map_file = "model.safetensors.index.json";

// A small text file of the directory, with the path that messages name.
struct text_file {
  std::string path;
  std::string content;
};

// The weight files and what keeps their bytes there. Tensors know their file by its bare name.
struct mapped_weights {
  std::vector<std::unique_ptr<storage::mapped_file>> files;
  std::vector<std::pair<std::string, uint64_t>> file_bytes; // by name, for the fingerprint
  model::tensor_index index;
};

class directory_reader {
public:
  directory_reader(const storage::file_system& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {
    while (directory_.size() > 1 && directory_.ends_with('/')) directory_.pop_back();
  }

  const std::string& directory() const { return directory_; }
  std::string path(std::string_view name) const {
    return directory_.ends_with('/') ? text(directory_, name) : text(directory_, "/", name);
  }
  bool has(std::string_view name) const { return files_.exists(path(name)); }

  std::string name() const {
    const size_t slash = directory_.rfind('/');
    return slash == std::string::npos ? directory_ : directory_.substr(slash + 1);
  }

  // That there is a directory and that it looks like a model, said in terms of what is missing.
  status check() const {
    if (directory_.empty()) return status(status_code::invalid_argument, "the model directory is empty");
    if (has("config.json")) return {};
    const auto names = files_.list(directory_);
    if (!names) return status(names.error().code(), text("no model directory: ", names.error().why()));
    const auto is_gguf = [](const std::string& name) { return name.ends_with(".gguf"); };
    const bool gguf = std::any_of(names->begin(), names->end(), is_gguf);
    return status(status_code::not_found,
                  text(directory_, ": has no config.json, so it is no model directory; needed are "
                                   "config.json, tokenizer.json and model.safetensors",
                       gguf ? " (GGUF files cannot be read)" : ""));
  }

  result<text_file> need(std::string_view name, size_t bytes_max, std::string_view what_for) const {
    if (!has(name))
      return fail(status_code::not_found, text(path(name), ": is missing; ", what_for));
    return read(name, bytes_max);
  }

  // Empty content when the file is not there.
  result<text_file> want(std::string_view name, size_t bytes_max) const {
    if (!has(name)) return text_file{path(name), ""};
    return read(name, bytes_max);
  }

  result<mapped_weights> map_weights() const {
    if (has(single_file)) return map_single();
    if (has(shard_map_file)) return map_shards();
    return fail(status_code::not_found, text(directory_, ": has neither ", single_file, " nor ",
                                             shard_map_file, "; weights are read from safetensors only"));
  }

  // A failure of the weights' readers, which begins with a bare file name or speaks of no file.
  status in_directory(const status& failure) const {
    const std::string_view why = failure.why();
    const bool names_file = why.substr(0, why.find(':')).ends_with(".safetensors");
    return status(failure.code(), names_file ? path(why) : text(directory_, ": ", why));
  }

private:
  result<text_file> read(std::string_view name, size_t bytes_max) const {
    auto content = files_.read_text(path(name), bytes_max);
    if (!content) return fail(content.error());
    return text_file{path(name), std::move(*content)};
  }

  result<model::safetensors_file> map_file(std::string_view name, mapped_weights& into) const {
    auto file = files_.map(path(name));
    if (!file) return fail(file.error());
    const auto bytes = (*file)->bytes();
    into.file_bytes.emplace_back(name, bytes.size());
    into.files.push_back(std::move(*file));
    auto tensors = model::safetensors_file::parse(std::string(name), bytes);
    if (!tensors) return fail(in_directory(tensors.error()));
    return tensors;
  }

  result<mapped_weights> map_single() const {
    mapped_weights out;
    auto tensors = map_file(single_file, out);
    if (!tensors) return fail(tensors.error());
    out.index = model::tensor_index(std::move(*tensors));
    return out;
  }

  result<mapped_weights> map_shards() const {
    const auto listing = read(shard_map_file, shard_map_bytes_max);
    if (!listing) return fail(listing.error());
    auto map = model::parse_shard_map(listing->content, listing->path);
    if (!map) return fail(map.error());
    mapped_weights out;
    std::vector<model::safetensors_file> shards;
    for (const auto& name : map->shards) {
      if (!has(name))
        return fail(status_code::not_found,
                    text(path(name), ": is missing, but ", listing->path, " lists it"));
      auto tensors = map_file(name, out);
      if (!tensors) return fail(tensors.error());
      shards.push_back(std::move(*tensors));
    }
    auto index = model::tensor_index::sharded(*map, std::move(shards));
    if (!index) return fail(in_directory(index.error()));
    out.index = std::move(*index);
    return out;
  }

  const storage::file_system& files_;
  std::string directory_;
};

// The small files, parsed; and their text for the fingerprint.
struct model_texts {
  text_file config, generation, tokenizer, tokenizer_config;
};

result<model_texts> read_texts(const directory_reader& directory) {
  model_texts out;
  auto config = directory.need("config.json", config_bytes_max, "it describes the model");
  if (!config) return fail(config.error());
  auto tokenizer = directory.need("tokenizer.json", tokenizer_bytes_max,
                                  "text becomes tokens through it (tokenizer.model and vocab.json are "
                                  "not read; transformers writes tokenizer.json with save_pretrained)");
  if (!tokenizer) return fail(tokenizer.error());
  auto generation = directory.want("generation_config.json", config_bytes_max);
  if (!generation) return fail(generation.error());
  auto tokenizer_config = directory.want("tokenizer_config.json", config_bytes_max);
  if (!tokenizer_config) return fail(tokenizer_config.error());
  return model_texts{std::move(*config), std::move(*generation), std::move(*tokenizer),
                     std::move(*tokenizer_config)};
}

status parse_texts(const model_texts& texts, model_bundle& out) {
  auto description = model::parse_config(texts.config.content, texts.config.path);
  if (!description) return description.error();
  out.description = std::make_shared<const model::description>(std::move(*description));

  model::generation_defaults defaults;
  if (!texts.generation.content.empty()) {
    auto parsed = model::parse_generation_config(texts.generation.content, texts.generation.path);
    if (!parsed) return parsed.error();
    defaults = std::move(*parsed);
  }
  out.generation_defaults = std::make_shared<const model::generation_defaults>(std::move(defaults));

  const auto& file = texts.tokenizer;
  const auto& config = texts.tokenizer_config;
  auto tokenizer = config.content.empty()
                       ? model::tokenizer::parse(file.content, file.path)
                       : model::tokenizer::parse(file.content, file.path, config.content, config.path);
  if (!tokenizer) return tokenizer.error();
  out.tokenizer = std::make_shared<const model::tokenizer>(std::move(*tokenizer));
  if (out.tokenizer->id_limit() > out.description->vocabulary) {
    out.warnings.push_back(text(file.path, ": has ids up to ", out.tokenizer->id_limit() - 1, ", but the model's vocab_size is ",
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

} // namespace

result<std::shared_ptr<const model_bundle>> load_model_bundle(storage::file_system& files,
                                                              compute::executor& executor,
                                                              const model_bundle_options& options) {
  const directory_reader directory(files, options.directory);
  if (const auto checked = directory.check(); !checked.ok()) return fail(checked);
  const auto texts = read_texts(directory);
  if (!texts) return fail(texts.error());

  auto bundle = std::make_shared<model_bundle>();
  bundle->name = directory.name();
  bundle->directory = directory.directory();
  if (const auto parsed = parse_texts(*texts, *bundle); !parsed.ok()) return fail(parsed);

  const auto mapped = directory.map_weights();
  if (!mapped) return fail(mapped.error());
  const auto survey = model::survey_weights(*bundle->description, mapped->index);
  if (!survey) return fail(directory.in_directory(survey.error()));
  warn_of_unused(survey->unused, *bundle);

  model::weight_loader loader(*bundle->description, mapped->index, executor,
                              {.format = options.format, .progress = options.progress});
  auto weights = loader.everything();
  if (!weights) return fail(directory.in_directory(weights.error()));
  bundle->weights = std::make_shared<const model::model_weights>(std::move(*weights));

  fingerprint_builder fingerprint;
  for (const auto* part : {&texts->config, &texts->generation, &texts->tokenizer, &texts->tokenizer_config})
    fingerprint.add_text(part->content);
  for (const auto& [name, bytes] : mapped->file_bytes) fingerprint.add_file(name, bytes);
  for (const auto& [name, tensor] : mapped->index.tensors()) fingerprint.add_tensor(tensor);
  fingerprint.add_text(options.format ? compute::to_string(*options.format) : "as stored");
  bundle->fingerprint = fingerprint.value();
  return bundle;
}

} // namespace troupe::actors
