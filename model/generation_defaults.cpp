// Reads generation_config.json.
#include "model/generation_defaults.hpp"

#include "model/config_fields.hpp"
#include "model/json_document.hpp"

namespace troupe::model {
namespace {

std::optional<float> small_number(config_fields& fields, std::string_view name, double most) {
  const auto value = fields.optional_number(name, 0, most);
  return value ? std::optional<float>(static_cast<float>(*value)) : std::nullopt;
}

std::optional<uint32_t> count(config_fields& fields, std::string_view name) {
  if (!fields.given(name)) return std::nullopt;
  return fields.size(name, 0, 0, INT32_MAX);
}

std::optional<int32_t> single_id(config_fields& fields, std::string_view name) {
  const auto ids = fields.ids(name);
  return ids.empty() ? std::nullopt : std::optional<int32_t>(ids.front());
}

} // namespace

result<generation_defaults> parse_generation_config(std::string_view json_text,
                                                    std::string_view file) {
  const auto document = parse_json_object(json_text, file);
  if (!document) return fail(document.error());
  status first;
  config_fields fields(*document, file, first);
  generation_defaults out;
  out.eos_ids = fields.ids("eos_token_id");
  out.bos_id = single_id(fields, "bos_token_id");
  out.pad_id = single_id(fields, "pad_token_id");
  out.temperature = small_number(fields, "temperature", 1000);
  out.top_k = count(fields, "top_k");
  out.top_p = small_number(fields, "top_p", 1);
  out.min_p = small_number(fields, "min_p", 1);
  out.repetition_penalty = small_number(fields, "repetition_penalty", 1000);
  if (fields.given("do_sample")) out.do_sample = fields.flag("do_sample", false);
  out.max_new_tokens = count(fields, "max_new_tokens");
  if (!first.ok()) return fail(first);
  return out;
}

} // namespace troupe::model
