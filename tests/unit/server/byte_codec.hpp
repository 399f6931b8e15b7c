// A codec a test can compute in its head: one token per byte, 256 before a text, 257 at its end.
#pragma once

#include "server/text_codec.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace troupe::server {

inline constexpr uint32_t byte_vocabulary = 258;
inline constexpr int32_t byte_bos = 256;

class byte_codec final : public text_codec {
public:
  result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const override {
    std::vector<int32_t> out;
    if (add_special) out.push_back(byte_bos);
    for (char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::string decode(std::span<const int32_t> tokens, bool skip_special) const override {
    std::string out;
    for (int32_t token : tokens) {
      if (token < 256 || !skip_special) out += token_bytes(token);
    }
    return out;
  }
  std::string token_bytes(int32_t token) const override {
    if (token < 256) return std::string(1, static_cast<char>(token));
    return token == byte_bos ? "<s>" : "</s>";
  }
  // "[user]Hi[end][assistant]"; a message with the role "bad" is refused.
  result<std::string> render_chat(const chat_input& input) const override {
    std::string out;
    for (const auto& message : nlohmann::json::parse(input.messages_json)) {
      if (message["role"] == "bad") {
        return fail(status_code::invalid_argument, "the template refuses the role bad");
      }
      out += "[" + message["role"].get<std::string>() + "]" +
             message.value("content", std::string()) + "[end]";
    }
    if (!input.tools_json.empty()) out = "[tools]" + input.tools_json + out;
    if (!input.arguments_json.empty()) out = "[arguments]" + input.arguments_json + out;
    if (input.add_generation_prompt) out += "[assistant]";
    return out;
  }
};

} // namespace troupe::server
