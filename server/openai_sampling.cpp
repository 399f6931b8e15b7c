// Sampling, stopping and the fields all generating routes have in common.
#include "base/text.hpp"
#include "server/openai_fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace troupe::server {
namespace {

std::optional<int32_t> token_of(const json_value& value, uint32_t vocabulary) {
  const auto id = json_fields::integral(value);
  if (!id || *id < 0 || *id >= vocabulary) return std::nullopt;
  return static_cast<int32_t>(*id);
}

std::optional<int32_t> token_of(const std::string& key, uint32_t vocabulary) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc{} || end != key.data() + key.size() || id >= vocabulary)
    return std::nullopt;
  return static_cast<int32_t>(id);
}

void read_logit_bias(json_fields& fields, const request_rules& rules,
                     model::sampling_options& out) {
  const json_value* value = fields.find("logit_bias");
  if (value == nullptr) return;
  if (!value->is_object() || value->size() > rules.limits.logit_bias_max) {
    return fields.fail("logit_bias",
                       text("must be an object of at most ", rules.limits.logit_bias_max,
                            " entries from token id to bias, got ", shown(*value)));
  }
  for (const auto& [key, bias] : value->items()) {
    const auto token = token_of(key, rules.vocabulary);
    if (!token) {
      return fields.fail("logit_bias",
                         text("has the key ", in_quotes(key), ": token ids between 0 and ",
                              rules.vocabulary - 1, " are expected"));
    }
    // Written so that nothing but a number within the range passes.
    if (!bias.is_number() || !(bias.get<double>() >= -100 && bias.get<double>() <= 100)) {
      return fields.fail(
          "logit_bias",
          text("for token ", *token, " must be a number between -100 and 100, got ", shown(bias)));
    }
    out.logit_bias.emplace_back(*token, bias.get<float>());
  }
}

void read_stop_text(json_fields& fields, const json_value& value, const request_rules& rules,
                    std::vector<std::string>& out) {
  if (!value.is_string()) {
    return fields.fail("stop", text("must be a string or a list of strings, got ", shown(value)));
  }
  const auto& content = value.get_ref<const std::string&>();
  if (content.empty() || content.size() > rules.limits.stop_text_bytes_max) {
    return fields.fail("stop", text("strings must have 1 to ", rules.limits.stop_text_bytes_max,
                                    " bytes, got one of ", content.size()));
  }
  out.push_back(content);
}

void read_stop_texts(json_fields& fields, const request_rules& rules,
                     std::vector<std::string>& out) {
  const json_value* value = fields.find("stop");
  if (value == nullptr) return;
  if (!value->is_array()) return read_stop_text(fields, *value, rules, out);
  if (value->size() > rules.limits.stop_texts_max) {
    return fields.fail("stop", text("may list at most ", rules.limits.stop_texts_max,
                                    " strings, got ", value->size()));
  }
  for (const json_value& entry : *value) {
    read_stop_text(fields, entry, rules, out);
    if (!fields.ok()) return;
  }
}

void read_stop_ids(json_fields& fields, const request_rules& rules, std::vector<int32_t>& out) {
  const json_value* value = fields.find("stop_token_ids");
  if (value == nullptr) return;
  if (value->is_array() && value->size() > rules.limits.stop_ids_max) {
    return fields.fail("stop_token_ids", text("may list at most ", rules.limits.stop_ids_max,
                                              " ids, got ", value->size()));
  }
  if (auto ids = read_tokens(fields, "stop_token_ids", *value, rules)) out = std::move(*ids);
}

void read_stream_options(json_fields& fields, answer_request& out) {
  const json_value* value = fields.find("stream_options");
  if (value == nullptr) return;
  if (!value->is_object()) {
    return fields.fail("stream_options", text("must be an object, got ", shown(*value)));
  }
  if (!out.stream) return fields.fail("stream_options", "is only allowed when stream is true");
  json_fields options(*value, "stream_options.");
  out.include_usage = options.boolean("include_usage").value_or(false);
  out.continuous_usage = options.boolean("continuous_usage_stats").value_or(false);
  out.event_ids = options.boolean("include_event_ids");
  if (!options.ok()) fields.fail(options.error());
}

void read_best_of(json_fields& fields, const request_rules& rules, uint32_t choices) {
  const auto best_of = fields.integer("best_of", 1, rules.limits.choices_max);
  if (!best_of || *best_of == choices) return;
  fields.fail(
      unsupported_field("best_of", text("best_of must equal n (", choices, "), got ", *best_of,
                                        ": answers are not ranked here; ask for n and choose")));
}

// Whether a value asks for nothing: clients send such defaults along.
bool asks_for_nothing(const json_value& value) {
  return value == false || value == "" || value == 0 || value == json_value::array() ||
         value == json_value::object();
}

} // namespace

std::optional<std::vector<int32_t>> read_tokens(json_fields& fields, const char* name,
                                                const json_value& value,
                                                const request_rules& rules) {
  if (!value.is_array()) {
    fields.fail(name, text("must be a list of token ids, got ", shown(value)));
    return std::nullopt;
  }
  std::vector<int32_t> out;
  out.reserve(value.size());
  for (const json_value& entry : value) {
    const auto token = token_of(entry, rules.vocabulary);
    if (!token) {
      fields.fail(name, text("holds ", shown(entry), ": token ids between 0 and ",
                             rules.vocabulary - 1, " are expected"));
      return std::nullopt;
    }
    out.push_back(*token);
  }
  return out;
}

api_error unknown_model(std::string_view name, const request_rules& rules) {
  api_error error =
      invalid_field("model", text("the model ", in_quotes(name),
                                  " does not exist; this server has '", rules.model_name, "'"));
  error.http_status = 404;
  error.type = "not_found_error";
  error.code = "model_not_found";
  return error;
}

void read_model(json_fields& fields, const request_rules& rules) {
  const auto name = fields.string("model", std::numeric_limits<size_t>::max());
  if (name && *name != rules.model_name) fields.fail(unknown_model(*name, rules));
}

void refuse_unsupported(json_fields& fields) {
  static constexpr std::array names = {"suffix",
                                       "use_beam_search",
                                       "prompt_embeds",
                                       "allowed_token_ids",
                                       "bad_words",
                                       "grammar",
                                       "json_schema",
                                       "prompt_logprobs",
                                       "logits_processors",
                                       "functions",
                                       "function_call",
                                       "audio",
                                       "web_search_options",
                                       "repetition_detection",
                                       "kv_transfer_params",
                                       "thinking_token_budget"};
  for (const char* name : names) {
    const json_value* value = fields.find(name);
    if (value == nullptr || asks_for_nothing(*value)) continue;
    fields.fail(unsupported_field(name, text(name, " is not supported by this server")));
  }
}

void read_sampling(json_fields& fields, const request_rules& rules, answer_request& out) {
  model::sampling_options& to = out.generation.sampling;
  const sampling_defaults& defaults = rules.defaults;
  const auto or_default = [](std::optional<double> value, float otherwise) {
    return value ? static_cast<float>(*value) : otherwise;
  };
  to.temperature = or_default(fields.number("temperature", 0, 2), defaults.temperature);
  to.top_p = or_default(fields.number_above("top_p", 0, 1), defaults.top_p);
  to.min_p = or_default(fields.number("min_p", 0, 1), defaults.min_p);
  to.repetition_penalty =
      or_default(fields.number_above("repetition_penalty", 0, 10), defaults.repetition_penalty);
  to.presence_penalty = or_default(fields.number("presence_penalty", -2, 2), 0);
  to.frequency_penalty = or_default(fields.number("frequency_penalty", -2, 2), 0);
  const auto top_k = fields.integer("top_k", -1, INT32_MAX);
  to.top_k = top_k ? static_cast<uint32_t>(std::max<int64_t>(*top_k, 0)) : defaults.top_k;
  read_logit_bias(fields, rules, to);
  if (auto seed = fields.integer("seed", INT64_MIN, INT64_MAX)) {
    out.seed = static_cast<uint64_t>(*seed);
  }
}

void read_stopping(json_fields& fields, const request_rules& rules, answer_request& out) {
  dataflow::generation_request& to = out.generation;
  read_stop_texts(fields, rules, to.stop_texts);
  read_stop_ids(fields, rules, to.stop_ids);
  to.include_stop_text = fields.boolean("include_stop_str_in_output").value_or(false);
  to.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  to.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  to.tokens_min = static_cast<uint32_t>(fields.integer("min_tokens", 0, INT32_MAX).value_or(0));
  if (out.tokens_max && to.tokens_min > *out.tokens_max) {
    fields.fail("min_tokens",
                text("must not exceed max_tokens (", *out.tokens_max, "), got ", to.tokens_min));
  }
}

void read_common(json_fields& fields, const request_rules& rules, answer_request& out) {
  const request_limits& limits = rules.limits;
  out.generation.choices =
      static_cast<uint32_t>(fields.integer("n", 1, limits.choices_max).value_or(1));
  read_best_of(fields, rules, out.generation.choices);
  out.stream = fields.boolean("stream").value_or(false);
  read_stream_options(fields, out);
  fields.string("user", limits.name_bytes_max);
  out.generation.priority =
      static_cast<int32_t>(fields.integer("priority", INT32_MIN, INT32_MAX).value_or(0));
  out.generation.cache_salt = fields.string("cache_salt", limits.name_bytes_max).value_or("");
  out.request_id = fields.string("request_id", limits.name_bytes_max).value_or("");
  for (char c : out.request_id) { // it is repeated in logs and answers
    if (c <= ' ' || c >= '\x7f') {
      fields.fail("request_id", "must consist of printable ASCII characters without spaces");
      break;
    }
  }
  out.truncate_prompt_tokens = fields.integer("truncate_prompt_tokens", -1, rules.positions_max);
  if (out.truncate_prompt_tokens == 0) {
    fields.fail("truncate_prompt_tokens", "must be -1 or at least 1, got 0");
  }
}

} // namespace troupe::server
