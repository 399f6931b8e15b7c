// What the answer has to be: response_format, the guided_ fields of vLLM, and tools that have to be
// called. All become one constraint, which is compiled once here so that a broken one is refused.
#include "base/text.hpp"
#include "model/grammar/compile.hpp"
#include "server/openai_fields.hpp"

#include <array>
#include <utility>

namespace troupe::server {
namespace {

using model::constraint;
using kind = constraint::kind;

// The first one stays; a second one is refused.
class constraint_reader {
public:
  constraint_reader(json_fields& fields, answer_request& out) : fields_(fields), out_(out) {}

  void set(std::string field, kind what, std::string content) {
    if (!fields_.ok()) return;
    constraint& to = out_.generation.constraint;
    if (to.any())
      return fields_.fail(invalid_field(
          field,
          text(field, " and ", field_, " cannot be given together: the answer follows one")));
    field_ = std::move(field);
    to = {what, std::move(content)};
    if (const auto why = model::check(to); !why.ok())
      fields_.fail(invalid_field(field_, text(field_, " cannot be used: ", why.why())));
  }

  // A schema as an object or as its text.
  void set_schema(const std::string& field, const json_value& value, bool lenient) {
    if (!value.is_object() && !value.is_string() && !value.is_boolean())
      return fields_.fail(
          invalid_field(field, text(field, " must be a JSON schema, got ", shown(value))));
    set(field, lenient ? kind::json_schema_lenient : kind::json_schema,
        value.is_string() ? value.get<std::string>() : dump(value));
  }

  void set_text(const std::string& field, const json_value& value, kind what) {
    if (!value.is_string())
      return fields_.fail(
          invalid_field(field, text(field, " must be a string, got ", shown(value))));
    set(field, what, value.get<std::string>());
  }

  void set_choice(const std::string& field, const json_value& value) {
    if (!value.is_array())
      return fields_.fail(
          invalid_field(field, text(field, " must be a list of strings, got ", shown(value))));
    set(field, kind::choice, dump(value));
  }

private:
  json_fields& fields_;
  answer_request& out_;
  std::string field_;
};

void read_response_format(json_fields& fields, constraint_reader& reader) {
  const json_value* value = fields.find("response_format");
  if (value == nullptr) return;
  const auto type = value->is_object() ? value->find("type") : value->end();
  if (!value->is_object() || type == value->end() || !type->is_string())
    return fields.fail("response_format",
                       text("must be an object with a type, got ", shown(*value)));
  if (*type == "text") return;
  if (*type == "json_object") return reader.set("response_format", kind::json_object, "");
  if (*type != "json_schema")
    return fields.fail(unsupported_field(
        "response_format", text("response_format ", shown(*type),
                                " is not supported: 'text', 'json_object' and 'json_schema' are")));
  const auto holder = value->find("json_schema");
  if (holder == value->end() || !holder->is_object() || !holder->contains("schema"))
    return fields.fail("response_format.json_schema", "must be an object with a schema");
  const auto strict = holder->find("strict");
  if (strict != holder->end() && !strict->is_null() && !strict->is_boolean())
    return fields.fail("response_format.json_schema.strict",
                       text("must be true or false, got ", shown(*strict)));
  const bool lenient = strict != holder->end() && *strict == false;
  reader.set_schema("response_format.json_schema.schema", (*holder)["schema"], lenient);
}

void read_guides(json_fields& fields, constraint_reader& reader) {
  if (const auto* value = fields.find("guided_json"))
    reader.set_schema("guided_json", *value, false);
  if (const auto* value = fields.find("guided_regex"))
    reader.set_text("guided_regex", *value, kind::regex);
  if (const auto* value = fields.find("guided_grammar"))
    reader.set_text("guided_grammar", *value, kind::grammar);
  if (const auto* value = fields.find("guided_choice")) reader.set_choice("guided_choice", *value);
}

// vLLM's newer form of the same.
void read_structured_outputs(json_fields& fields, constraint_reader& reader) {
  const json_value* value = fields.find("structured_outputs");
  if (value == nullptr) return;
  if (!value->is_object())
    return fields.fail("structured_outputs", text("must be an object, got ", shown(*value)));
  for (const auto& [name, each] : value->items()) {
    if (each.is_null()) continue;
    const std::string field = "structured_outputs." + name;
    if (name == "json") {
      reader.set_schema(field, each, false);
    } else if (name == "regex" || name == "grammar") {
      reader.set_text(field, each, name == "regex" ? kind::regex : kind::grammar);
    } else if (name == "choice") {
      reader.set_choice(field, each);
    } else if (name == "json_object" && each.is_boolean()) {
      if (each == true) reader.set(field, kind::json_object, "");
    } else {
      return fields.fail(unsupported_field(field, text(field, " is not supported by this server")));
    }
  }
}

// -- tools

// Schemas that refer to themselves do so from a new place.
json_value moved(json_value schema, const std::string& to) {
  if (schema.is_object()) {
    for (auto& [name, member] : schema.items()) {
      const bool reference = name == "$ref" && member.is_string();
      if (reference && member.get_ref<const std::string&>().starts_with('#'))
        member = text("#", to, member.get_ref<const std::string&>().substr(1));
      else
        member = moved(std::move(member), to);
    }
  } else if (schema.is_array()) {
    for (auto& element : schema) element = moved(std::move(element), to);
  }
  return schema;
}

struct tool {
  std::string name;
  json_value parameters;
  bool lenient = false;
};

std::optional<std::vector<tool>> read_tools(json_fields& fields) {
  const json_value* list = fields.find("tools");
  std::vector<tool> out;
  for (size_t i = 0; list != nullptr && list->is_array() && i < list->size(); ++i) {
    const std::string where = text("tools[", i, "]");
    const json_value& entry = (*list)[i];
    const auto function = entry.is_object() ? entry.find("function") : entry.end();
    if (!entry.is_object() || function == entry.end() || !function->is_object() ||
        !function->contains("name") || !(*function)["name"].is_string()) {
      fields.fail(invalid_field(where, text(where, " must have a function with a name")));
      return std::nullopt;
    }
    tool made{(*function)["name"].get<std::string>(), json_value{{"type", "object"}}};
    if (const auto parameters = function->find("parameters");
        parameters != function->end() && !parameters->is_null())
      made.parameters = *parameters;
    made.lenient = function->contains("strict") && (*function)["strict"] == false;
    out.push_back(std::move(made));
  }
  return out;
}

// A list of calls, each to one of the tools.
json_value schema_of_calls(const std::vector<tool>& tools, bool several) {
  json_value definitions = json_value::object();
  json_value calls = json_value::array();
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string name = text("tool_", i);
    definitions[name] = moved(tools[i].parameters, "/$defs/" + name);
    calls.push_back(
        {{"type", "object"},
         {"properties",
          {{"name", {{"const", tools[i].name}}}, {"arguments", {{"$ref", "#/$defs/" + name}}}}},
         {"required", {"name", "arguments"}},
         {"additionalProperties", false}});
  }
  json_value out{{"type", "array"}, {"minItems", 1}};
  if (!several) out["maxItems"] = 1;
  out["items"] = {{"anyOf", std::move(calls)}};
  out["$defs"] = std::move(definitions);
  return out;
}

void demand_tool(json_fields& fields, const std::string& name, const std::vector<tool>& tools,
                 constraint_reader& reader, answer_request& out) {
  for (const tool& each : tools) {
    if (each.name != name) continue;
    out.calls = {tool_demand::kind::one, name};
    return reader.set_schema(text("tools: the parameters of ", name), each.parameters,
                             each.lenient);
  }
  fields.fail("tool_choice", text("names ", in_quotes(name), ", which is none of the tools"));
}

} // namespace

void read_constraint(json_fields& fields, answer_request& out) {
  constraint_reader reader(fields, out);
  read_response_format(fields, reader);
  read_guides(fields, reader);
  read_structured_outputs(fields, reader);
  const json_value* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice == "none" || *choice == "auto") return;
  if (!out.chat) return fields.fail("tool_choice", "is for chats");
  const auto tools = read_tools(fields);
  if (!tools) return;
  if (*choice == "required") {
    if (tools->empty()) return fields.fail("tool_choice", "is 'required', but there are no tools");
    bool lenient = false;
    for (const tool& each : *tools) lenient = lenient || each.lenient;
    const bool several = fields.boolean("parallel_tool_calls").value_or(true);
    out.calls = {tool_demand::kind::some, ""};
    return reader.set_schema("tools", schema_of_calls(*tools, several), lenient);
  }
  const auto function = choice->is_object() ? choice->find("function") : choice->end();
  if (choice->is_object() && function != choice->end() && function->is_object() &&
      function->contains("name") && (*function)["name"].is_string())
    return demand_tool(fields, (*function)["name"].get<std::string>(), *tools, reader, out);
  fields.fail("tool_choice", text("must be 'none', 'auto', 'required' or an object with a "
                                  "function's name, got ",
                                  shown(*choice)));
}

} // namespace troupe::server
