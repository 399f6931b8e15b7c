// Answers of the OpenAI API from the engine's events.
#include "server/openai_response.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "server/openai_logprobs.hpp"
#include "server/sse.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

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

// Everything of a chunk before its choices: the same for all, so rendered once.
std::string chunk_opening(const answer_shape& shape) {
  std::string out = dump(envelope(shape, shape.chat ? "chat.completion.chunk" : "text_completion"));
  out.pop_back();
  return out + ",\"choices\":[";
}

json_value logprobs_of(const answer_shape& shape, std::span<const token_record> tokens,
                       size_t& text_offset) {
  if (!shape.logprobs || tokens.empty()) return nullptr;
  return shape.chat ? chat_logprobs(tokens, *shape.codec)
                    : completion_logprobs(tokens, *shape.codec, text_offset);
}

// One entry of a chunk's choices; each part is JSON already. One is written for every token, so
// they are joined as text instead of being built as a tree first.
struct choice_parts {
  size_t index = 0;
  std::string content; // the text, or the delta of a chat
  std::string logprobs = "null";
  std::string_view finish_reason = "null";
  std::string stop_reason = "null";
};

std::string choice_json(const answer_shape& shape, const choice_parts& parts) {
  return text("{\"index\":", parts.index, shape.chat ? ",\"delta\":" : ",\"text\":", parts.content,
              ",\"logprobs\":", parts.logprobs, ",\"finish_reason\":", parts.finish_reason,
              ",\"stop_reason\":", parts.stop_reason, "}");
}

std::string content_json(const answer_shape& shape, const std::string& content) {
  const std::string quoted = dump(json_value(content));
  return shape.chat ? text("{\"content\":", quoted, "}") : quoted;
}

// The calls in an answer's text, or null when it is not complete.
json_value calls_in(const answer_shape& shape, size_t index, const std::string& content) {
  const json_value value = json_value::parse(content, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return nullptr;
  json_value out = json_value::array();
  const auto add = [&](const std::string& name, std::string arguments) {
    out.push_back({{"index", out.size()},
                   {"id", text("call_", shape.id, '-', index, '-', out.size())},
                   {"type", "function"},
                   {"function", {{"name", name}, {"arguments", std::move(arguments)}}}});
  };
  if (shape.calls.what == tool_demand::kind::one) {
    add(shape.calls.name, content);
    return out;
  }
  for (const json_value& call : value) // as the constraint has it
    if (call.is_object() && call.contains("name") && call["name"].is_string())
      add(call["name"].get<std::string>(), dump(call.value("arguments", json_value::object())));
  return out;
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
    : shape_(std::move(shape)), progress_(shape_), opening_(chunk_opening(shape_)) {
  position_.choices.resize(shape_.prompt_tokens.size() * shape_.choices);
  if (holds()) held_.resize(position_.choices.size());
  if (shape_.identity) ids_.emplace(*shape_.identity);
}

stream_answer::stream_answer(answer_shape shape, const stream_position& from)
    : stream_answer(std::move(shape)) {
  TROUPE_CHECK(from.choices.size() == position_.choices.size());
  position_ = from;
  for (size_t index = 0; index < from.choices.size(); ++index)
    progress_.add_received(index / shape_.choices, from.choices[index].tokens);
}

std::string stream_answer::frame(std::string_view data) const {
  return sse_event(data, ids_ ? (*ids_)(position_) : "");
}

std::string stream_answer::chunk(std::string_view choice) const {
  std::string out = opening_;
  out += choice;
  out += ']';
  if (shape_.continuous_usage) out += text(",\"usage\":", dump(usage_of(progress_)));
  out += '}';
  return frame(out);
}

choice_position& stream_answer::state_of(size_t prompt, uint32_t choice) {
  TROUPE_CHECK(choice < shape_.choices);
  return position_.choices[prompt * shape_.choices + choice];
}

std::string stream_answer::begin() {
  std::string out;
  if (shape_.chat) {
    for (size_t index = 0; index < position_.choices.size(); ++index) {
      if (std::exchange(position_.choices[index].opened, true)) continue;
      out += chunk(
          choice_json(shape_, {.index = index, .content = R"({"role":"assistant","content":""})"}));
    }
  } else if (shape_.echo && !shape_.prompt_logprobs) {
    for (size_t prompt = 0; prompt < shape_.echoes.size(); ++prompt) out += echo_events(prompt, {});
  }
  return out;
}

// Every choice gets the echo once, with whichever scores come first: they are all the same.
std::string stream_answer::echo_events(size_t prompt, const std::vector<token_record>& scored) {
  std::string out;
  for (uint32_t i = 0; i < shape_.choices; ++i) {
    choice_position& state = state_of(prompt, i);
    if (std::exchange(state.opened, true)) continue;
    size_t offset = state.text_offset;
    const std::string logprobs = dump(logprobs_of(shape_, scored, offset));
    state.text_offset = scored.empty() ? characters(shape_.echoes[prompt]) : offset;
    out += chunk(choice_json(shape_, {.index = prompt * shape_.choices + i,
                                      .content = content_json(shape_, shape_.echoes[prompt]),
                                      .logprobs = logprobs}));
  }
  return out;
}

void stream_answer::hold(size_t prompt, const stream_event& event) {
  held_call& held = held_[prompt * shape_.choices + event.choice];
  held.text += event.text;
  held.tokens += static_cast<uint32_t>(event.tokens.size());
}

// All in one event, the end included: there is no place in between to come back to.
std::string stream_answer::calls_event(size_t prompt, const stream_event& event) {
  const size_t index = prompt * shape_.choices + event.choice;
  const held_call held = std::move(held_[index]);
  choice_position& state = state_of(prompt, event.choice);
  state.tokens += held.tokens;
  state.text_bytes += held.text.size();
  state.finished = true;
  const bool length = event.reason == finish_reason::length;
  const json_value calls = length ? json_value(nullptr) : calls_in(shape_, index, held.text);
  return chunk(
      choice_json(shape_, {.index = index,
                           .content = calls.is_null() ? content_json(shape_, held.text)
                                                      : dump(json_value{{"tool_calls", calls}}),
                           .finish_reason = !calls.is_null() ? "\"tool_calls\""
                                            : length         ? "\"length\""
                                                             : "\"stop\"",
                           .stop_reason = dump(stop_reason(event.stopped_by))}));
}

std::string stream_answer::text_event(size_t prompt, const stream_event& event) {
  choice_position& state = state_of(prompt, event.choice);
  state.tokens += static_cast<uint32_t>(event.tokens.size());
  state.text_bytes += event.text.size();
  const bool scores = shape_.logprobs && !event.tokens.empty();
  if (event.text.empty() && !scores) return {};
  choice_parts parts{.index = prompt * shape_.choices + event.choice,
                     .content = content_json(shape_, event.text)};
  if (scores) {
    size_t offset = state.text_offset;
    parts.logprobs = dump(logprobs_of(shape_, event.tokens, offset));
    state.text_offset = offset;
  }
  return chunk(choice_json(shape_, parts));
}

std::string stream_answer::finish_event(size_t prompt, const stream_event& event) {
  state_of(prompt, event.choice).finished = true;
  return chunk(choice_json(
      shape_, {.index = prompt * shape_.choices + event.choice,
               .content = shape_.chat ? "{}" : "\"\"",
               .finish_reason = event.reason == finish_reason::length ? "\"length\"" : "\"stop\"",
               .stop_reason = dump(stop_reason(event.stopped_by))}));
}

std::string stream_answer::add(size_t prompt, const stream_event& event) {
  progress_.add(prompt, event);
  switch (event.what) {
    case stream_event::kind::prompt_scored:
      return shape_.prompt_logprobs ? echo_events(prompt, event.tokens) : std::string();
    case stream_event::kind::text:
      if (!holds()) return text_event(prompt, event);
      hold(prompt, event);
      return {};
    case stream_event::kind::finished:
      return holds() ? calls_event(prompt, event) : finish_event(prompt, event);
    case stream_event::kind::completed:
    case stream_event::kind::failed:
      break;
  }
  return {};
}

std::string stream_answer::end() {
  using tail_part = stream_position::tail_part;
  std::string out;
  if (shape_.include_usage && position_.tail == tail_part::none) {
    // In a chunk of its own without choices: load generators look for it there and nowhere else.
    json_value last = envelope(shape_, shape_.chat ? "chat.completion.chunk" : "text_completion");
    last["choices"] = json_value::array();
    last["usage"] = usage_of(progress_);
    position_.tail = tail_part::usage;
    out += frame(dump(last));
  }
  position_.tail = tail_part::done;
  out += frame(sse_end_mark);
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
    json_value calls;
    if (shape_.calls.what != tool_demand::kind::none && from.reason != finish_reason::length)
      calls = calls_in(shape_, index, from.text);
    if (!calls.is_null()) {
      for (json_value& call : calls) call.erase("index"); // of streams alone
      choice["message"] = {
          {"role", "assistant"}, {"content", nullptr}, {"refusal", nullptr}, {"tool_calls", calls}};
    } else if (shape_.chat) {
      choice["message"] = {{"role", "assistant"}, {"content", from.text}, {"refusal", nullptr}};
    } else {
      choice["text"] = echo + from.text;
    }
    choice["logprobs"] = logprobs_of(shape_, tokens, text_offset);
    choice["finish_reason"] = calls.is_null() ? name_of(from.reason) : "tool_calls";
    choice["stop_reason"] = stop_reason(from.stopped_by);
    choices.push_back(std::move(choice));
  }
  out["choices"] = std::move(choices);
  out["usage"] = usage_of(progress_);
  return dump(out);
}

} // namespace troupe::server
