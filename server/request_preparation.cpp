// Turning text into tokens and checking that they fit.
#include "server/request_preparation.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace troupe::server {
namespace {

constexpr uint32_t completion_tokens_default = 16; // OpenAI's

const char* prompt_field(const answer_request& request) {
  return request.chat ? "messages" : "prompt";
}

api_error too_long(const answer_request& request, uint32_t positions, size_t prompt,
                   uint32_t wanted) {
  api_error error = invalid_field(
      prompt_field(request),
      text("this model's maximum context length is ", positions, " tokens, but ", prompt + wanted,
           " were requested: ", prompt, " in the ", prompt_field(request), " and ", wanted,
           " for the answer; shorten the ", prompt_field(request), " or ask for fewer tokens"));
  error.code = "context_length_exceeded";
  return error;
}

// What the template adds after the last message (end of turn) is cut, so that the model goes on
// there.
api_result<std::string> cut_after_final(std::string rendered, const answer_request& request) {
  std::string_view last = request.final_message;
  const auto trim = [](std::string_view in) {
    const size_t end = in.find_last_not_of(" \t\r\n");
    return end == std::string_view::npos ? std::string_view{} : in.substr(0, end + 1);
  };
  size_t at = rendered.rfind(last);
  if (at == std::string::npos) { // templates like to trim
    last = trim(last);
    last.remove_prefix(std::min(last.find_first_not_of(" \t\r\n"), last.size()));
    at = last.empty() ? std::string::npos : rendered.rfind(last);
  }
  if (at == std::string::npos) {
    return refuse(invalid_field("continue_final_message",
                                "the chat template does not show the last message unchanged, so it "
                                "cannot be continued"));
  }
  rendered.resize(at + last.size());
  return rendered;
}

api_result<std::string> render(const answer_request& request, const text_codec& codec,
                               std::optional<int64_t> created = std::nullopt) {
  auto rendered = codec.render_chat({.messages_json = request.messages_json,
                                     .tools_json = request.tools_json,
                                     .arguments_json = request.template_arguments_json,
                                     .add_generation_prompt = request.add_generation_prompt,
                                     .created = created});
  if (!rendered) {
    // Whatever the template refuses, it refuses because of the messages.
    return refuse(invalid_field("messages", rendered.error().why()));
  }
  if (!request.continue_final_message) return std::move(*rendered);
  return cut_after_final(std::move(*rendered), request);
}

api_result<std::vector<int32_t>> encode(std::string_view content, const answer_request& request,
                                        const text_codec& codec) {
  auto tokens = codec.encode(content, request.add_special_tokens);
  if (!tokens) return refuse(invalid_field(prompt_field(request), tokens.error().why()));
  return std::move(*tokens);
}

// Cuts the front of the prompt when the client asked for that. True when something was cut.
bool truncate(const answer_request& request, uint32_t room, std::vector<int32_t>& tokens) {
  if (!request.truncate_prompt_tokens) return false;
  const size_t keep = *request.truncate_prompt_tokens < 0
                          ? room
                          : static_cast<size_t>(*request.truncate_prompt_tokens);
  if (tokens.size() <= keep) return false;
  tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(keep));
  return true;
}

// How many tokens the answer may have, or why the prompt does not fit.
api_result<uint32_t> answer_tokens(const answer_request& request, const request_rules& rules,
                                   size_t prompt) {
  const uint32_t positions = rules.positions_max;
  const uint32_t least = request.tokens_max.value_or(1);
  if (prompt == 0) {
    return refuse(
        invalid_field(prompt_field(request),
                      text(prompt_field(request), " must not be empty: it has no tokens")));
  }
  if (prompt > positions || least > positions - prompt) {
    return refuse(too_long(request, positions, prompt, least));
  }
  if (request.tokens_max) return *request.tokens_max;
  const uint32_t room = positions - static_cast<uint32_t>(prompt);
  const uint32_t wanted =
      request.chat ? rules.defaults.tokens_max.value_or(room) : completion_tokens_default;
  return std::clamp(wanted, 1u, room);
}

struct tokenized_prompt {
  std::vector<int32_t> tokens;
  std::string echo;
};

api_result<tokenized_prompt> tokenize(const prompt_source& source, const answer_request& request,
                                      const preparation_args& args) {
  tokenized_prompt out;
  const auto* content = std::get_if<std::string>(&source);
  if (content != nullptr) {
    auto tokens = encode(*content, request, args.codec);
    if (!tokens) return refuse(std::move(tokens.error()));
    out.tokens = std::move(*tokens);
  } else {
    out.tokens = std::get<std::vector<int32_t>>(source);
  }
  const uint32_t positions = args.rules.positions_max;
  const uint32_t room = positions - std::min(positions, request.tokens_max.value_or(1));
  const bool cut = truncate(request, room, out.tokens);
  if (request.echo) {
    out.echo = content != nullptr && !cut ? *content : args.codec.decode(out.tokens, false);
  }
  return out;
}

api_result<tokenized_prompt> tokenize_chat(const answer_request& request,
                                           const preparation_args& args) {
  auto rendered = render(request, args.codec, args.created);
  if (!rendered) return refuse(std::move(rendered.error()));
  return tokenize(std::move(*rendered), request, args);
}

} // namespace

api_result<std::vector<int32_t>> tokens_of(const answer_request& request, const text_codec& codec) {
  if (!request.chat) return encode(std::get<std::string>(request.prompts.front()), request, codec);
  auto rendered = render(request, codec);
  if (!rendered) return refuse(std::move(rendered.error()));
  return encode(*rendered, request, codec);
}

api_result<prepared_request> prepare(const answer_request& request, const preparation_args& args) {
  prepared_request out;
  const size_t count = request.chat ? 1 : request.prompts.size();
  for (size_t i = 0; i < count; ++i) {
    auto prompt =
        request.chat ? tokenize_chat(request, args) : tokenize(request.prompts[i], request, args);
    if (!prompt) return refuse(std::move(prompt.error()));
    auto tokens_max = answer_tokens(request, args.rules, prompt->tokens.size());
    if (!tokens_max) return refuse(std::move(tokens_max.error()));
    dataflow::generation_request generation = request.generation;
    generation.tokens_max = *tokens_max;
    if (generation.tokens_min > *tokens_max) {
      return refuse(invalid_field(
          "min_tokens", text("min_tokens must not exceed the ", *tokens_max,
                             " tokens the answer may have, got ", generation.tokens_min)));
    }
    generation.prompt = std::move(prompt->tokens);
    generation.sampling.seed = request.seed ? *request.seed : args.seeds();
    out.generations.push_back(std::move(generation));
    out.echoes.push_back(std::move(prompt->echo));
  }
  return out;
}

} // namespace troupe::server
