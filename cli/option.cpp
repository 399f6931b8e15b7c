// The parts of an option that do not depend on its type.
#include "cli/option.hpp"

namespace troupe::cli {

std::string environment_name(std::string_view option_name) {
  std::string out = "TROUPE_";
  for (const char c : option_name) {
    if (c == '-')
      out += '_';
    else
      out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

namespace option_parts {

option make_option(const field& from) {
  option out;
  out.name = from.name;
  out.value = from.value;
  out.help = from.help;
  out.range = range_text(from.range);
  out.choices = from.choices;
  out.aliases = from.aliases;
  out.unset = from.unset;
  out.secret = from.secret;
  out.positional = from.positional;
  return out;
}

status check_choice(std::string_view value, std::string_view choices) {
  if (choices.empty()) return {};
  std::vector<std::string> names;
  for (std::string_view rest = choices; !rest.empty();) {
    const size_t bar = std::min(rest.find('|'), rest.size());
    names.emplace_back(rest.substr(0, bar));
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  for (const auto& name : names)
    if (name == value) return {};
  const std::string near = nearest_name(value, names);
  return status(
      status_code::invalid_argument,
      text("it must be one of ", choices, near.empty() ? "" : text("; did you mean ", near, "?")));
}

} // namespace option_parts
} // namespace troupe::cli
