// troupe model inspect: what a model directory or a GGUF file holds, from its headers alone.
#pragma once

#include "actors/model_directory.hpp"
#include "base/status.hpp"
#include "cli/command.hpp"
#include "model/description.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

std::unique_ptr<command> make_inspect();

// Everything that inspect knows; printed as a table or as JSON.
struct model_facts {
  std::string directory;
  model::description description;
  uint64_t parameters = 0;
  uint64_t parameters_active = 0; // that one token goes through
  uint64_t tensors = 0;
  std::map<std::string, uint64_t> tensors_by_type; // "BF16"
  uint64_t file_bytes = 0;
  std::vector<std::pair<std::string, uint64_t>>
      format_bytes; // about what weights take in memory, by --quantize
  uint64_t kv_bytes_per_token = 0;
  uint64_t tokens = 0; // of the tokenizer
  std::optional<int32_t> bos_id, eos_id;
  bool has_chat_template = false;
  std::vector<std::string> warnings;
};

result<model_facts> inspect_model(const storage::file_system& files, const std::string& directory);

std::string facts_table(const model_facts& facts);
std::string facts_json(const model_facts& facts);

} // namespace troupe::cli
