// Answers of the OpenAI API from the engine's events.
#include "server/openai_response.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "server/openai_logprobs.hpp"
#include "server/sse.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::server {
namespace {

using dataflow::finish_reason;
using dataflow::stream_event;
using dataflow::token_record;

const char* name_of(finish_reason reason) {
  return reason == finish_reason::length ? "length" : "stop"; // the others never get here
}

json_value stop_reason(const std::string& stopped_by) {
  return stopped_by.empty() ? json_value(nullptr) : json_value(stopped_by);
}

json_value usage_of(const answer_progress& progress) {
  return json_value{{"prompt_tokens", progress.prompt_tokens()},
                    {"completion_tokens", progress.completion_tokens()},
                    {"total_tokens", progress.prompt_tokens() + progress.completion_tokens()},
                    {"prompt_tokens_details", {{"cached_tokens", progress.cached_tokens()}}}};
}

json_value envelope(const answer_shape& shape, const char* object) {
  return json_value{{"id", shape.id},
                    {"object", object},
                    {"created", shape.created},
                    {"model", shape.model},
                    {"system_fingerprint", shape.fingerprint}};
}

std::string chunk(const answer_shape& shape, json_value choices, const answer_progress& progress) {
  json_value out = envelope(shape, shape.chat ? "chat.completion.chunk" : "text_completion");
  out["choices"] = std::move(choices);
  if (shape.continuous_usage) out["usage"] = usage_of(progress);
  return dump(out);
}

json_value logprobs_of(const answer_shape& shape, std::span<const token_record> tokens,
                       size_t& text_offset) {
  if (!shape.logprobs || tokens.empty()) return nullptr;
  return shape.chat ? chat_logprobs(tokens, *shape.codec)
                    : completion_logprobs(tokens, *shape.codec, text_offset);
}

// One entry of a chunk's choices: more text.
json_value text_choice(const answer_shape& shape, size_t index, const std::string& content,
                       json_value logprobs) {
  if (shape.chat) {
    return json_value{{"index", index},
                      {"delta", {{"content", content}}},
                      {"logprobs", std::move(logprobs)},
                      {"finish_reason", nullptr}};
  }
  return json_value{{"index", index},
                    {"text", content},
                    {"logprobs", std::move(logprobs)},
                    {"finish_reason", nullptr},
                    {"stop_reason", nullptr}};
}

api_error ended_early(const char* code, const char* message, int http_status) {
  api_error error;
  error.http_status = http_status;
  error.type = "server_error";
  error.message = message;
  error.code = code;
  return error;
}

} // namespace

std::optional<api_error> failure_of(const stream_event& event) {
  if (event.what == stream_event::kind::failed) {
    if (!event.why.ok()) return error_of(event.why);
    return ended_early("failed", "the request failed", 500);
  }
  if (event.what != stream_event::kind::finished) return std::nullopt;
  switch (event.reason) {
    case finish_reason::stop:
    case finish_reason::length:
      return std::nullopt;
    case finish_reason::cancelled:
      return error_of(
          status(status_code::cancelled, "the server ended this request before it was done"));
    case finish_reason::deadline:
      return error_of(status(status_code::timed_out,
                             "the answer could not be finished before the request's deadline"));
    case finish_reason::failed:
      break;
  }
  if (!event.why.ok()) return error_of(event.why);
  return ended_early("failed", "the answer could not be computed", 500);
}

answer_progress::answer_progress(const answer_shape& shape)
    : prompts_(shape.prompt_tokens.size()), completion_tokens_(shape.prompt_tokens.size()) {
  prompt_tokens_ =
      std::accumulate(shape.prompt_tokens.begin(), shape.prompt_tokens.end(), uint64_t{0});
}

void answer_progress::add(size_t prompt, const stream_event& event) {
  TROUPE_CHECK(prompt < prompts_);
  if (event.what == stream_event::kind::text) completion_tokens_[prompt] += event.tokens.size();
  if (event.what != stream_event::kind::completed) return;
  ++completed_;
  cached_tokens_ += event.cached_tokens;
  completion_tokens_[prompt] = event.completion_tokens;
}

uint64_t answer_progress::completion_tokens() const {
  return std::accumulate(completion_tokens_.begin(), completion_tokens_.end(), uint64_t{0});
}

stream_answer::stream_answer(answer_shape shape)
    : shape_(std::move(shape)),
      progress_(shape_),
      choices_(shape_.prompt_tokens.size() * shape_.choices) {}

std::string stream_answer::frame(std::string data) {
  ++event_id_;
  return sse_event(data, shape_.event_ids ? event_id_ : 0);
}

stream_answer::choice_state& stream_answer::state_of(size_t prompt, uint32_t choice) {
  TROUPE_CHECK(choice < shape_.choices);
  return choices_[prompt * shape_.choices + choice];
}

std::string stream_answer::begin() {
  std::string out;
  if (shape_.chat) {
    for (size_t index = 0; index < choices_.size(); ++index) {
      json_value choice{{"index", index},
                        {"delta", {{"role", "assistant"}, {"content", ""}}},
                        {"logprobs", nullptr},
                        {"finish_reason", nullptr}};
      out += frame(chunk(shape_, json_value::array({std::move(choice)}), progress_));
    }
  } else if (shape_.echo && !shape_.prompt_logprobs) {
    for (size_t prompt = 0; prompt < shape_.echoes.size(); ++prompt) out += echo_events(prompt, {});
  }
  return out;
}

std::string stream_answer::echo_events(size_t prompt, const std::vector<token_record>& scored) {
  std::string out;
  for (uint32_t i = 0; i < shape_.choices; ++i) {
    choice_state& state = state_of(prompt, i);
    json_value logprobs = logprobs_of(shape_, scored, state.text_offset);
    if (scored.empty()) state.text_offset = characters(shape_.echoes[prompt]);
    json_value choice = text_choice(shape_, prompt * shape_.choices + i, shape_.echoes[prompt],
                                    std::move(logprobs));
    out += frame(chunk(shape_, json_value::array({std::move(choice)}), progress_));
  }
  return out;
}

std::string stream_answer::text_event(size_t prompt, const stream_event& event) {
  const bool says_something = !event.text.empty() || (shape_.logprobs && !event.tokens.empty());
  if (!says_something) return {};
  json_value logprobs =
      logprobs_of(shape_, event.tokens, state_of(prompt, event.choice).text_offset);
  json_value choice =
      text_choice(shape_, prompt * shape_.choices + event.choice, event.text, std::move(logprobs));
  return frame(chunk(shape_, json_value::array({std::move(choice)}), progress_));
}

std::string stream_answer::finish_event(size_t prompt, const stream_event& event) {
  json_value choice = text_choice(shape_, prompt * shape_.choices + event.choice, "", nullptr);
  if (shape_.chat) choice["delta"] = json_value::object();
  choice["finish_reason"] = name_of(event.reason);
  choice["stop_reason"] = stop_reason(event.stopped_by);
  return frame(chunk(shape_, json_value::array({std::move(choice)}), progress_));
}

std::string stream_answer::add(size_t prompt, const stream_event& event) {
  progress_.add(prompt, event);
  switch (event.what) {
    case stream_event::kind::prompt_scored:
      return shape_.prompt_logprobs ? echo_events(prompt, event.tokens) : std::string();
    case stream_event::kind::text:
      return text_event(prompt, event);
    case stream_event::kind::finished:
      return finish_event(prompt, event);
    case stream_event::kind::completed:
    case stream_event::kind::failed:
      break;
  }
  return {};
}

std::string stream_answer::end() {
  std::string out;
  if (shape_.include_usage) {
    // In a chunk of its own without choices: load generators look for it there and nowhere else.
    json_value last = envelope(shape_, shape_.chat ? "chat.completion.chunk" : "text_completion");
    last["choices"] = json_value::array();
    last["usage"] = usage_of(progress_);
    out += frame(dump(last));
  }
  out += sse_done;
  return out;
}

std::string stream_answer::fail(const api_error& error) {
  return frame(error_body(error));
}

whole_answer::whole_answer(answer_shape shape)
    : shape_(std::move(shape)),
      progress_(shape_),
      choices_(shape_.prompt_tokens.size() * shape_.choices),
      scored_(shape_.prompt_tokens.size()) {}

void whole_answer::add(size_t prompt, const stream_event& event) {
  progress_.add(prompt, event);
  if (event.what == stream_event::kind::prompt_scored) {
    if (shape_.prompt_logprobs) scored_[prompt] = event.tokens;
    return;
  }
  TROUPE_CHECK(event.choice < shape_.choices);
  choice_state& choice = choices_[prompt * shape_.choices + event.choice];
  if (event.what == stream_event::kind::text) {
    choice.text += event.text;
    if (shape_.logprobs) {
      choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
    }
  } else if (event.what == stream_event::kind::finished) {
    choice.reason = event.reason;
    choice.stopped_by = event.stopped_by;
  }
}

std::string whole_answer::body() const {
  json_value out = envelope(shape_, shape_.chat ? "chat.completion" : "text_completion");
  json_value choices = json_value::array();
  for (size_t index = 0; index < choices_.size(); ++index) {
    const choice_state& from = choices_[index];
    const size_t prompt = index / shape_.choices;
    const std::string echo = shape_.echo ? shape_.echoes[prompt] : "";
    std::vector<token_record> tokens = scored_[prompt];
    tokens.insert(tokens.end(), from.tokens.begin(), from.tokens.end());
    size_t text_offset = scored_[prompt].empty() ? characters(echo) : 0;
    json_value choice{{"index", index}};
    if (shape_.chat) {
      choice["message"] = {{"role", "assistant"}, {"content", from.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = echo + from.text;
    }
    choice["logprobs"] = logprobs_of(shape_, tokens, text_offset);
    choice["finish_reason"] = name_of(from.reason);
    choice["stop_reason"] = stop_reason(from.stopped_by);
    choices.push_back(std::move(choice));
  }
  out["choices"] = std::move(choices);
  out["usage"] = usage_of(progress_);
  return dump(out);
}

} // namespace troupe::server
