// Turns a conversation into the text a model was trained on, by the model's own Jinja template.
#pragma once

#include "base/status.hpp"
#include "model/chat_template_value.hpp"
#include "model/jinja_runtime.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::model {

struct jinja_statement;

// What a template is rendered with. The values come from parse_template_value or are built by hand.
struct chat_inputs {
  template_value messages;        // a list of dicts with "role" and "content"
  template_value tools = nullptr; // a list of tool descriptions, or none
  template_value documents = nullptr;
  bool add_generation_prompt = true; // ends where the assistant's answer begins
  std::string bos_token;
  std::string eos_token;
  std::string pad_token;
  std::string unk_token;
  // Shown by strftime_now, in seconds since 1970, already moved to the wanted time zone. Without it
  // the template finds strftime_now undefined.
  std::optional<int64_t> now_unix_s;
  // chat_template_kwargs of a request, such as enable_thinking; they come before the ones above.
  std::vector<std::pair<std::string, template_value>> variables;
};

// A parsed template. Immutable and cheap to copy; any number of threads may render at once. What
// transformers' sandbox renders it renders to the same text; what it has no use for is refused with
// line and column.
class chat_template {
public:
  static result<chat_template> parse(std::string_view source, std::string_view file_name);

  // Fails with invalid_argument where the template refuses the conversation (raise_exception, a
  // missing member), with unsupported at what is beyond the subset of Jinja, with exhausted at the
  // limits.
  result<std::string> render(const chat_inputs& inputs, const jinja_limits& limits = {}) const;

private:
  struct parsed;
  explicit chat_template(std::shared_ptr<const parsed> shared) : parsed_(std::move(shared)) {}

  // Owned together by all copies; never changed.
  std::shared_ptr<const parsed> parsed_;
};

// The text of a template and where it was found.
struct chat_template_source {
  std::string source;
  std::string file_name;
};

// Finds the template of a model directory: chat_template.jinja when there is one (pass an empty
// text when there is not), else `chat_template` of tokenizer_config.json, a string or a list of
// {"name", "template"} of which `name` is taken, then "default". Fails with not_found when there is
// none.
result<chat_template_source> find_chat_template(std::string_view jinja_text,
                                                std::string_view config_json,
                                                std::string_view name = "default");

} // namespace troupe::model
