// The configuration file: TOML with one key a setting, either at the top for every command or in a
// table named after one.
#include "cli/setting_source.hpp"

#include <toml++/toml.h>

#include <algorithm>

namespace troupe::cli {
namespace {

// Keys may be written with hyphens as the flags are, or with underscores.
std::string as_option_name(std::string_view key) {
  std::string out(key);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

std::string place(const std::string& file, const toml::source_region& where) {
  return text(file, ":", where.begin.line, ":", where.begin.column);
}

// The text of a scalar as if it had been written as a flag.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_boolean()) return show_value(value->get());
  if (const auto* value = node.as_integer()) return text(value->get());
  if (const auto* value = node.as_floating_point()) return text(value->get());
  return std::nullopt;
}

class config_reader {
public:
  config_reader(const std::string& file, const command_list& commands)
      : file_(file), commands_(commands) {}

  status read(const toml::table& document) {
    const auto names = configurable_names(commands_);
    for (const auto& [key, node] : document) {
      const std::string name(key.str());
      if (const auto* table = node.as_table())
        TROUPE_RETURN_IF_ERROR(read_table(name, key.source(), *table));
      else
        TROUPE_RETURN_IF_ERROR(read_key("", name, key.source(), node, names));
    }
    return {};
  }

  std::vector<assignment> take() { return std::move(assignments_); }

private:
  status refused(const toml::source_region& where, std::string why) const {
    return status(status_code::invalid_argument, text(place(file_, where), ": ", why));
  }

  status unknown(const toml::source_region& where, std::string_view what, const std::string& name,
                 const std::vector<std::string>& names) const {
    const std::string near = nearest_name(name, names);
    return refused(where, text(what, near.empty() ? "" : text("; did you mean ", near, "?")));
  }

  status read_table(const std::string& name, const toml::source_region& where,
                    const toml::table& table) {
    std::vector<std::string> sections;
    for (const auto& each : commands_) {
      sections.emplace_back(each->info().section);
      if (sections.back() != name) continue;
      std::vector<std::string> names;
      for (const auto& option : each->options())
        if (!option.positional && option.name != "config" && option.name != "dump-config")
          names.push_back(option.name);
      for (const auto& [key, node] : table)
        TROUPE_RETURN_IF_ERROR(read_key(name, std::string(key.str()), key.source(), node, names));
      return {};
    }
    return unknown(where, text("[", name, "] is no command"), name, sections);
  }

  status read_key(const std::string& section, const std::string& key,
                  const toml::source_region& where, const toml::node& node,
                  const std::vector<std::string>& names) {
    assignment out{.section = section,
                   .name = as_option_name(key),
                   .values = {},
                   .origin = place(file_, where),
                   .spelled = key};
    if (std::find(names.begin(), names.end(), out.name) == names.end()) {
      const std::string what = section.empty() ? text(key, " is no setting")
                                               : text(key, " is no setting of [", section, "]");
      return unknown(where, what, out.name, names);
    }
    if (const auto* list = node.as_array()) {
      for (const auto& entry : *list) {
        auto value = scalar_text(entry);
        if (!value)
          return refused(entry.source(), text(key, " must be a list of numbers or texts"));
        out.values.push_back(std::move(*value));
      }
      if (!is_list(out.name)) return refused(where, text(key, " takes one value, not a list"));
    } else if (auto value = scalar_text(node)) {
      out.values.push_back(std::move(*value));
    } else {
      return refused(where, text(key, " must be a number, a text, true or false"));
    }
    assignments_.push_back(std::move(out));
    return {};
  }

  bool is_list(const std::string& name) const {
    for (const auto& each : commands_) {
      for (const auto& option : each->options())
        if (option.name == name && option.is_list) return true;
    }
    return false;
  }

  const std::string& file_;
  const command_list& commands_;
  std::vector<assignment> assignments_;
};

} // namespace

result<std::vector<assignment>> read_config(std::string_view toml_text, const std::string& file,
                                            const command_list& commands) {
  toml::table document;
  try {
    document = toml::parse(toml_text, std::string_view(file));
  } catch (const toml::parse_error& error) {
    return fail(status_code::invalid_argument,
                text(place(file, error.source()), ": ", std::string_view(error.description())));
  }
  config_reader reader(file, commands);
  if (const auto read = reader.read(document); !read.ok()) return fail(read);
  return reader.take();
}

} // namespace troupe::cli
