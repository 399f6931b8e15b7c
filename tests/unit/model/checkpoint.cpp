// Reading, changing and loading checkpoints in memory.
#include "tests/unit/model/checkpoint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace troupe::model_test {
namespace {

std::span<const std::byte> bytes_of(const std::string& content) {
  return {reinterpret_cast<const std::byte*>(content.data()), content.size()};
}

} // namespace

checkpoint checkpoint::read(const std::filesystem::path& folder) {
  checkpoint out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(entry.path(), std::ios::binary);
    out.files[entry.path().filename().string()] =
        std::string(std::istreambuf_iterator<char>(in), {});
  }
  return out;
}

std::string checkpoint::header(const std::string& file) const {
  uint64_t length = 0;
  std::memcpy(&length, files.at(file).data(), sizeof length);
  return files.at(file).substr(sizeof length, length);
}

void checkpoint::set_header(const std::string& file, const std::string& header) {
  const std::string data = files.at(file).substr(sizeof(uint64_t) + this->header(file).size());
  const uint64_t length = header.size();
  files[file] = std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

void checkpoint::replace(const std::string& file, const std::string& from, const std::string& to) {
  const bool tensors = file.ends_with(".safetensors");
  std::string content = tensors ? header(file) : files.at(file);
  const size_t at = content.find(from);
  ASSERT_NE(at, std::string::npos) << file << " holds no " << from;
  content.replace(at, from.size(), to);
  if (tensors)
    set_header(file, content);
  else
    files[file] = content;
}

std::string checkpoint::file_of(const std::string& tensor) const {
  for (const auto& [name, content] : files) {
    if (name.ends_with(".safetensors") && name != "golden.safetensors" &&
        header(name).find('"' + tensor + '"') != std::string::npos) {
      return name;
    }
  }
  return {};
}

void checkpoint::set_element(const std::string& tensor, size_t index, float value) {
  const std::string file = file_of(tensor);
  const auto parsed = model::safetensors_file::parse(file, bytes_of(files.at(file)));
  const auto* stored = parsed->find(tensor);
  const size_t width = compute::dtype_bytes(*stored->type);
  const size_t begin = reinterpret_cast<const char*>(stored->data.data()) - files.at(file).data();
  const uint16_t narrow = *stored->type == compute::dtype::bf16 ? compute::f32_to_bf16(value)
                                                                : compute::f32_to_f16(value);
  std::memcpy(files.at(file).data() + begin + index * width,
              width == 4 ? static_cast<const void*>(&value) : &narrow, width);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder(""))) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::filesystem::path golden_folder(const std::string& name) {
  const char* other = std::getenv("TROUPE_GOLDEN_MODELS");
  const std::filesystem::path usual =
      std::filesystem::path(TROUPE_SOURCE_DIR) / "tests/golden/models";
  return (other != nullptr ? other : usual) / name;
}

result<model::tensor_index> index_of(const checkpoint& files) {
  const auto list = files.files.find("model.safetensors.index.json");
  std::vector<model::safetensors_file> parsed;
  for (const auto& [name, content] : files.files) {
    if (!name.ends_with(".safetensors") || name == "golden.safetensors") continue;
    auto file = model::safetensors_file::parse(name, bytes_of(content));
    if (!file) return fail(file.error());
    parsed.push_back(std::move(*file));
  }
  if (list == files.files.end()) return model::tensor_index(std::move(parsed.at(0)));
  const auto map = model::parse_shard_map(list->second);
  if (!map) return fail(map.error());
  return model::tensor_index::sharded(*map, std::move(parsed));
}

result<std::unique_ptr<loaded_model>> load(checkpoint files, compute::executor& executor,
                                           model::load_options options) {
  auto out = std::make_unique<loaded_model>();
  out->files = std::move(files);
  auto description = model::parse_config(out->files.files.at("config.json"));
  if (!description) return fail(description.error());
  out->description = std::move(*description);
  const auto index = index_of(out->files);
  if (!index) return fail(index.error());
  auto survey = model::survey_weights(out->description, *index);
  if (!survey) return fail(survey.error());
  out->survey = std::move(*survey);
  auto weights =
      model::weight_loader(out->description, *index, executor, std::move(options)).everything();
  if (!weights) return fail(weights.error());
  out->weights = std::move(*weights);
  return out;
}

} // namespace troupe::model_test
