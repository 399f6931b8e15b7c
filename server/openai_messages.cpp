// The conversation of a chat request: checked, and with content parts joined into text.
#include "base/text.hpp"
#include "server/openai_fields.hpp"

namespace troupe::server {
namespace {

std::string at(size_t index, std::string_view member) {
  return text("messages[", index, "]", member);
}

// Text parts become one string, a line each, as chat templates expect.
bool join_parts(json_fields& fields, size_t index, json_value& content) {
  std::string joined;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string where = at(index, text(".content[", i, "]"));
    const json_value& part = content[i];
    if (part.is_string()) { // accepted by others as well
      joined += (i == 0 ? "" : "\n") + part.get<std::string>();
      continue;
    }
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end() || !type->is_string()) {
      fields.fail(where.c_str(), text("must be an object with a type, got ", shown(part)));
      return false;
    }
    const auto text_member = part.find("text");
    if (*type != "text") {
      fields.fail(unsupported_field(
          where, text(where, " has the type ", shown(*type), ": only text is supported")));
      return false;
    }
    if (text_member == part.end() || !text_member->is_string()) {
      fields.fail(where.c_str(), "must have a string in text");
      return false;
    }
    joined += (i == 0 ? "" : "\n") + text_member->get<std::string>();
  }
  content = joined;
  return true;
}

bool check_message(json_fields& fields, size_t index, json_value& message) {
  if (!message.is_object()) {
    fields.fail(at(index, "").c_str(), text("must be an object, got ", shown(message)));
    return false;
  }
  const auto role = message.find("role");
  if (role == message.end() || !role->is_string() || *role == "") {
    fields.fail(at(index, ".role").c_str(), "must be a string such as 'user'");
    return false;
  }
  auto content = message.find("content");
  if (content == message.end() || content->is_null()) {
    // An assistant that only called tools said nothing; everybody else has to say something.
    if (message.contains("tool_calls")) return true;
    fields.fail(at(index, ".content").c_str(), "is required");
    return false;
  }
  if (content->is_string()) return true;
  if (content->is_array()) return join_parts(fields, index, *content);
  fields.fail(at(index, ".content").c_str(),
              text("must be a string or a list of text parts, got ", shown(*content)));
  return false;
}

void read_final_message(json_fields& fields, const json_value& messages, answer_request& out) {
  if (!out.continue_final_message) return;
  if (out.add_generation_prompt) {
    return fields.fail("continue_final_message", "needs add_generation_prompt to be false");
  }
  const json_value& content = messages.back().value("content", json_value());
  if (!content.is_string() || content == "") {
    return fields.fail("continue_final_message", "needs text in the last message");
  }
  out.final_message = content.get<std::string>();
}

void read_messages(json_fields& fields, const request_rules& rules, answer_request& out) {
  const json_value* value = fields.find("messages");
  if (!fields.ok()) return;
  if (value == nullptr) return fields.fail("messages", "is required");
  if (!value->is_array() || value->empty() || value->size() > rules.limits.messages_max) {
    return fields.fail("messages", text("must be a list of 1 to ", rules.limits.messages_max,
                                        " messages, got ", shown(*value)));
  }
  json_value messages = *value;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!check_message(fields, i, messages[i])) return;
  }
  read_final_message(fields, messages, out);
  out.messages_json = dump(messages);
}

} // namespace

void read_conversation(json_fields& fields, const request_rules& rules, answer_request& out) {
  out.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  out.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  out.add_special_tokens = fields.boolean("add_special_tokens").value_or(false);
  read_messages(fields, rules, out);
  if (const json_value* tools = fields.find("tools")) {
    if (!tools->is_array()) {
      return fields.fail("tools", text("must be a list, got ", shown(*tools)));
    }
    const json_value* choice = fields.find("tool_choice");
    const bool unused = choice != nullptr && *choice == "none";
    if (!tools->empty() && !unused) out.tools_json = dump(*tools);
  }
  if (const json_value* arguments = fields.find("chat_template_kwargs")) {
    if (!arguments->is_object()) {
      return fields.fail("chat_template_kwargs",
                         text("must be an object, got ", shown(*arguments)));
    }
    out.template_arguments_json = dump(*arguments);
  }
  if (const json_value* own = fields.find("chat_template"); own != nullptr && fields.ok()) {
    fields.fail(unsupported_field("chat_template",
                                  "chat_template is not accepted from requests by this server"));
  }
}

} // namespace troupe::server
