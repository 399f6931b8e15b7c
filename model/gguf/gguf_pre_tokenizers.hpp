// GGUF files name the rules by which a text is cut before merging; what each name stands for, as
// sections of a tokenizer.json. For sources only.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace troupe::model {

struct gguf_pre_tokenizer {
  nlohmann::json normalizer;
  nlohmann::json pre_tokenizer;
  bool ignores_merges = false;
  bool begins = false; // texts begin with the token for it unless the file says otherwise
};

// By the value of tokenizer.ggml.pre.
std::optional<gguf_pre_tokenizer> find_gguf_pre_tokenizer(std::string_view name);

// All known values, for messages.
std::string gguf_pre_tokenizer_names();

} // namespace troupe::model
