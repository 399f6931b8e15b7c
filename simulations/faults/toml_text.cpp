// Reading by toml++, whose exceptions end here; the numbers of a duration by hand, so that they are
// exact.
#include "simulations/faults/toml_text.hpp"

#include "base/text.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>

namespace troupe::simulations {
namespace {

constexpr int nesting_max = 16;

toml_value convert(const toml::node& from, int depth) {
  toml_value out;
  out.line = from.source().begin.line;
  out.column = from.source().begin.column;
  if (depth > nesting_max) return out;
  if (const auto* integer = from.as_integer()) {
    out.is = toml_value::kind::integer;
    out.number = integer->get();
  } else if (const auto* boolean = from.as_boolean()) {
    out.is = toml_value::kind::boolean;
    out.number = boolean->get() ? 1 : 0;
  } else if (const auto* string = from.as_string()) {
    out.is = toml_value::kind::string;
    out.text = string->get();
  } else if (const auto* array = from.as_array()) {
    out.is = toml_value::kind::array;
    for (const auto& item : *array) out.items.push_back(convert(item, depth + 1));
  } else if (const auto* table = from.as_table()) {
    out.is = toml_value::kind::table;
    for (const auto& [key, node] : *table) { // sorted by toml++
      toml_value value = convert(node, depth + 1);
      value.line = key.source().begin.line; // people look for the key
      value.column = key.source().begin.column;
      out.keys.emplace_back(key.str());
      out.items.push_back(std::move(value));
    }
  }
  return out;
}

struct unit {
  std::string_view name;
  int64_t nanoseconds;
};
constexpr std::array units = {
    unit{"h", 3'600'000'000'000}, unit{"m", 60'000'000'000}, unit{"s", 1'000'000'000},
    unit{"ms", 1'000'000},        unit{"us", 1'000},         unit{"ns", 1},
};

bool digits_only(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

tl::unexpected<status> no_duration(std::string_view text) {
  return fail(status_code::invalid_argument,
              troupe::text("'", text, "' is no duration such as \"300ms\", \"1.5s\" or \"2s\""));
}

std::string_view kind_name(toml_value::kind kind) {
  switch (kind) {
    case toml_value::kind::integer:
      return "a whole number";
    case toml_value::kind::boolean:
      return "true or false";
    case toml_value::kind::string:
      return "a text in quotes";
    case toml_value::kind::array:
      return "a list";
    case toml_value::kind::table:
      return "a table";
    case toml_value::kind::other:
      break;
  }
  return "something else";
}

} // namespace

const toml_value* toml_value::find(std::string_view key) const {
  const auto at = std::lower_bound(keys.begin(), keys.end(), key);
  if (at == keys.end() || *at != key) return nullptr;
  return &items[static_cast<size_t>(at - keys.begin())];
}

result<toml_value> read_toml(std::string_view text, std::string_view file) {
  try {
    const toml::table document = toml::parse(text, file);
    return convert(document, 0);
  } catch (const toml::parse_error& error) {
    const auto& where = error.source().begin;
    return fail(status_code::invalid_argument,
                troupe::text(file, ":", where.line, ":", where.column, ": ",
                             std::string_view(error.description())));
  }
}

result<duration> parse_duration(std::string_view text) {
  const size_t number_end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view name = text.substr(number_end);
  const auto found =
      std::find_if(units.begin(), units.end(), [&](const unit& u) { return u.name == name; });
  const std::string_view number = text.substr(0, number_end);
  const size_t point = std::min(number.find('.'), number.size());
  const std::string_view whole = number.substr(0, point);
  const std::string_view part = point < number.size() ? number.substr(point + 1) : "";
  const bool pointless = point < number.size() && part.empty();
  if (found == units.end() || whole.empty() || pointless || !digits_only(part) ||
      whole.size() > 18 || part.size() > 18)
    return no_duration(text);
  constexpr int64_t most = 1'000'000'000'000'000'000; // thirty years
  int64_t count = 0;
  for (const char digit : whole) count = count * 10 + (digit - '0');
  if (count > most / found->nanoseconds)
    return fail(status_code::invalid_argument, troupe::text("'", text, "' is too long"));
  int64_t out = count * found->nanoseconds;
  int64_t worth = found->nanoseconds;
  for (const char digit : part) {
    if (worth % 10 != 0 && digit != '0')
      return fail(status_code::invalid_argument,
                  troupe::text("'", text, "' is finer than a nanosecond"));
    worth /= 10;
    out += worth * (digit - '0');
  }
  return duration(out);
}

std::string write_duration(duration what) {
  if (what.count() == 0) return "0ms";
  for (const auto& unit : units)
    if (what.count() % unit.nanoseconds == 0 && unit.name != "h" && unit.name != "m")
      return text(what.count() / unit.nanoseconds, unit.name);
  return text(what.count(), "ns");
}

std::string toml_quoted(std::string_view from) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : from) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += text('\\', c);
    else if (c == '\n')
      out += "\\n";
    else if (code < 0x20 || code == 0x7f)
      out += text("\\u00", hex[code >> 4], hex[code & 15]);
    else
      out += c;
  }
  return out + "\"";
}

table_reader::table_reader(const toml_value& table, std::string_view name, std::string_view file)
    : table_(table), name_(name), file_(file) {
  if (table.is != toml_value::kind::table) complain(table, text(name, " must be a table"));
}

const toml_value* table_reader::find(std::string_view key) {
  known_.emplace_back(key);
  if (!good()) return nullptr;
  return table_.find(key);
}

std::string table_reader::path(std::string_view key) const {
  return name_.empty() ? std::string(key) : text(name_, ".", key);
}

const toml_value* table_reader::take_any(std::string_view key) {
  return find(key);
}

const toml_value* table_reader::take(std::string_view key, toml_value::kind wanted) {
  const toml_value* value = find(key);
  if (value == nullptr || value->is == wanted) return value;
  complain(*value, text(path(key), " must be ", kind_name(wanted)));
  return nullptr;
}

void table_reader::take(std::string_view key, std::string& out) {
  if (const auto* value = take(key, toml_value::kind::string)) out = value->text;
}

void table_reader::take(std::string_view key, bool& out) {
  if (const auto* value = take(key, toml_value::kind::boolean)) out = value->number != 0;
}

void table_reader::take(std::string_view key, int64_t& out, int64_t least, int64_t most) {
  const auto* value = take(key, toml_value::kind::integer);
  if (value == nullptr) return;
  if (value->number < least || value->number > most)
    complain(*value, text(path(key), " is ", value->number, ", must be ", least, " to ", most));
  else
    out = value->number;
}

void table_reader::take(std::string_view key, uint64_t& out, uint64_t least, uint64_t most) {
  int64_t number = static_cast<int64_t>(out);
  take(key, number, static_cast<int64_t>(least), static_cast<int64_t>(most));
  if (good()) out = static_cast<uint64_t>(number);
}

void table_reader::take(std::string_view key, uint32_t& out, uint32_t least, uint32_t most) {
  uint64_t number = out;
  take(key, number, uint64_t{least}, uint64_t{most});
  if (good()) out = static_cast<uint32_t>(number);
}

void table_reader::take(std::string_view key, duration& out, duration least, duration most) {
  const auto* value = find(key);
  if (value == nullptr) return;
  if (value->is != toml_value::kind::string)
    return complain(*value, text(path(key), " must be a duration in quotes, such as \"300ms\""));
  const auto parsed = parse_duration(value->text);
  if (!parsed) return complain(*value, text(path(key), ": ", parsed.error().why()));
  if (*parsed < least || *parsed > most)
    return complain(*value, text(path(key), " is ", value->text, ", must be ",
                                 write_duration(least), " to ", write_duration(most)));
  out = *parsed;
}

void table_reader::complain(std::string_view key, std::string why) {
  const toml_value* value = table_.find(key);
  complain(value == nullptr ? table_ : *value, std::move(why));
}

void table_reader::complain(const toml_value& at, std::string why) {
  if (!good()) return;
  const std::string place = at.line == 0 ? file_ : text(file_, ":", at.line, ":", at.column);
  failure_ = status(status_code::invalid_argument, text(place, ": ", why));
}

void table_reader::fail_with(const status& why) {
  if (good()) failure_ = why;
}

status table_reader::finish() {
  if (!good()) return failure_;
  for (size_t i = 0; i < table_.keys.size(); ++i) {
    const std::string& key = table_.keys[i];
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string near = nearest_name(key, known_);
    complain(table_.items[i], text(path(key), " is no setting",
                                   near.empty() ? "" : text("; did you mean ", near, "?")));
    break;
  }
  return failure_;
}

} // namespace troupe::simulations
