// Turns a conversation into the text a model was trained on, by the model's own Jinja template.
#include "model/chat_template.hpp"

#include "base/text.hpp"
#include "model/jinja_evaluator.hpp"
#include "model/jinja_parser.hpp"
#include "model/json_text.hpp"

namespace troupe::model {

struct chat_template::parsed {
  jinja_body body;
  std::string file_name;
};

result<chat_template> chat_template::parse(std::string_view source, std::string_view file_name) {
  auto made = std::make_shared<parsed>();
  TROUPE_TAKE(made->body, parse_jinja(source, file_name));
  made->file_name = file_name;
  return chat_template(std::move(made));
}

result<std::string> chat_template::render(const chat_inputs& inputs,
                                          const jinja_limits& limits) const {
  jinja_inputs all{.variables = {}, .now_unix_s = inputs.now_unix_s};
  all.variables.emplace_back("messages", inputs.messages);
  all.variables.emplace_back("tools", inputs.tools);
  all.variables.emplace_back("documents", inputs.documents);
  all.variables.emplace_back("add_generation_prompt", inputs.add_generation_prompt);
  const std::pair<const char*, const std::string*> tokens[] = {{"bos_token", &inputs.bos_token},
                                                               {"eos_token", &inputs.eos_token},
                                                               {"pad_token", &inputs.pad_token},
                                                               {"unk_token", &inputs.unk_token}};
  for (const auto& [name, token] : tokens) {
    if (!token->empty())
      all.variables.emplace_back(name, *token); // as in transformers: else undefined
  }
  for (const auto& [name, value] : inputs.variables) all.variables.emplace_back(name, value);
  return render_jinja(parsed_->body, all, parsed_->file_name, limits);
}

result<chat_template_source> find_chat_template(std::string_view jinja_text,
                                                std::string_view config_json,
                                                std::string_view name) {
  if (!jinja_text.empty())
    return chat_template_source{std::string(jinja_text), "chat_template.jinja"};
  TROUPE_TAKE(const nlohmann::json document, parse_json(config_json, "tokenizer_config.json"));
  const json_field config(document, "tokenizer_config.json");
  if (!document.is_object()) return config.fails("must hold an object");
  const json_field field = config.member("chat_template");
  if (field.value().is_string())
    return chat_template_source{field.value().get<std::string>(), field.where()};
  if (field.is_null()) return field.fails("the model has no chat template", status_code::not_found);
  if (!field.value().is_array()) return field.fails("must be a string or a list of templates");
  std::optional<chat_template_source> fallback;
  for (size_t i = 0; i < field.value().size(); ++i) {
    const json_field entry = field.element(i);
    if (!entry.value().is_object())
      return entry.fails("must be an object with 'name' and 'template'");
    TROUPE_TAKE(const std::string entry_name, entry.string("name"));
    TROUPE_TAKE(std::string source, entry.string("template"));
    if (entry_name == name) return chat_template_source{std::move(source), entry.where()};
    if (entry_name == "default") fallback = chat_template_source{std::move(source), entry.where()};
  }
  if (fallback) return std::move(*fallback);
  return field.fails(text("there is no template '", name, "'"), status_code::not_found);
}

} // namespace troupe::model
