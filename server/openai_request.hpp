// From the JSON of a client to what the engine is asked to do. Pure: no socket, no clock, no
// engine.
#pragma once

#include "dataflow/request.hpp"
#include "server/api_error.hpp"
#include "server/limits.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::server {

// Sampling when the request does not say otherwise (the model's generation_config.json).
struct sampling_defaults {
  float temperature = 1;
  uint32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  std::optional<uint32_t> tokens_max; // of an answer, where the API has no default of its own
};

// What requests are checked against.
struct request_rules {
  request_limits limits;
  std::string model_name; // the one a request has to name
  uint32_t positions_max = 0;
  uint32_t vocabulary = 0;
  sampling_defaults defaults;
};

// Whether the answer of a chat is calls of tools, which its constraint then sees to.
struct tool_demand {
  enum class kind : uint8_t { none, one, some };
  kind what = kind::none;
  std::string name; // one: of the tool; the text is its arguments. some: the text lists calls
};

using prompt_source = std::variant<std::string, std::vector<int32_t>>;

// A checked request before its text has become tokens.
struct answer_request {
  bool chat = false;
  std::vector<prompt_source> prompts; // completions
  std::string messages_json;          // chat
  std::string tools_json;
  tool_demand calls;
  std::string template_arguments_json;
  bool add_generation_prompt = true;
  bool continue_final_message = false;
  std::string final_message; // the content to be continued
  bool add_special_tokens = true;

  dataflow::generation_request generation; // all but id, prompt, deadline; tokens_max once prepared
  std::optional<uint32_t> tokens_max;      // absent: the API's default
  std::optional<uint64_t> seed;
  std::optional<int64_t> truncate_prompt_tokens; // -1: as much as fits
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;
  std::optional<bool> event_ids; // an `id:` line with every event; absent: the server's default
  std::string request_id;        // the client's, or empty
};

api_result<answer_request> parse_completion(std::string_view body, const request_rules& rules);
api_result<answer_request> parse_chat(std::string_view body, const request_rules& rules);

// 404: requests may name only the model that is served.
api_error unknown_model(std::string_view name, const request_rules& rules);

struct tokenize_request {
  answer_request source; // its one prompt, or its messages
  bool token_texts = false;
};
api_result<tokenize_request> parse_tokenize(std::string_view body, const request_rules& rules);

api_result<std::vector<int32_t>> parse_detokenize(std::string_view body,
                                                  const request_rules& rules);

} // namespace troupe::server
