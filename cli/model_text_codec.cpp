// Calls through to model/, with JSON turned into the values of a template.
#include "cli/model_text_codec.hpp"

#include "base/text.hpp"
#include "model/tokenizer.hpp"

#include <nlohmann/json.hpp>

namespace troupe::cli {
namespace {

class model_text_codec final : public server::text_codec {
public:
  model_text_codec(const actors::engine& engine, const clock& time)
      : engine_(engine), time_(time) {}

  result<std::vector<int32_t>> encode(std::string_view text, bool add_special) const override {
    return engine_.tokenizer().encode(text, {.add_special_tokens = add_special});
  }
  std::string decode(std::span<const int32_t> tokens, bool skip_special) const override {
    return engine_.tokenizer().decode(tokens, skip_special);
  }
  std::string token_bytes(int32_t token) const override {
    return engine_.tokenizer().token_bytes(token);
  }
  result<std::string> render_chat(const server::chat_input& input) const override {
    return cli::render_chat(engine_, time_, input);
  }

private:
  const actors::engine& engine_;
  const clock& time_;
};

// The members of chat_template_kwargs as variables of the template.
status add_variables(const std::string& json_object, model::chat_inputs& out) {
  const auto object =
      nlohmann::ordered_json::parse(json_object, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return status(status_code::invalid_argument, "chat_template_kwargs is no object");
  for (const auto& [name, member] : object.items()) {
    auto value = model::parse_template_value(member.dump(), text("chat_template_kwargs.", name));
    if (!value) return value.error();
    out.variables.emplace_back(name, std::move(*value));
  }
  return {};
}

} // namespace

result<std::string> render_chat(const actors::engine& engine, const clock& time,
                                const server::chat_input& input) {
  const auto* chat_template = engine.chat_template();
  if (chat_template == nullptr)
    return fail(status_code::not_found, "this model has no chat template");
  model::chat_inputs inputs;
  auto messages = model::parse_template_value(input.messages_json, "messages");
  if (!messages) return fail(messages.error());
  inputs.messages = std::move(*messages);
  if (!input.tools_json.empty()) {
    auto tools = model::parse_template_value(input.tools_json, "tools");
    if (!tools) return fail(tools.error());
    inputs.tools = std::move(*tools);
  }
  if (!input.arguments_json.empty()) {
    if (auto added = add_variables(input.arguments_json, inputs); !added.ok()) return fail(added);
  }
  inputs.add_generation_prompt = input.add_generation_prompt;
  const auto& tokenizer = engine.tokenizer();
  inputs.bos_token = tokenizer.bos_token();
  inputs.eos_token = tokenizer.eos_token();
  inputs.pad_token = tokenizer.pad_token();
  inputs.unk_token = tokenizer.unk_token();
  inputs.now_unix_s = input.created.value_or(time.wall_seconds());
  return chat_template->render(inputs);
}

std::shared_ptr<const server::text_codec> make_text_codec(const actors::engine& engine,
                                                          const clock& time) {
  return std::make_shared<model_text_codec>(engine, time);
}

} // namespace troupe::cli
