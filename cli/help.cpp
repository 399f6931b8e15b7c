// Lays out help: flags in a column, what they do beside it, and default, range and variable after
// it.
#include "cli/help.hpp"

#include <algorithm>

namespace troupe::cli {
namespace {

constexpr size_t flag_columns = 30;

// Breaks at spaces; every line after the first is indented.
std::string wrapped(std::string_view text, size_t first_column, size_t indent) {
  std::string out;
  size_t column = first_column;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (column > indent && column + 1 + word.size() > help_columns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!out.empty()) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + "\n";
}

std::string left_column(std::string left) {
  if (left.size() + 2 > flag_columns) return left + "\n" + std::string(flag_columns, ' ');
  left.resize(flag_columns, ' ');
  return left;
}

std::string flags_text(const option& of) {
  std::string out = "  ";
  for (std::string_view rest = of.aliases; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    if (comma == 2)
      out += text(rest.substr(0, comma), ", "); // short ones first, long ones only work
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  out += text("--", of.is_switch && of.show() == "true" ? "[no-]" : "", of.name);
  if (!of.value.empty() && !of.is_switch) out += text(" ", of.value);
  return out;
}

std::string facts_text(const option& of) {
  std::string out;
  if (!of.choices.empty()) out += text("one of ", of.choices, "; ");
  if (!of.range.empty()) out += text(of.range, "; ");
  const std::string value = of.show();
  if (!of.unset.empty())
    out += text("default: ", of.unset);
  else if (of.secret || value.empty() || value == "[]")
    out += "default: none";
  else
    out += text("default: ", value);
  if (of.name != "dump-config") out += text("; ", environment_name(of.name));
  return "(" + out + ")";
}

std::string option_text(const option& of) {
  return left_column(flags_text(of)) +
         wrapped(text(of.help, " ", facts_text(of)), flag_columns, flag_columns);
}

} // namespace

std::string program_help(const command_list& commands) {
  std::string out =
      "troupe: runs mixture-of-experts language models as a dataflow of actors\n"
      "\n"
      "usage: troupe COMMAND [flags]\n"
      "\n"
      "commands:\n";
  for (const auto& each : commands)
    out += left_column(text("  ", each->info().name)) + text(each->info().summary, "\n");
  return out +
         "\n"
         "troupe COMMAND --help describes the flags of a command. Every flag can also stand in a "
         "TOML file\n"
         "(--config FILE or TROUPE_CONFIG) and in an environment variable TROUPE_NAME; flags are "
         "strongest,\n"
         "then the environment, then the file. Without --model the built-in model is used.\n"
         "\n"
         "exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 the model cannot be loaded;\n"
         "  4 (serve, node) answers were cut off because draining took too long; 5 (node) start it "
         "again;\n"
         "  130 and 143 ended by Ctrl-C or SIGTERM; 141 whoever read the output went away\n";
}

std::string command_help(command& of) {
  std::string usage = text("usage: troupe ", of.info().name);
  std::string arguments, flags;
  for (const auto& option : of.options()) {
    if (option.positional) {
      usage += text(" [", option.value, option.is_list ? "...]" : "]");
      arguments +=
          left_column(text("  ", option.value)) + wrapped(option.help, flag_columns, flag_columns);
    } else {
      flags += option_text(option);
    }
  }
  std::string out = text(of.info().summary, "\n\n", usage, " [flags]\n");
  if (!arguments.empty()) out += text("\narguments:\n", arguments);
  out += text("\nflags:\n", flags, left_column("  -h, --help"), "print this and exit\n");
  if (!of.info().notes.empty()) out += text("\n", of.info().notes);
  return out;
}

} // namespace troupe::cli
