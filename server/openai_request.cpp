// The request bodies of the OpenAI routes and of /tokenize and /detokenize, field by field.
#include "server/openai_request.hpp"

#include "base/text.hpp"
#include "server/openai_fields.hpp"

namespace troupe::server {
namespace {

constexpr int64_t tokens_any = INT32_MAX; // the context length is checked once the prompt is known

// The list of prompts in a list of strings or of token lists.
void read_prompt_list(json_fields& fields, const json_value& list, const request_rules& rules,
                      std::vector<prompt_source>& out) {
  if (list.size() > rules.limits.prompts_max) {
    return fields.fail("prompt", text("may hold at most ", rules.limits.prompts_max,
                                      " prompts, got ", list.size()));
  }
  for (const json_value& entry : list) {
    if (entry.is_string() && list.front().is_string()) {
      out.emplace_back(entry.get<std::string>());
    } else if (entry.is_array() && list.front().is_array()) {
      auto tokens = read_tokens(fields, "prompt", entry, rules);
      if (!tokens) return;
      out.emplace_back(std::move(*tokens));
    } else {
      return fields.fail("prompt",
                         text("must be a string, a list of strings, a list of token ids or "
                              "a list of lists of token ids; one entry is ",
                              shown(entry)));
    }
  }
}

void read_prompt(json_fields& fields, const request_rules& rules, answer_request& out) {
  const json_value* value = fields.find("prompt");
  if (!fields.ok()) return;
  if (value == nullptr) return fields.fail("prompt", "is required");
  if (value->is_string()) {
    out.prompts.emplace_back(value->get<std::string>());
  } else if (!value->is_array()) {
    fields.fail("prompt", text("must be a string or a list, got ", shown(*value)));
  } else if (value->empty()) {
    fields.fail("prompt", "must not be an empty list");
  } else if (value->front().is_number()) {
    if (auto tokens = read_tokens(fields, "prompt", *value, rules)) {
      out.prompts.emplace_back(std::move(*tokens));
    }
  } else {
    read_prompt_list(fields, *value, rules, out.prompts);
  }
}

void read_completion_logprobs(json_fields& fields, const request_rules& rules,
                              answer_request& out) {
  if (auto top = fields.integer("logprobs", 0, rules.limits.logprobs_max)) {
    out.generation.top_logprobs = static_cast<uint32_t>(*top);
  }
  out.generation.prompt_logprobs = out.echo && out.generation.top_logprobs.has_value();
}

void read_chat_logprobs(json_fields& fields, const request_rules& rules, answer_request& out) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, rules.limits.logprobs_max);
  if (top.value_or(0) > 0 && !wanted) {
    fields.fail("top_logprobs", text("needs logprobs to be true, got top_logprobs ", *top));
  }
  if (wanted) out.generation.top_logprobs = static_cast<uint32_t>(top.value_or(0));
}

void read_chat_tokens_max(json_fields& fields, answer_request& out) {
  const auto now = fields.integer("max_completion_tokens", 1, tokens_any);
  const auto before = fields.integer("max_tokens", 1, tokens_any);
  if (now || before) out.tokens_max = static_cast<uint32_t>(now.value_or(before.value_or(0)));
}

void check_sequences(json_fields& fields, const request_rules& rules, const answer_request& in) {
  const uint64_t sequences = uint64_t{in.prompts.size()} * in.generation.choices;
  if (sequences <= rules.limits.sequences_max) return;
  fields.fail("n", text("times the number of prompts must be at most ", rules.limits.sequences_max,
                        ", got ", in.generation.choices, " times ", in.prompts.size()));
}

json_limits json_limits_of(const request_rules& rules) {
  return {.depth_max = rules.limits.json_depth_max, .members_max = rules.limits.json_members_max};
}

template <class T>
api_result<T> outcome(const json_fields& fields, T&& value) {
  if (!fields.ok()) return refuse(fields.error());
  return std::forward<T>(value);
}

} // namespace

api_result<answer_request> parse_completion(std::string_view body, const request_rules& rules) {
  auto object = parse_object(body, json_limits_of(rules));
  if (!object) return refuse(std::move(object.error()));
  json_fields fields(*object);
  answer_request out;
  read_model(fields, rules);
  refuse_unsupported(fields);
  read_prompt(fields, rules, out);
  read_common(fields, rules, out);
  check_sequences(fields, rules, out);
  out.echo = fields.boolean("echo").value_or(false);
  // With 0 nothing is generated; together with echo and logprobs the prompt is scored.
  if (auto tokens = fields.integer("max_tokens", 0, tokens_any)) {
    out.tokens_max = static_cast<uint32_t>(*tokens);
  }
  read_completion_logprobs(fields, rules, out);
  read_sampling(fields, rules, out);
  read_stopping(fields, rules, out);
  out.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  read_constraint(fields, out);
  return outcome(fields, std::move(out));
}

api_result<answer_request> parse_chat(std::string_view body, const request_rules& rules) {
  auto object = parse_object(body, json_limits_of(rules));
  if (!object) return refuse(std::move(object.error()));
  json_fields fields(*object);
  answer_request out;
  out.chat = true;
  read_model(fields, rules);
  refuse_unsupported(fields);
  read_conversation(fields, rules, out);
  read_common(fields, rules, out);
  read_chat_tokens_max(fields, out);
  read_chat_logprobs(fields, rules, out);
  read_sampling(fields, rules, out);
  read_stopping(fields, rules, out);
  if (fields.boolean("echo").value_or(false)) {
    fields.fail(unsupported_field("echo", "echo is not supported for chat; use /v1/completions"));
  }
  read_constraint(fields, out);
  return outcome(fields, std::move(out));
}

api_result<tokenize_request> parse_tokenize(std::string_view body, const request_rules& rules) {
  auto object = parse_object(body, json_limits_of(rules));
  if (!object) return refuse(std::move(object.error()));
  json_fields fields(*object);
  tokenize_request out;
  read_model(fields, rules);
  out.source.chat = fields.find("messages") != nullptr;
  if (out.source.chat) {
    read_conversation(fields, rules, out.source);
  } else {
    const json_value* prompt = fields.find("prompt");
    if (prompt == nullptr) {
      fields.fail("prompt", "is required (or messages, for a conversation)");
    } else if (!prompt->is_string()) {
      fields.fail("prompt", text("must be a string, got ", shown(*prompt)));
    } else {
      out.source.prompts.emplace_back(prompt->get<std::string>());
    }
    out.source.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  }
  out.token_texts = fields.boolean("return_token_strs").value_or(false);
  return outcome(fields, std::move(out));
}

api_result<std::vector<int32_t>> parse_detokenize(std::string_view body,
                                                  const request_rules& rules) {
  auto object = parse_object(body, json_limits_of(rules));
  if (!object) return refuse(std::move(object.error()));
  json_fields fields(*object);
  read_model(fields, rules);
  std::vector<int32_t> out;
  if (const json_value* tokens = fields.find("tokens")) {
    out = read_tokens(fields, "tokens", *tokens, rules).value_or(std::vector<int32_t>{});
  } else {
    fields.fail("tokens", "is required: a list of token ids");
  }
  return outcome(fields, std::move(out));
}

} // namespace troupe::server
