// Reading numbers by name; the exceptions of toml++ end here.
#include "simulations/capacity/profile_file.hpp"

#include "base/text.hpp"

#include <toml++/toml.h>

#include <functional>
#include <map>
#include <vector>

namespace troupe::simulations::capacity {
namespace {

struct setter {
  double least, most;
  std::function<void(double)> set;
};
using setters = std::map<std::string, setter>;

status refused(const std::string& file, const toml::source_region& where, std::string why) {
  return {status_code::invalid_argument,
          text(file, ":", where.begin.line, ":", where.begin.column, ": ", why)};
}

status unknown(const std::string& file, const toml::source_region& where, std::string_view what,
               const std::string& name, const std::vector<std::string>& names) {
  const std::string near = nearest_name(name, names);
  return refused(
      file, where,
      text(name, " is no ", what, near.empty() ? "" : text("; did you mean ", near, "?")));
}

template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> out;
  for (const auto& each : map) out.push_back(each.first);
  return out;
}

setters milliseconds_of(dataflow::cluster_timing& timing) {
  const auto ms = [](duration& to) {
    return setter{0.001, 3.6e6,
                  [&to](double value) { to = duration(static_cast<nanoseconds>(value * 1e6)); }};
  };
  return {{"report_every_ms", ms(timing.report_every)},
          {"pause_allowed_ms", ms(timing.pause_allowed)},
          {"silence_max_ms", ms(timing.silence_max)},
          {"step_max_ms", ms(timing.step_max)},
          {"readmit_first_ms", ms(timing.readmit_first)},
          {"suspect_phi", {1, 16, [&timing](double value) {
                             timing.suspect_phi = static_cast<uint32_t>(value);
                           }}}};
}

std::map<std::string, setters> tables_of(profile_numbers& numbers) {
  std::map<std::string, setters> out;
  for (const auto& field : profile_fields())
    out["device"][std::string(field.name)] = {
        field.least, field.most, [&device = numbers.device, member = field.member](double value) {
          device.*member = value;
        }};
  for (const auto& field : failure_fields())
    out["failures"][std::string(field.name)] = {
        field.least, field.most, [&model = numbers.failures, member = field.member](double value) {
          model.*member = value;
        }};
  const auto number = [](double& to, double least, double most) {
    return setter{least, most, [&to](double value) { to = value; }};
  };
  out["routing"] = {{"skew", number(numbers.routing.skew, 0, 10)},
                    {"drift_s", number(numbers.routing.drift_s, 0, 1e6)},
                    {"moved_share", number(numbers.routing.moved_share, 0, 1)}};
  out["recovery"] = milliseconds_of(numbers.recovery.timing);
  out["recovery"]["decide_ms"] = number(numbers.recovery.decide_ms, 0, 1e6);
  return out;
}

status read_table(const std::string& file, const std::string& name, const toml::table& table,
                  const setters& known) {
  for (const auto& [key, node] : table) {
    const std::string word(key.str());
    const auto at = known.find(word);
    if (at == known.end())
      return unknown(file, key.source(), text("number of [", name, "]"), word, names_of(known));
    const auto value = node.value<double>();
    if (!value || !node.is_number())
      return refused(file, key.source(), text(word, " must be a number"));
    if (!(*value >= at->second.least && *value <= at->second.most))
      return refused(file, key.source(),
                     text(word, " is ", *value, "; it must be from ", at->second.least, " to ",
                          at->second.most));
    at->second.set(*value);
  }
  return {};
}

} // namespace

status read_profile_file(std::string_view toml_text, const std::string& file,
                         profile_numbers& numbers) {
  toml::table document;
  try {
    document = toml::parse(toml_text, std::string_view(file));
  } catch (const toml::parse_error& error) {
    return refused(file, error.source(), std::string(error.description()));
  }
  const auto tables = tables_of(numbers);
  for (const auto& [key, node] : document) {
    const std::string name(key.str());
    const auto at = tables.find(name);
    if (at == tables.end() || !node.is_table())
      return unknown(file, key.source(), "table of a profile", name, names_of(tables));
    TROUPE_RETURN_IF_ERROR(read_table(file, name, *node.as_table(), at->second));
  }
  TROUPE_RETURN_IF_ERROR(validate(numbers.device));
  TROUPE_RETURN_IF_ERROR(validate(numbers.failures));
  return dataflow::validate(numbers.recovery.timing);
}

} // namespace troupe::simulations::capacity
