// The tokenizer of a GGUF file, in the words of a Hugging Face checkpoint, so that one tokenizer
// serves both.
#pragma once

#include "base/status.hpp"
#include "model/gguf/gguf_file.hpp"

#include <string>

namespace troupe::model {

// Whether there is a tokenizer at all; files made for measurements may have none.
bool has_gguf_tokenizer(const gguf_file& file);

// The text of a tokenizer.json for model::tokenizer::parse: byte-level BPE with its merges, or a
// SentencePiece vocabulary whose merges follow from its scores. Failures name the file and the key.
result<std::string> gguf_tokenizer_json(const gguf_file& file);

// The text of a tokenizer_config.json: names of special tokens and the chat template.
result<std::string> gguf_tokenizer_config_json(const gguf_file& file);

} // namespace troupe::model
