// Log-probabilities as the OpenAI API spells them.
#include "server/openai_logprobs.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::server {
namespace {

constexpr double logprob_min = -9999; // JSON has no infinity; vLLM clamps here too

double number_of(float logprob) {
  return std::isnan(logprob) ? logprob_min : std::max<double>(logprob, logprob_min);
}

json_value bytes_of(std::string_view bytes) {
  json_value out = json_value::array();
  for (char c : bytes) out.push_back(static_cast<unsigned char>(c));
  return out;
}

// The best tokens by name, the chosen one among them.
json_value top_by_name(const dataflow::token_record& record, const text_codec& codec) {
  json_value out = json_value::object();
  for (const auto& entry : record.top) {
    const std::string name = token_name(codec.token_bytes(entry.token));
    if (!out.contains(name)) out[name] = number_of(entry.logprob); // best first
  }
  const std::string own = token_name(codec.token_bytes(record.token));
  if (!out.contains(own)) out[own] = number_of(record.logprob);
  return out;
}

json_value chat_entry(const std::string& bytes, float logprob) {
  return json_value{{"token", bytes}, {"logprob", number_of(logprob)}, {"bytes", bytes_of(bytes)}};
}

// Length of the well-formed character at the start, or 0.
size_t character_length(std::string_view in) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(in[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || in.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond the last plane.
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

} // namespace

bool valid_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = character_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

size_t characters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string token_name(std::string_view bytes) {
  if (valid_utf8(bytes)) return std::string(bytes);
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "bytes:";
  for (char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    out += "\\x";
    out += digits[value >> 4];
    out += digits[value & 15];
  }
  return out;
}

json_value completion_logprobs(std::span<const dataflow::token_record> tokens,
                               const text_codec& codec, size_t& text_offset) {
  json_value names = json_value::array();
  json_value own = json_value::array();
  json_value top = json_value::array();
  json_value offsets = json_value::array();
  for (const auto& record : tokens) {
    const std::string bytes = codec.token_bytes(record.token);
    names.push_back(token_name(bytes));
    own.push_back(record.scored ? json_value(number_of(record.logprob)) : json_value(nullptr));
    top.push_back(record.scored ? top_by_name(record, codec) : json_value(nullptr));
    offsets.push_back(text_offset);
    text_offset += characters(bytes);
  }
  return json_value{{"tokens", std::move(names)},
                    {"token_logprobs", std::move(own)},
                    {"top_logprobs", std::move(top)},
                    {"text_offset", std::move(offsets)}};
}

json_value chat_logprobs(std::span<const dataflow::token_record> tokens, const text_codec& codec) {
  json_value content = json_value::array();
  for (const auto& record : tokens) {
    json_value entry = chat_entry(codec.token_bytes(record.token), record.logprob);
    json_value top = json_value::array();
    for (const auto& other : record.top) {
      top.push_back(chat_entry(codec.token_bytes(other.token), other.logprob));
    }
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return json_value{{"content", std::move(content)}};
}

} // namespace troupe::server
