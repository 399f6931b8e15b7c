// Reading of the committed tokenizers and what they were seen to do.
#include "tests/unit/model_text/golden_tokenizers.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

namespace troupe::model {

std::string read_golden_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  TROUPE_CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

nlohmann::json read_golden_json(const std::string& path) {
  return nlohmann::json::parse(read_golden_file(path));
}

std::vector<std::string> golden_tokenizer_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_tokenizers_folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

tokenizer load_golden_tokenizer(const std::string& name) {
  const std::string path = golden_tokenizers_folder + name + "/tokenizer.json";
  auto made = tokenizer::parse(read_golden_file(path), "tokenizer.json");
  if (!made) std::cerr << made.error().why() << "\n";
  TROUPE_CHECK(made.has_value());
  return std::move(*made);
}

} // namespace troupe::model
