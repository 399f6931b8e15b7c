// What a GGUF file says about its model, in the words of a Hugging Face checkpoint, so that one set
// of readers with one set of bounds serves both.
#pragma once

#include "base/status.hpp"
#include "model/gguf/gguf_file.hpp"

#include <string>

namespace troupe::model {

// The text of a config.json for model::parse_config. What the format cannot say and llama.cpp takes
// for granted is written out. Failures name the file and the key.
result<std::string> gguf_config_json(const gguf_file& file);

// The text of a generation_config.json: what ends a text, and sampling where the file has advice.
result<std::string> gguf_generation_json(const gguf_file& file);

} // namespace troupe::model
