// What the tokenizers package did with the committed texts; see tests/golden/make_tokenizers.py.
#pragma once

#include "model/tokenizer.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace troupe::model {

inline const std::string golden_tokenizers_folder =
    std::string(TROUPE_SOURCE_DIR) + "/tests/golden/tokenizers/";

std::string read_golden_file(const std::string& path);
nlohmann::json read_golden_json(const std::string& path);
// The folders that hold a tokenizer.json, in order of their names.
std::vector<std::string> golden_tokenizer_names();
// Aborts the test program when the committed file does not parse.
tokenizer load_golden_tokenizer(const std::string& name);

} // namespace troupe::model
