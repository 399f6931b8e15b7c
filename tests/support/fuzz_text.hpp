// What a fuzz target does with arbitrary bytes as a tokenizer.json or a chat template; it must only
// not crash.
#pragma once

#include "model/chat_template.hpp"
#include "model/stream_decoder.hpp"
#include "model/tokenizer.hpp"

#include <string_view>

namespace troupe::model {

inline void try_tokenizer_bytes(std::string_view bytes) {
  const auto made = tokenizer::parse(bytes, "tokenizer.json", bytes, "tokenizer_config.json");
  if (!made) return;
  const auto ids = made->encode("Hello  wörld <|eot_id|>\n 123 \xF0\x9F\x98\x80");
  if (!ids) return;
  stream_decoder decoder(*made, true);
  std::string joined;
  for (const int32_t id : *ids) {
    joined += decoder.push(id);
    made->token_bytes(id);
  }
  joined += decoder.finish();
}

inline void try_chat_template_bytes(std::string_view bytes) {
  const auto made = chat_template::parse(bytes, "chat_template.jinja");
  if (!made) return;
  chat_inputs inputs;
  auto messages = parse_template_value(
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
          {"role": "assistant", "content": null, "tool_calls": [{"id": "abcdefgh1", "type": "function",
           "function": {"name": "f", "arguments": {"a": 1}}}]}, {"role": "tool", "content": "r"}])",
      "messages");
  if (messages) inputs.messages = std::move(*messages);
  inputs.tools = inputs.messages;
  inputs.now_unix_s = 0;
  static_cast<void>(made->render(
      inputs, {.steps_max = 100'000, .bytes_max = 1 << 20, .output_bytes_max = 1 << 20}));
}

} // namespace troupe::model
