// The filters of Jinja that chat templates use, and tojson as transformers has it.
#include "base/text.hpp"
#include "model/jinja_runtime.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace troupe::model {
namespace {

using value = template_value;

// The subject as text, as most text filters take it.
std::string subject_text(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  return runtime.to_text(call.at, subject);
}

template <std::string (*Change)(std::string_view)>
value change(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  return runtime.make_string(call.at, Change(subject_text(runtime, subject, call)));
}

value trim(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const std::string all = subject_text(runtime, subject, call);
  const value letters = call.get(0, "chars", nullptr);
  return runtime.make_string(
      call.at, std::string(letters.is_string() ? python_strip(all, letters.string(), true, true)
                                               : python_strip(all, true, true)));
}

// Jinja's own title: a word begins at the start and behind blanks, dashes and opening brackets.
value title(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const std::string all = subject_text(runtime, subject, call);
  std::string out;
  bool at_start = true;
  for (const auto letter : split_code_points(all)) {
    const bool separates = letter == "-" || letter == "(" || letter == "{" || letter == "[" ||
                           letter == "<" || python_strip(letter, true, true).empty();
    out += separates ? std::string(letter) : at_start ? python_upper(letter) : python_lower(letter);
    at_start = separates;
  }
  return runtime.make_string(call.at, std::move(out));
}

value escape(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  std::string out;
  for (const char c : subject_text(runtime, subject, call)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return runtime.make_string(call.at, std::move(out));
}

value replace(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value* what = call.find(0, "old");
  const value* with = call.find(1, "new");
  if (what == nullptr || with == nullptr)
    return runtime.fails(call.at, "replace needs two arguments");
  const value count = call.get(2, "count", nullptr);
  return replace_in_text(runtime, call.at, subject_text(runtime, subject, call),
                         runtime.to_text(call.at, *what), runtime.to_text(call.at, *with),
                         count.is_int() ? count.integer() : -1);
}

value indent(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value width = call.get(0, "width", 4);
  const bool indents_first = is_true(call.get(1, "first", false));
  const bool indents_blank = is_true(call.get(2, "blank", false));
  std::string margin;
  if (width.is_string()) {
    margin = width.string();
  } else if (width.is_int() && width.integer() >= 0 && width.integer() <= 1000) {
    margin.assign(static_cast<size_t>(width.integer()), ' ');
  } else {
    return runtime.fails(call.at, "indent needs a width up to 1000 or a string");
  }
  const std::string all = subject_text(runtime, subject, call);
  std::string out;
  for (size_t begin = 0, line = 0; begin <= all.size(); ++line) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    const bool wants = line == 0 ? indents_first : indents_blank || end > begin;
    if (wants && !runtime.take_bytes(call.at, margin.size())) return {};
    if (wants) out += margin;
    out.append(all, begin, end - begin);
    if (end < all.size()) out += '\n';
    begin = end + 1;
  }
  return runtime.make_string(call.at, std::move(out));
}

value length(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const auto count = runtime.length(subject);
  if (count) return *count;
  return runtime.fails(call.at, text("object of type '", python_type(subject), "' has no len()"));
}

value default_value(jinja_runtime&, const value& subject, const jinja_call& call) {
  const bool replaces_false = is_true(call.get(1, "boolean", false));
  const bool is_missing = subject.is_undefined() || (replaces_false && !is_true(subject));
  return is_missing ? call.get(0, "default_value", "") : subject;
}

value to_list(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  return runtime.make_list(call.at, runtime.iterate(call.at, subject));
}

value items(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  if (subject.is_undefined()) return runtime.make_list(call.at, {});
  if (!subject.is_dict()) return runtime.fails(call.at, "can only get item pairs from a mapping");
  return runtime.call(runtime.attribute(call.at, subject, "items"), {.at = call.at});
}

value first(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const auto all = runtime.iterate(call.at, subject);
  return all.empty() ? value::undefined("first") : all.front();
}

value last(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const auto all = runtime.iterate(call.at, subject);
  return all.empty() ? value::undefined("last") : all.back();
}

value reverse(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  auto all = runtime.iterate(call.at, subject);
  std::reverse(all.begin(), all.end());
  if (!subject.is_string()) return runtime.make_list(call.at, std::move(all));
  std::string out;
  for (const auto& letter : all) out += letter.string();
  return runtime.make_string(call.at, std::move(out));
}

value join(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const std::string separator = runtime.to_text(call.at, call.get(0, "d", ""));
  const value path = call.get(1, "attribute", nullptr);
  std::string out;
  bool is_first = true;
  for (const auto& part : runtime.iterate(call.at, subject)) {
    if (!is_first) out += separator;
    is_first = false;
    out += runtime.to_text(call.at,
                           path.is_none() ? part : runtime.attribute_path(call.at, part, path));
    if (!runtime.take_bytes(call.at, separator.size())) return {};
  }
  return runtime.make_string(call.at, std::move(out));
}

// What sort, unique, min and max go by: the attribute, in lower case unless case matters.
value sort_key(jinja_runtime& runtime, const value& element, const value& path, bool case_sensitive,
               jinja_position at) {
  value key = path.is_none() ? element : runtime.attribute_path(at, element, path);
  if (case_sensitive || !key.is_string()) return key;
  return runtime.make_string(at, python_lower(key.string()));
}

using keyed = std::pair<value, value>; // key, element

void sort_by_key(jinja_runtime& runtime, std::vector<keyed>& all, bool reversed,
                 jinja_position at) {
  bool comparable = true;
  if (!runtime.take_steps(at, all.size() * 16)) return;
  std::stable_sort(all.begin(), all.end(), [&](const keyed& a, const keyed& b) {
    const auto order = python_compare(a.first, b.first);
    comparable = comparable && order.has_value();
    return order && (reversed ? *order > 0 : *order < 0);
  });
  if (!comparable) runtime.fails(at, "the values cannot be compared");
}

std::vector<keyed> with_keys(jinja_runtime& runtime, const value& subject, const value& path,
                             bool case_sensitive, jinja_position at) {
  std::vector<keyed> out;
  for (const auto& element : runtime.iterate(at, subject)) {
    out.emplace_back(sort_key(runtime, element, path, case_sensitive, at), element);
  }
  return out;
}

value sort(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const bool reversed = is_true(call.get(0, "reverse", false));
  const bool case_sensitive = is_true(call.get(1, "case_sensitive", false));
  auto all =
      with_keys(runtime, subject, call.get(2, "attribute", nullptr), case_sensitive, call.at);
  sort_by_key(runtime, all, reversed, call.at);
  value::items out;
  for (auto& entry : all) out.push_back(std::move(entry.second));
  return runtime.make_list(call.at, std::move(out));
}

value dict_sort(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  if (!subject.is_dict()) return runtime.fails(call.at, "dictsort needs a mapping");
  const bool case_sensitive = is_true(call.get(0, "case_sensitive", false));
  const value by = call.get(1, "by", "key");
  const bool reversed = is_true(call.get(2, "reverse", false));
  const bool by_value = by.is_string() && by.string() == "value";
  std::vector<keyed> all;
  for (const auto& [key, member] : subject.members()) {
    all.emplace_back(sort_key(runtime, by_value ? member : key, nullptr, case_sensitive, call.at),
                     value::tuple({key, member}));
  }
  sort_by_key(runtime, all, reversed, call.at);
  value::items out;
  for (auto& entry : all) out.push_back(std::move(entry.second));
  return runtime.make_list(call.at, std::move(out));
}

value unique(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const bool case_sensitive = is_true(call.get(0, "case_sensitive", false));
  auto all =
      with_keys(runtime, subject, call.get(1, "attribute", nullptr), case_sensitive, call.at);
  value::items keys;
  value::items out;
  for (auto& [key, element] : all) {
    const bool is_known = std::any_of(
        keys.begin(), keys.end(),
        [&, &key = key](const value& known) { return runtime.equal(call.at, known, key); });
    if (runtime.failed()) return {};
    if (is_known) continue;
    keys.push_back(key);
    out.push_back(element);
  }
  return runtime.make_list(call.at, std::move(out));
}

template <int Wanted>
value extreme(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const bool case_sensitive = is_true(call.get(0, "case_sensitive", false));
  const auto all =
      with_keys(runtime, subject, call.get(1, "attribute", nullptr), case_sensitive, call.at);
  if (all.empty()) return value::undefined("no element");
  const keyed* best = &all.front();
  for (const auto& entry : all) {
    const auto order = python_compare(entry.first, best->first);
    if (!order) return runtime.fails(call.at, "the values cannot be compared");
    if (*order == Wanted) best = &entry;
  }
  return best->second;
}

value sum(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value path = call.get(0, "attribute", nullptr);
  value total = call.get(1, "start", 0);
  for (const auto& element : runtime.iterate(call.at, subject)) {
    total =
        runtime.binary(call.at, "+", total,
                       path.is_none() ? element : runtime.attribute_path(call.at, element, path));
  }
  return total;
}

// map(attribute=…, default=…) or map('filter', …).
value map(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value* path = call.find(call.positional.size(), "attribute");
  const value* fallback = call.find(call.positional.size(), "default");
  if (path == nullptr && (call.positional.empty() || !call.positional.front().is_string())) {
    return runtime.fails(call.at, "map needs a filter or an attribute");
  }
  jinja_call inner{.at = call.at, .named = call.named};
  if (path == nullptr) inner.positional.assign(call.positional.begin() + 1, call.positional.end());
  value::items out;
  for (const auto& element : runtime.iterate(call.at, subject)) {
    if (runtime.failed()) return {};
    if (path == nullptr) {
      out.push_back(runtime.filter(call.positional.front().string(), element, inner));
      continue;
    }
    out.push_back(runtime.attribute_path(call.at, element, *path, fallback));
  }
  return runtime.make_list(call.at, std::move(out));
}

// select, reject, selectattr and rejectattr: ('attribute',) 'test', arguments of the test.
template <bool Keeps, bool ByAttribute>
value select(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  constexpr size_t test_index = ByAttribute ? 1 : 0;
  if (ByAttribute && call.positional.empty())
    return runtime.fails(call.at, "missing the attribute");
  const value* test = call.positional.size() > test_index ? &call.positional[test_index] : nullptr;
  if (test != nullptr && !test->is_string())
    return runtime.fails(call.at, "the test must be a name");
  jinja_call inner{.at = call.at};
  if (test != nullptr) {
    inner.positional.assign(call.positional.begin() + test_index + 1, call.positional.end());
  }
  value::items out;
  for (const auto& element : runtime.iterate(call.at, subject)) {
    const value judged =
        ByAttribute ? runtime.attribute_path(call.at, element, call.positional[0]) : element;
    const bool holds =
        test == nullptr ? is_true(judged) : runtime.test(test->string(), judged, inner);
    if (runtime.failed()) return {};
    if (holds == Keeps) out.push_back(element);
  }
  return runtime.make_list(call.at, std::move(out));
}

value batch(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value size = call.get(0, "linecount", {});
  const value fill = call.get(1, "fill_with", nullptr);
  if (!size.is_int() || size.integer() <= 0 || size.integer() > 100000) {
    return runtime.fails(call.at, "batch needs a size");
  }
  value::items out;
  value::items row;
  for (auto& element : runtime.iterate(call.at, subject)) {
    row.push_back(std::move(element));
    if (row.size() == static_cast<size_t>(size.integer()))
      out.push_back(value::list(std::exchange(row, {})));
  }
  if (!row.empty()) {
    if (!fill.is_none()) row.resize(static_cast<size_t>(size.integer()), fill);
    out.push_back(value::list(std::move(row)));
  }
  return runtime.make_list(call.at, std::move(out));
}

value absolute(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  if (!subject.is_number()) return runtime.fails(call.at, "abs needs a number");
  if (subject.is_float()) return std::fabs(subject.number());
  return subject.integer() < 0 ? runtime.negate(call.at, subject) : value(subject.integer());
}

// Python's round: halves to even. The digits decide through decimal text, as in Python.
double round_half_even(double number, int64_t digits) {
  if (digits == 0 || !std::isfinite(number)) return std::nearbyint(number);
  char buffer[512];
  const int shown = static_cast<int>(std::clamp<int64_t>(digits, 0, 300));
  if (digits > 0) {
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed, shown);
    double rounded = number;
    if (end.ec == std::errc()) std::from_chars(buffer, end.ptr, rounded);
    return rounded;
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(number / unit) * unit;
}

value round(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value precision = call.get(0, "precision", 0);
  const value method = call.get(1, "method", "common");
  if (!subject.is_number() || !precision.is_int())
    return runtime.fails(call.at, "round needs numbers");
  const double number = subject.number();
  if (method.is_string() && method.string() == "common") {
    if (!subject.is_float()) {
      if (precision.integer() >= 0) return value(subject.integer());
      return static_cast<int64_t>(round_half_even(number, precision.integer()));
    }
    return round_half_even(number, precision.integer());
  }
  if (!method.is_string() || (method.string() != "ceil" && method.string() != "floor")) {
    return runtime.fails(call.at, "method must be common, ceil or floor");
  }
  const double unit = std::pow(10.0, static_cast<double>(precision.integer()));
  return (method.string() == "ceil" ? std::ceil(number * unit) : std::floor(number * unit)) / unit;
}

// The number a whole text stands for.
template <class Number>
std::optional<Number> parse_number(const std::string& source) {
  const std::string_view trimmed = python_strip(source, true, true);
  const std::string_view digits = trimmed.starts_with('+') ? trimmed.substr(1) : trimmed;
  Number number{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return number;
}

value to_int(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value fallback = call.get(0, "default", 0);
  const value base = call.get(1, "base", 10);
  if (!base.is_int() || base.integer() != 10) {
    return runtime.fails(call.at, "only base 10 is supported", status_code::unsupported);
  }
  if (subject.is_int() || subject.is_bool()) return subject.integer();
  double number = 0;
  if (subject.is_float()) {
    number = subject.number();
  } else if (subject.is_string()) {
    if (const auto whole = parse_number<int64_t>(subject.string())) return *whole;
    const auto parsed = parse_number<double>(subject.string());
    if (!parsed) return fallback;
    number = *parsed;
  } else {
    return fallback;
  }
  return std::fabs(number) < 9e18 ? value(static_cast<int64_t>(number)) : fallback;
}

value to_float(jinja_runtime&, const value& subject, const jinja_call& call) {
  if (subject.is_number()) return subject.number();
  if (subject.is_string()) {
    if (const auto parsed = parse_number<double>(subject.string())) return *parsed;
  }
  return call.get(0, "default", 0.0);
}

value to_string(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  return runtime.make_string(call.at, subject_text(runtime, subject, call));
}

value get_attribute(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const value name = call.get(0, "name", {});
  if (!name.is_string()) return runtime.fails(call.at, "attr needs a name");
  if (subject.is_dict()) return value::undefined(name.string()); // members are no attributes
  return runtime.attribute(call.at, subject, name.string());
}

value word_count(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  const std::string all = subject_text(runtime, subject, call);
  const auto words = runtime.call(runtime.attribute(call.at, all, "split"), {.at = call.at});
  return runtime.length(words).value_or(0);
}

value to_json(jinja_runtime& runtime, const value& subject, const jinja_call& call) {
  json_style style;
  style.ascii_only = is_true(call.get(0, "ensure_ascii", false));
  const value indent = call.get(1, "indent", nullptr);
  const value separators = call.get(2, "separators", nullptr);
  style.sorts_keys = is_true(call.get(3, "sort_keys", false));
  if (indent.is_int()) {
    if (indent.integer() > 100) return runtime.fails(call.at, "an indent of more than 100");
    style.indent = std::string(static_cast<size_t>(std::max<int64_t>(indent.integer(), 0)), ' ');
  } else if (indent.is_string()) {
    style.indent = indent.string();
  }
  if (style.indent) style.item_separator.assign(1, ',');
  if (separators.is_list() && separators.elements().size() == 2) {
    style.item_separator = runtime.to_text(call.at, separators.elements()[0]);
    style.key_separator = runtime.to_text(call.at, separators.elements()[1]);
  }
  bounded_text out(size_t{64} << 20);
  if (!append_json(out, subject, style)) {
    return runtime.fails(
        call.at, text("a value of type ", python_type(subject), " cannot be written as JSON"));
  }
  if (out.overflowed())
    return runtime.fails(call.at, "the JSON text is too long", status_code::exhausted);
  return runtime.make_string(call.at, out.take());
}

constexpr std::pair<std::string_view, jinja_filter> filters[] = {
    {"trim", trim},
    {"upper", change<python_upper>},
    {"lower", change<python_lower>},
    {"capitalize", change<python_capitalize>},
    {"title", title},
    {"escape", escape},
    {"e", escape},
    {"forceescape", escape},
    {"safe", to_string},
    {"string", to_string},
    {"replace", replace},
    {"indent", indent},
    {"length", length},
    {"count", length},
    {"default", default_value},
    {"d", default_value},
    {"list", to_list},
    {"items", items},
    {"first", first},
    {"last", last},
    {"reverse", reverse},
    {"join", join},
    {"sort", sort},
    {"dictsort", dict_sort},
    {"unique", unique},
    {"min", extreme<-1>},
    {"max", extreme<1>},
    {"sum", sum},
    {"map", map},
    {"select", select<true, false>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<false, true>},
    {"batch", batch},
    {"abs", absolute},
    {"round", round},
    {"int", to_int},
    {"float", to_float},
    {"attr", get_attribute},
    {"wordcount", word_count},
    {"tojson", to_json},
};

} // namespace

jinja_filter find_jinja_filter(std::string_view name) {
  const auto* found = std::find_if(std::begin(filters), std::end(filters),
                                   [name](const auto& filter) { return filter.first == name; });
  return found == std::end(filters) ? nullptr : found->second;
}

} // namespace troupe::model
