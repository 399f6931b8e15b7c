// Knows which files a model has and says what is missing in terms of them.
#include "actors/model_directory.hpp"

#include "base/text.hpp"
#include "model/gguf/gguf_config.hpp"
#include "model/gguf/gguf_file.hpp"
#include "model/gguf/gguf_tensors.hpp"
#include "model/gguf/gguf_tokenizer.hpp"

#include <algorithm>

namespace troupe::actors {
namespace {

constexpr size_t config_bytes_max = 16 << 20;
constexpr size_t tokenizer_bytes_max = 512 << 20;
constexpr size_t shard_map_bytes_max = 256 << 20;
constexpr std::string_view single_file = "model.safetensors";
constexpr std::string_view shard_map_file = "model.safetensors.index.json";
constexpr std::string_view gguf_ending = ".gguf";

// Of a file like NAME-00001-of-00003.gguf.
bool is_part(const model::gguf_file& file) {
  const auto* count = file.find_value("split.count");
  return count != nullptr && model::integer_of(count->type, count->bytes).value_or(0) > 1;
}

result<model::gguf_file> parse_gguf(const std::string& path, std::span<const std::byte> bytes) {
  auto file = model::gguf_file::parse(path, bytes);
  if (file && is_part(*file)) {
    return fail(status_code::unsupported,
                text(path,
                     ": is one of several parts of a model, which cannot be read; join them "
                     "with llama-gguf-split --merge"));
  }
  return file;
}

} // namespace

result<model_directory> model_directory::open(const storage::file_system& files, std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  model_directory out(files, std::move(path));
  // Whatever its name: a file can be nothing else, and its first bytes are looked at when it is
  // read.
  out.is_gguf_ = files.exists(out.path_);
  if (out.is_gguf_) return out;
  if (const auto checked = out.check(); !checked.ok()) return fail(checked);
  return out;
}

std::string model_directory::path_of(std::string_view file) const {
  return path_.ends_with('/') ? text(path_, file) : text(path_, "/", file);
}

std::string model_directory::name() const {
  const size_t slash = path_.rfind('/');
  std::string last = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  if (is_gguf_ && last.size() > gguf_ending.size() && last.ends_with(gguf_ending))
    last.resize(last.size() - gguf_ending.size());
  return last;
}

status model_directory::check() const {
  if (path_.empty())
    return status(status_code::invalid_argument, "the path of the model directory is empty");
  if (has("config.json")) return {};
  const auto names = files_.list(path_);
  if (!names)
    return status(names.error().code(), text("no model directory: ", names.error().why()));
  const auto gguf = std::find_if(names->begin(), names->end(), [](const std::string& name) {
    return name.ends_with(gguf_ending);
  });
  const std::string hint =
      gguf == names->end() ? "" : text(", or the path of a GGUF file such as ", path_of(*gguf));
  return status(status_code::not_found,
                text(path_,
                     ": has no config.json, so it is no model directory; needed are config.json, "
                     "tokenizer.json and model.safetensors",
                     hint));
}

result<model_texts> model_directory::read_texts(bool tokenizer_needed) const {
  if (is_gguf_) return read_gguf_texts(tokenizer_needed);
  auto config = need("config.json", config_bytes_max, "it describes the model");
  if (!config) return fail(config.error());
  constexpr std::string_view what_for =
      "text becomes tokens through it (tokenizer.model and vocab.json are not read; transformers "
      "writes tokenizer.json with save_pretrained)";
  auto tokenizer = tokenizer_needed ? need("tokenizer.json", tokenizer_bytes_max, what_for)
                                    : want("tokenizer.json", tokenizer_bytes_max);
  if (!tokenizer) return fail(tokenizer.error());
  auto generation = want("generation_config.json", config_bytes_max);
  if (!generation) return fail(generation.error());
  auto tokenizer_config = want("tokenizer_config.json", config_bytes_max);
  if (!tokenizer_config) return fail(tokenizer_config.error());
  auto chat_template = want("chat_template.jinja", config_bytes_max);
  if (!chat_template) return fail(chat_template.error());
  return model_texts{std::move(*config), std::move(*generation), std::move(*tokenizer),
                     std::move(*tokenizer_config), std::move(*chat_template)};
}

result<mapped_weights> model_directory::map_weights() const {
  if (is_gguf_) return map_gguf();
  if (has(single_file)) return map_single();
  if (has(shard_map_file)) return map_shards();
  return fail(status_code::not_found,
              text(path_, ": has neither ", single_file, " nor ", shard_map_file,
                   "; weights are read from safetensors only"));
}

status model_directory::in_directory(const status& failure) const {
  const std::string_view why = failure.why();
  if (is_gguf_) return why.starts_with(path_) ? failure : failure.within(path_);
  const bool names_file = why.substr(0, why.find(':')).ends_with(".safetensors");
  return status(failure.code(), names_file ? path_of(why) : text(path_, ": ", why));
}

result<text_file> model_directory::read(std::string_view file, size_t bytes_max) const {
  auto content = files_.read_text(path_of(file), bytes_max);
  if (!content) return fail(content.error());
  return text_file{.path = path_of(file), .content = std::move(*content)};
}

result<text_file> model_directory::need(std::string_view file, size_t bytes_max,
                                        std::string_view what_for) const {
  if (has(file)) return read(file, bytes_max);
  return fail(status_code::not_found, text(path_of(file), ": is missing; ", what_for));
}

result<text_file> model_directory::want(std::string_view file, size_t bytes_max) const {
  if (has(file)) return read(file, bytes_max);
  return text_file{.path = path_of(file), .content = {}, .present = false};
}

result<model::safetensors_file> model_directory::map_file(std::string_view file,
                                                          mapped_weights& into) const {
  // First: a file that changes meanwhile is then found to have changed.
  into.changed_at = into.changed_at * 31 + files_.changed_at(path_of(file));
  auto mapped = files_.map(path_of(file));
  if (!mapped) return fail(mapped.error());
  const auto bytes = (*mapped)->bytes();
  into.file_bytes.emplace_back(file, bytes.size());
  into.files.push_back(std::move(*mapped));
  auto tensors = model::safetensors_file::parse(std::string(file), bytes);
  if (!tensors) return fail(in_directory(tensors.error()));
  return tensors;
}

result<mapped_weights> model_directory::map_single() const {
  mapped_weights out;
  auto tensors = map_file(single_file, out);
  if (!tensors) return fail(tensors.error());
  out.index = model::tensor_index(std::move(*tensors));
  return out;
}

result<mapped_weights> model_directory::map_shards() const {
  const auto listing = read(shard_map_file, shard_map_bytes_max);
  if (!listing) return fail(listing.error());
  auto map = model::parse_shard_map(listing->content, listing->path);
  if (!map) return fail(map.error());
  mapped_weights out;
  std::vector<model::safetensors_file> shards;
  for (const auto& name : map->shards) {
    if (!has(name))
      return fail(status_code::not_found,
                  text(path_of(name), ": is missing, but ", listing->path, " lists it"));
    auto tensors = map_file(name, out);
    if (!tensors) return fail(tensors.error());
    shards.push_back(std::move(*tensors));
  }
  auto index = model::tensor_index::sharded(*map, std::move(shards));
  if (!index) return fail(in_directory(index.error()));
  out.index = std::move(*index);
  return out;
}

result<model_texts> model_directory::read_gguf_texts(bool tokenizer_needed) const {
  const auto mapped = files_.map(path_);
  if (!mapped) return fail(mapped.error());
  const auto file = parse_gguf(path_, (*mapped)->bytes());
  if (!file) return fail(file.error());
  status first;
  // Messages of the readers name the file and the place that the text stands for.
  const auto in_place_of = [&](std::string_view name, bool there, const auto& translate) {
    text_file out{.path = text(path_, " (as ", name, ")"), .content = {}, .present = there};
    if (!there || !first.ok()) return out;
    auto content = translate(*file);
    if (content)
      out.content = std::move(*content);
    else if (name.starts_with("tokenizer") && !tokenizer_needed)
      out.unusable = content.error();
    else
      first = content.error();
    return out;
  };
  const bool tokenizer = tokenizer_needed || model::has_gguf_tokenizer(*file);
  model_texts out{
      .config = in_place_of("config.json", true, model::gguf_config_json),
      .generation = in_place_of("generation_config.json", true, model::gguf_generation_json),
      .tokenizer = in_place_of("tokenizer.json", tokenizer, model::gguf_tokenizer_json),
      .tokenizer_config =
          in_place_of("tokenizer_config.json", tokenizer, model::gguf_tokenizer_config_json),
      .chat_template = {.path = path_, .content = {}, .present = false}};
  if (!first.ok()) return fail(first);
  return out;
}

result<mapped_weights> model_directory::map_gguf() const {
  const uint64_t changed_at = files_.changed_at(path_);
  auto mapped = files_.map(path_);
  if (!mapped) return fail(mapped.error());
  const auto bytes = (*mapped)->bytes();
  const auto file = parse_gguf(path_, bytes);
  if (!file) return fail(file.error());
  auto index = model::gguf_tensor_index(*file);
  if (!index) return fail(index.error());
  mapped_weights out;
  out.changed_at = changed_at;
  out.file_bytes.emplace_back("model.gguf", bytes.size()); // whatever a machine calls it
  out.files.push_back(std::move(*mapped));
  out.index = std::move(*index);
  return out;
}

result<model::tokenizer> parse_tokenizer(const model_texts& texts) {
  const auto& file = texts.tokenizer;
  const auto& config = texts.tokenizer_config;
  for (const auto* text : {&file, &config})
    if (!text->unusable.ok()) return fail(text->unusable);
  if (!config.present) return model::tokenizer::parse(file.content, file.path);
  return model::tokenizer::parse(file.content, file.path, config.content, config.path);
}

result<model::chat_template> parse_chat_template(const model_texts& texts) {
  const auto& config = texts.tokenizer_config;
  if (!config.unusable.ok()) return fail(config.unusable);
  const auto found = model::find_chat_template(texts.chat_template.content,
                                               config.present ? config.content : "{}");
  if (!found) return fail(found.error());
  return model::chat_template::parse(found->source, found->file_name);
}

} // namespace troupe::actors
