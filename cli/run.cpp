// Help, version, configuration, and then the command.
#include "cli/run.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/command_line.hpp"
#include "cli/help.hpp"
#include "cli/version.hpp"

#include <algorithm>

namespace troupe::cli {
namespace {

constexpr size_t config_bytes_max = 1 << 20;

// The configuration file that was asked for; empty when none was.
std::string config_path(const program& context, const parsed_line& line) {
  if (const std::string flag = value_of(line, "config"); !flag.empty()) return flag;
  const auto variable = context.variables.find("TROUPE_CONFIG");
  return variable == context.variables.end() ? "" : variable->second;
}

status apply_all(program& context, const parsed_line& line) {
  if (const std::string path = config_path(context, line); !path.empty()) {
    const auto toml = context.files.read_text(path, config_bytes_max);
    if (!toml) return toml.error().within("configuration file");
    const auto settings = read_config(*toml, path, *context.commands);
    if (!settings) return settings.error();
    TROUPE_RETURN_IF_ERROR(assign_all(*line.chosen, *settings));
  }
  const auto settings = read_environment(context.variables, *context.commands);
  if (!settings) return settings.error();
  TROUPE_RETURN_IF_ERROR(assign_all(*line.chosen, *settings));
  return assign_all(*line.chosen, line.assignments);
}

// The option's value, which every command has.
std::string common_value(command& of, std::string_view name) {
  for (const auto& option : of.options())
    if (option.name == name) return option.show();
  return "";
}

int print(program& context, const std::string& what) {
  (void)context.out.write(what);
  return context.exit_after_output();
}

// "troupe help [COMMAND]".
int run_help(program& context, const std::vector<std::string>& words) {
  std::string name;
  for (size_t i = 1; i < words.size(); ++i) name += text(i > 1 ? " " : "", words[i]);
  if (name.empty()) return print(context, program_help(*context.commands));
  std::vector<std::string> names;
  for (const auto& each : *context.commands) {
    if (each->info().name == name || each->info().section == name)
      return print(context, command_help(*each));
    names.emplace_back(each->info().name);
  }
  const std::string near = nearest_name(name, names);
  return context.complain(status(status_code::invalid_argument,
                                 text("'", name, "' is no command",
                                      near.empty() ? "" : text("; did you mean ", near, "?"))),
                          exit_usage);
}

} // namespace

int run_program(program& context, const std::vector<std::string>& words) {
  if (words.empty()) {
    (void)context.err.write(program_help(*context.commands));
    return exit_usage;
  }
  if (words[0] == "help") return run_help(context, words);
  const auto line = parse_line(words, *context.commands);
  if (!line) return context.complain(line.error(), exit_usage);
  if (line->wants_version) return print(context, text(version_text(), "\n"));
  if (line->wants_help)
    return print(context,
                 line->chosen ? command_help(*line->chosen) : program_help(*context.commands));
  if (const auto applied = apply_all(context, *line); !applied.ok())
    return context.complain(applied, exit_usage);
  if (common_value(*line->chosen, "dump-config") == "true")
    return print(context, dump_config(*line->chosen));

  log::level least = log::level::warn;
  std::string level = common_value(*line->chosen, "log-level");
  std::erase(level, '"');
  (void)log::parse_level(level, least); // one of the choices
  log::set_level(least);
  return line->chosen->run(context);
}

} // namespace troupe::cli
