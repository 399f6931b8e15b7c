// The seam between requests and the model's text side: tokenizer and chat template.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::server {

// A conversation as the client sent it, each part already checked and again as JSON text.
struct chat_input {
  std::string messages_json;  // array of objects
  std::string tools_json;     // array, or empty
  std::string arguments_json; // object: chat_template_kwargs, or empty
  bool add_generation_prompt = true;
  std::optional<int64_t> created =
      std::nullopt; // what the template takes for now; absent: the clock's time
};

// Const calls are made from several threads at once.
class text_codec {
public:
  virtual ~text_codec() = default;
  virtual result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const = 0;
  virtual std::string decode(std::span<const int32_t> tokens, bool skip_special) const = 0;
  // What one token stands for; may be part of a UTF-8 character.
  virtual std::string token_bytes(int32_t token) const = 0;
  // The conversation as the model was trained to see it; not_found when the model has no template.
  virtual result<std::string> render_chat(const chat_input& input) const = 0;
};

} // namespace troupe::server
