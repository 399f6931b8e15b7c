// The environment, and how assignments reach the options.
#include "cli/setting_source.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace troupe::cli {
namespace {

constexpr std::string_view prefix = "TROUPE_";

// TROUPE_CONFIG is read before anything else; the others belong to scripts and tests of this tree.
// The secret of a cluster is no setting: there is no flag for it, and no dump shows it.
constexpr std::array<std::string_view, 4> scripts_own = {"TROUPE_CONFIG", "TROUPE_PROGRAM",
                                                         "TROUPE_URL", "TROUPE_CLUSTER_SECRET"};

std::string option_name_of(std::string_view variable) {
  std::string out;
  for (const char c : variable.substr(prefix.size()))
    out += c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

status not_taken(const assignment& from, const std::string& bad, const option& target,
                 const status& why) {
  const std::string value = target.secret ? "" : text(" is ", quoted_text(bad));
  return status(why.code(), text(from.origin, ": ", from.spelled, value, "; ", why.why()));
}

} // namespace

std::vector<std::string> configurable_names(const command_list& commands) {
  std::set<std::string> names;
  for (const auto& each : commands) {
    for (const auto& option : each->options())
      if (!option.positional && option.name != "config" && option.name != "dump-config")
        names.insert(option.name);
  }
  return {names.begin(), names.end()};
}

bool is_foreign_variable(std::string_view name, std::string_view value) {
  if (std::find(scripts_own.begin(), scripts_own.end(), name) != scripts_own.end()) return true;
  // Kubernetes tells every container about a service called troupe in these variables.
  if (name.starts_with("TROUPE_SERVICE_HOST") || name.starts_with("TROUPE_SERVICE_PORT"))
    return true;
  if (name.starts_with("TROUPE_PORT_")) return true;
  return name == "TROUPE_PORT" && (value.starts_with("tcp://") || value.starts_with("udp://"));
}

result<std::vector<assignment>> read_environment(const environment_variables& variables,
                                                 const command_list& commands) {
  std::vector<assignment> out;
  const auto names = configurable_names(commands);
  for (const auto& [name, value] : variables) {
    if (!name.starts_with(prefix) || value.empty() || is_foreign_variable(name, value)) continue;
    const std::string option = option_name_of(name);
    if (std::find(names.begin(), names.end(), option) == names.end()) {
      const std::string near = nearest_name(option, names);
      return fail(status_code::invalid_argument,
                  text("environment: ", name, " is no setting",
                       near.empty() ? "" : text("; did you mean ", environment_name(near), "?")));
    }
    out.push_back({.section = "",
                   .name = option,
                   .values = {value},
                   .origin = "environment",
                   .spelled = name});
  }
  return out;
}

status assign_all(command& target, const std::vector<assignment>& assignments) {
  // Of one file, what stands in the command's own table counts more than what is for all.
  for (const bool own : {false, true}) {
    for (const auto& each : assignments) {
      if (each.section.empty() == own || (own && each.section != target.info().section)) continue;
      for (auto& option : target.options()) {
        if (option.name != each.name) continue;
        std::string bad;
        if (const auto taken = option.assign(each.values, bad); !taken.ok())
          return not_taken(each, bad, option, taken);
        option.origin = each.origin;
      }
    }
  }
  return {};
}

std::string dump_config(command& source) {
  std::string out = text("# troupe ", source.info().name, "\n");
  for (const auto& option : source.options()) {
    if (option.positional || option.name == "config" || option.name == "dump-config") continue;
    const std::string value = option.show();
    const bool unset = value.empty() || (option.origin.empty() && !option.unset.empty());
    if (unset)
      out += text("# ", option.name,
                  option.unset.empty() ? " is not set" : text(": ", option.unset), "\n");
    else if (option.secret) // commented out, so that reading the dump back does not make "***" the
                            // secret
      out += text("# ", option.name, " = \"***\"  # ",
                  option.origin.empty() ? "default" : option.origin, "\n");
    else
      out += text(option.name, " = ", value, "  # ",
                  option.origin.empty() ? "default" : option.origin, "\n");
  }
  return out;
}

} // namespace troupe::cli
