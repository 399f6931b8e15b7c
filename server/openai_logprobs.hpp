// Log-probabilities in the two forms of the OpenAI API. For sources only: it brings in the JSON
// library.
#pragma once

#include "dataflow/request.hpp"
#include "server/json_text.hpp"
#include "server/text_codec.hpp"

#include <span>

namespace troupe::server {

// The object of /v1/completions; `text_offset` is where the first token starts and moves on.
json_value completion_logprobs(std::span<const dataflow::token_record> tokens,
                               const text_codec& codec, size_t& text_offset);

// The object of /v1/chat/completions.
json_value chat_logprobs(std::span<const dataflow::token_record> tokens, const text_codec& codec);

// A token for people: its text, or "bytes:\xe2\x96" when it is only part of a character.
std::string token_name(std::string_view bytes);

bool valid_utf8(std::string_view bytes);

// Characters that start in the bytes.
size_t characters(std::string_view bytes);

} // namespace troupe::server
