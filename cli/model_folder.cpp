// File by file, keeping count of what would have to go again.
#include "cli/model_folder.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {
namespace {

// What is written is no longer of FP8, if it ever was.
std::string config_of(const actors::text_file& config) {
  auto json = nlohmann::ordered_json::parse(config.content); // has been read before
  return json.erase("quantization_config") > 0 ? json.dump(2) : config.content;
}

class folder_writer {
public:
  explicit folder_writer(storage::disk& folder) : folder_(folder) {}

  status write_all(const actors::model_texts& texts, const weight_writer& write_weights) {
    const std::string weights = "model.safetensors";
    names_.push_back(weights);
    TROUPE_RETURN_IF_ERROR(folder_.write(weights, {})); // of an earlier attempt there may be some
    TROUPE_RETURN_IF_ERROR(write_weights(
        [&](std::span<const std::byte> bytes) { return folder_.append(weights, bytes); }));
    TROUPE_RETURN_IF_ERROR(folder_.sync(weights));
    TROUPE_RETURN_IF_ERROR(write_text("generation_config.json", texts.generation));
    TROUPE_RETURN_IF_ERROR(write_text("tokenizer.json", texts.tokenizer));
    TROUPE_RETURN_IF_ERROR(write_text("tokenizer_config.json", texts.tokenizer_config));
    TROUPE_RETURN_IF_ERROR(write_text("chat_template.jinja", texts.chat_template));
    auto config = texts.config;
    config.content = config_of(config);
    TROUPE_RETURN_IF_ERROR(write_text("config.json", config));
    return folder_.sync_directory();
  }

  void remove_all() {
    for (const auto& name : names_) (void)folder_.remove(name);
  }

private:
  status write_text(const std::string& name, const actors::text_file& text) {
    if (!text.present) return {};
    names_.push_back(name);
    TROUPE_RETURN_IF_ERROR(folder_.write(name, std::as_bytes(std::span(text.content))));
    return folder_.sync(name);
  }

  storage::disk& folder_;
  std::vector<std::string> names_;
};

} // namespace

status write_model_folder(storage::disk& folder, const actors::model_texts& texts,
                          const weight_writer& weights) {
  folder_writer writer(folder);
  const status written = writer.write_all(texts, weights);
  if (!written.ok()) writer.remove_all();
  return written;
}

bool is_unfinished_model_folder(const std::string& folder) {
  constexpr std::array<std::string_view, 5> before_the_last = {
      "model.safetensors", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
      "chat_template.jinja"};
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    if (std::ranges::find(before_the_last, entry->path().filename().string()) ==
        before_the_last.end())
      return false;
  return !error;
}

} // namespace troupe::cli
