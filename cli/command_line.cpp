// CLI11 splits the words; what they mean is the options' business.
#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>

namespace troupe::cli {
namespace {

// Raw words by option name, filled while CLI11 parses.
using raw_values = std::map<std::string, std::vector<std::string>>;

std::string flags_of(const option& from) {
  std::string out = text("--", from.name);
  if (from.is_switch) out += text(",!--no-", from.name);
  if (!from.aliases.empty()) out += text(",", from.aliases);
  return out;
}

void declare(CLI::App& app, const option& from, raw_values& raw) {
  const auto take = [&raw, name = from.name](const std::vector<std::string>& words) {
    raw[name] = words;
    return true;
  };
  if (from.is_switch) {
    app.add_flag_function(flags_of(from), [&raw, name = from.name](int64_t count) {
      raw[name] = {show_value(count > 0)};
    });
    return;
  }
  // One word a flag, taken as it stands: CLI11 would cut a list such as [a,b] into its parts.
  app.add_option(flags_of(from), CLI::callback_t(take))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

// Every flag of the command, to guess what a wrong one was meant to be.
std::vector<std::string> flag_names(command& of) {
  std::vector<std::string> out = {"--help"};
  for (const auto& option : of.options()) {
    if (option.positional) continue;
    out.push_back("--" + option.name);
    if (option.is_switch) out.push_back("--no-" + option.name);
    for (std::string_view rest = option.aliases; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      out.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return out;
}

status usage(std::string why) {
  return status(status_code::invalid_argument, std::move(why));
}

// The names of the commands, and the words that lead to them.
struct command_tree {
  CLI::App app{"troupe"};
  std::map<const CLI::App*, command*> command_of;
  std::vector<std::string> names;

  void add(command& each, raw_values& raw) {
    CLI::App* at = &app;
    std::string_view rest = each.info().name;
    names.emplace_back(rest.substr(0, rest.find(' ')));
    while (!rest.empty()) {
      const size_t space = std::min(rest.find(' '), rest.size());
      const std::string word(rest.substr(0, space));
      const auto known =
          at->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == word; });
      at->require_subcommand(0,
                             1); // else the name of a command could not be an argument of another
      at = known.empty() ? at->add_subcommand(word) : known.front();
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    command_of[at] = &each;
    at->allow_extras(); // arguments, and flags that are none
    for (const auto& option : each.options())
      if (!option.positional) declare(*at, option, raw);
  }

  // The deepest subcommand that was named.
  CLI::App* deepest() {
    CLI::App* at = &app;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
    return at;
  }
};

status no_command(const std::string& word, const std::vector<std::string>& names) {
  const std::string near = nearest_name(word, names);
  return usage(text("'", word, "' is no command",
                    near.empty() ? "" : text("; did you mean ", near, "?"),
                    " (troupe help lists them)"));
}

status no_flag(const std::string& word, command& chosen) {
  const std::string flag = word.substr(0, word.find('='));
  const std::string near = nearest_name(flag, flag_names(chosen));
  return usage(text(flag, " is no flag of troupe ", chosen.info().name,
                    near.empty() ? "" : text("; did you mean ", near, "?")));
}

// The words that CLI11 made nothing of, and what stood after "--".
status take_arguments(command& chosen, const std::vector<std::string>& rest,
                      const std::vector<std::string>& verbatim, raw_values& raw) {
  for (const auto& word : rest)
    if (word.size() > 1 && word[0] == '-' && word[1] != ' ') return no_flag(word, chosen);
  std::vector<std::string> arguments = rest;
  arguments.insert(arguments.end(), verbatim.begin(), verbatim.end());
  if (arguments.empty()) return {};
  for (const auto& option : chosen.options()) {
    if (!option.positional) continue;
    raw[option.name] = std::move(arguments);
    return {};
  }
  return usage(
      text("'", arguments.front(), "' is one argument too many for troupe ", chosen.info().name));
}

} // namespace

result<parsed_line> parse_line(const std::vector<std::string>& words,
                               const command_list& commands) {
  raw_values raw;
  command_tree tree;
  tree.app.set_help_flag("-h,--help");
  bool wants_version = false;
  tree.app.add_flag("--version", wants_version);
  for (const auto& each : commands) tree.add(*each, raw);

  const auto mark = std::find(words.begin(), words.end(), "--");
  const std::vector<std::string> verbatim(mark == words.end() ? mark : mark + 1, words.end());
  std::vector<std::string> reversed(words.begin(), mark); // as CLI11 wants them
  std::reverse(reversed.begin(), reversed.end());
  parsed_line out;
  try {
    tree.app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    out.wants_help = true;
  } catch (const CLI::ExtrasError&) {
    const auto extras = tree.app.remaining();
    return fail(no_command(extras.empty() ? "" : extras.front(), tree.names));
  } catch (const CLI::Error& error) {
    return fail(usage(error.what()));
  }
  out.chosen = tree.command_of[tree.deepest()];
  out.wants_version = wants_version;
  if (out.wants_help || wants_version) return out;
  if (out.chosen == nullptr) return fail(usage("no command given (troupe help lists them)"));
  if (const auto taken = take_arguments(*out.chosen, tree.deepest()->remaining(), verbatim, raw);
      !taken.ok())
    return fail(taken);
  for (const auto& option : out.chosen->options()) {
    const auto found = raw.find(option.name);
    if (found == raw.end()) continue;
    const std::string spelled = option.positional ? option.value : text("--", option.name);
    out.assignments.push_back({.section = "",
                               .name = option.name,
                               .values = found->second,
                               .origin = "command line",
                               .spelled = spelled});
  }
  return out;
}

std::string value_of(const parsed_line& line, std::string_view option) {
  for (const auto& each : line.assignments)
    if (each.name == option) return each.values.back();
  return "";
}

} // namespace troupe::cli
