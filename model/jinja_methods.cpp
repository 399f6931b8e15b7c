// The methods of Python's strings, lists and dicts that templates may call. Those that would change
// a value are known and refused, as in the sandbox of transformers.
#include "base/text.hpp"
#include "model/jinja_runtime.hpp"
#include "model/tokenizer_unicode.hpp"

#include <unicode/uchar.h>

#include <algorithm>
#include <utility>

namespace troupe::model {

template_value replace_in_text(jinja_runtime& runtime, jinja_position at, std::string_view subject,
                               std::string_view what, std::string_view with, int64_t count) {
  std::string out;
  size_t done = 0;
  const auto more = [&] { return count < 0 || count-- > 0; };
  if (what.empty()) { // between all letters, and at both ends
    for (const auto letter : split_code_points(subject)) {
      if (more()) {
        if (!runtime.take_bytes(at, with.size())) return {};
        out += with;
      }
      out += letter;
    }
    if (more()) out += with;
    return runtime.make_string(at, std::move(out));
  }
  for (size_t found = 0; (found = subject.find(what, done)) != std::string_view::npos && more();) {
    if (!runtime.take_bytes(at, with.size())) return {};
    out += subject.substr(done, found - done);
    out += with;
    done = found + what.size();
  }
  out += subject.substr(done);
  return runtime.make_string(at, std::move(out));
}

namespace {

using value = template_value;

// The text argument; null, and failed, when it is something else.
const std::string* text_argument(jinja_runtime& runtime, const jinja_call& call, size_t index,
                                 std::string_view name) {
  const value* found = call.find(index, name);
  if (found != nullptr && found->is_string()) return &found->string();
  runtime.fails(call.at, text("argument ", index + 1, " must be a string"));
  return nullptr;
}

template <bool Left, bool Right>
value strip(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const value letters = call.get(0, "chars", nullptr);
  if (letters.is_none())
    return runtime.make_string(call.at, std::string(python_strip(object.string(), Left, Right)));
  const std::string* given = text_argument(runtime, call, 0, "chars");
  if (given == nullptr) return {};
  return runtime.make_string(call.at,
                             std::string(python_strip(object.string(), *given, Left, Right)));
}

template <std::string (*Change)(std::string_view)>
value change(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  return runtime.make_string(call.at, Change(object.string()));
}

template <bool AtEnd>
value has_affix(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const value affix = call.get(0, "prefix", {});
  const auto fits = [&](const value& one) {
    return one.is_string() && (AtEnd ? object.string().ends_with(one.string())
                                     : object.string().starts_with(one.string()));
  };
  if (affix.is_string()) return fits(affix);
  if (affix.is_tuple()) return std::any_of(affix.elements().begin(), affix.elements().end(), fits);
  return runtime.fails(call.at, "the argument must be a string or a tuple of strings");
}

template <bool AtEnd>
value remove_affix(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const std::string* affix = text_argument(runtime, call, 0, "prefix");
  if (affix == nullptr) return {};
  std::string_view rest = object.string();
  if (AtEnd ? rest.ends_with(*affix) : rest.starts_with(*affix)) {
    rest = AtEnd ? rest.substr(0, rest.size() - affix->size()) : rest.substr(affix->size());
  }
  return runtime.make_string(call.at, std::string(rest));
}

std::vector<std::string_view> split_at_white_space(std::string_view rest, int64_t cuts) {
  std::vector<std::string_view> out;
  rest = python_strip(rest, true, false);
  while (!rest.empty()) {
    size_t end = 0;
    while (end < rest.size()) {
      size_t next = end;
      if (is_python_space(next_code_point(rest, next))) break;
      end = next;
    }
    if (cuts == static_cast<int64_t>(out.size())) {
      out.push_back(python_strip(rest, false, true));
      break;
    }
    out.push_back(rest.substr(0, end));
    rest = python_strip(rest.substr(end), true, false);
  }
  return out;
}

template <bool FromEnd>
value split(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const value separator = call.get(0, "sep", nullptr);
  const value cuts_value = call.get(1, "maxsplit", -1);
  const int64_t cuts = cuts_value.is_int() ? cuts_value.integer() : -1;
  std::string_view rest = object.string();
  std::vector<std::string_view> parts;
  if (separator.is_none()) {
    if (FromEnd && cuts >= 0) {
      return runtime.fails(call.at, "rsplit without separator but with a limit is not supported",
                           status_code::unsupported);
    }
    parts = split_at_white_space(rest, cuts);
  } else {
    const std::string* what = text_argument(runtime, call, 0, "sep");
    if (what == nullptr) return {};
    if (what->empty()) return runtime.fails(call.at, "empty separator");
    while (cuts < 0 || static_cast<int64_t>(parts.size()) < cuts) {
      const size_t found = FromEnd ? rest.rfind(*what) : rest.find(*what);
      if (found == std::string_view::npos) break;
      parts.push_back(FromEnd ? rest.substr(found + what->size()) : rest.substr(0, found));
      rest = FromEnd ? rest.substr(0, found) : rest.substr(found + what->size());
    }
    parts.push_back(rest);
    if (FromEnd) std::reverse(parts.begin(), parts.end());
  }
  if (!runtime.take_bytes(call.at, rest.size())) return {};
  return runtime.make_list(call.at, value::items(parts.begin(), parts.end()));
}

value split_lines(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const bool keeps_ends = is_true(call.get(0, "keepends", false));
  const std::string_view all = object.string();
  value::items lines;
  size_t begin = 0;
  for (size_t at = 0; at < all.size();) {
    const size_t end = at;
    const char32_t point = next_code_point(all, at);
    const bool breaks = (point >= 0xA && point <= 0xD) || (point >= 0x1C && point <= 0x1E) ||
                        point == 0x85 || point == 0x2028 || point == 0x2029;
    if (!breaks) continue;
    if (point == '\r' && at < all.size() && all[at] == '\n') ++at;
    lines.emplace_back(all.substr(begin, (keeps_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < all.size()) lines.emplace_back(all.substr(begin));
  return runtime.make_list(call.at, std::move(lines));
}

value replace(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const std::string* what = text_argument(runtime, call, 0, "old");
  const std::string* with = text_argument(runtime, call, 1, "new");
  if (what == nullptr || with == nullptr) return {};
  const value count = call.get(2, "count", -1);
  return replace_in_text(runtime, call.at, object.string(), *what, *with,
                         count.is_int() ? count.integer() : -1);
}

template <bool FromEnd, bool MustBe>
value find(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const std::string* what = text_argument(runtime, call, 0, "sub");
  if (what == nullptr) return {};
  if (call.positional.size() > 1) {
    return runtime.fails(call.at, "a range to search in is not supported",
                         status_code::unsupported);
  }
  const std::string& all = object.string();
  const size_t found = FromEnd ? all.rfind(*what) : all.find(*what);
  if (found != std::string::npos) {
    return static_cast<int64_t>(count_code_points(std::string_view(all).substr(0, found)));
  }
  if (MustBe) return runtime.fails(call.at, "substring not found");
  return -1;
}

value count_text(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const std::string* what = text_argument(runtime, call, 0, "sub");
  if (what == nullptr) return {};
  if (what->empty()) return static_cast<int64_t>(count_code_points(object.string()) + 1);
  int64_t count = 0;
  for (size_t at = 0; (at = object.string().find(*what, at)) != std::string::npos;
       at += what->size())
    ++count;
  return count;
}

value join(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  std::string out;
  bool is_first = true;
  for (const auto& part : runtime.iterate(call.at, call.get(0, "iterable", {}))) {
    if (!part.is_string()) return runtime.fails(call.at, "join() needs strings");
    if (!runtime.take_bytes(call.at, part.string().size() + object.string().size())) return {};
    if (!is_first) out += object.string();
    is_first = false;
    out += part.string();
  }
  return runtime.make_string(call.at, std::move(out));
}

template <bool FromEnd>
value partition(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const std::string* what = text_argument(runtime, call, 0, "sep");
  if (what == nullptr || what->empty()) return runtime.fails(call.at, "empty separator");
  const std::string_view all = object.string();
  const size_t found = FromEnd ? all.rfind(*what) : all.find(*what);
  if (!runtime.take_bytes(call.at, all.size())) return {};
  if (found == std::string_view::npos) {
    return FromEnd ? runtime.make_list(call.at, {"", "", value(all)}, true)
                   : runtime.make_list(call.at, {value(all), "", ""}, true);
  }
  return runtime.make_list(
      call.at, {value(all.substr(0, found)), value(*what), value(all.substr(found + what->size()))},
      true);
}

// Not empty and all letters fit.
template <class Fits>
bool all_letters(const value& object, Fits fits) {
  const std::string& all = object.string();
  for (size_t at = 0; at < all.size();) {
    if (!fits(static_cast<UChar32>(next_code_point(all, at)))) return false;
  }
  return !all.empty();
}

bool is_digit_letter(UChar32 c) {
  const int32_t type = u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

value refuses(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  return runtime.fails(call.at, text("a template may not change a ", python_type(object)));
}

constexpr std::pair<std::string_view, jinja_method> string_methods[] = {
    {"strip", strip<true, true>},
    {"lstrip", strip<true, false>},
    {"rstrip", strip<false, true>},
    {"upper", change<python_upper>},
    {"lower", change<python_lower>},
    {"casefold", change<python_lower>},
    {"title", change<python_title>},
    {"capitalize", change<python_capitalize>},
    {"startswith", has_affix<false>},
    {"endswith", has_affix<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"split", split<false>},
    {"rsplit", split<true>},
    {"splitlines", split_lines},
    {"replace", replace},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count_text},
    {"join", join},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"isspace",
     [](auto&, const value& v, const auto&) -> value {
       return all_letters(v, [](UChar32 c) { return is_python_space(static_cast<char32_t>(c)); });
     }},
    {"isalpha",
     [](auto&, const value& v, const auto&) -> value {
       return all_letters(v, [](UChar32 c) { return (U_MASK(u_charType(c)) & U_GC_L_MASK) != 0; });
     }},
    {"isdigit",
     [](auto&, const value& v, const auto&) -> value { return all_letters(v, is_digit_letter); }},
    {"isdecimal",
     [](auto&, const value& v, const auto&) -> value {
       return all_letters(v, [](UChar32 c) { return u_charType(c) == U_DECIMAL_DIGIT_NUMBER; });
     }},
    {"isnumeric",
     [](auto&, const value& v, const auto&) -> value {
       return all_letters(
           v, [](UChar32 c) { return u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE; });
     }},
    {"isalnum",
     [](auto&, const value& v, const auto&) -> value {
       return all_letters(v, [](UChar32 c) {
         return (U_MASK(u_charType(c)) & U_GC_L_MASK) != 0 ||
                u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE;
       });
     }},
    {"isupper",
     [](auto& r, const value& v, const auto& c) -> value {
       return r.test("upper", v, {.at = c.at});
     }},
    {"islower",
     [](auto& r, const value& v, const auto& c) -> value {
       return r.test("lower", v, {.at = c.at});
     }},
};

value list_index(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const value wanted = call.get(0, "value", {});
  const auto& all = object.elements();
  for (size_t i = 0; i < all.size(); ++i) {
    if (runtime.equal(call.at, all[i], wanted)) return static_cast<int64_t>(i);
  }
  return runtime.fails(call.at, "the value is not in the list");
}

value list_count(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const value wanted = call.get(0, "value", {});
  const auto& all = object.elements();
  return static_cast<int64_t>(std::count_if(all.begin(), all.end(), [&](const value& one) {
    return runtime.equal(call.at, one, wanted);
  }));
}

constexpr std::pair<std::string_view, jinja_method> list_methods[] = {
    {"index", list_index},
    {"count", list_count},
    {"copy", [](auto&, const value& v, const auto&) -> value { return v; }},
    {"append", refuses},
    {"extend", refuses},
    {"insert", refuses},
    {"pop", refuses},
    {"remove", refuses},
    {"clear", refuses},
    {"reverse", refuses},
    {"sort", refuses},
};

value dict_get(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  const value* key = call.find(0, "key");
  if (key == nullptr) return runtime.fails(call.at, "get() needs a key");
  const value* found = object.find(*key);
  return found == nullptr ? call.get(1, "default", nullptr) : *found;
}

value dict_items(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  value::items out;
  for (const auto& [key, member] : object.members()) out.push_back(value::tuple({key, member}));
  return runtime.make_list(call.at, std::move(out));
}

value dict_keys(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  return runtime.make_list(call.at, runtime.iterate(call.at, object));
}

value dict_values(jinja_runtime& runtime, const value& object, const jinja_call& call) {
  value::items out;
  for (const auto& member : object.members()) out.push_back(member.second);
  return runtime.make_list(call.at, std::move(out));
}

constexpr std::pair<std::string_view, jinja_method> dict_methods[] = {
    {"get", dict_get},
    {"items", dict_items},
    {"keys", dict_keys},
    {"values", dict_values},
    {"copy", [](auto&, const value& v, const auto&) -> value { return v; }},
    {"pop", refuses},
    {"popitem", refuses},
    {"update", refuses},
    {"setdefault", refuses},
    {"clear", refuses},
    {"fromkeys", refuses},
};

template <class Methods>
jinja_method find_in(const Methods& methods, std::string_view name) {
  const auto* found = std::find_if(std::begin(methods), std::end(methods),
                                   [name](const auto& method) { return method.first == name; });
  return found == std::end(methods) ? nullptr : found->second;
}

} // namespace

jinja_method find_jinja_method(const template_value& object, std::string_view name) {
  if (object.is_string()) return find_in(string_methods, name);
  if (object.is_list()) return find_in(list_methods, name);
  if (object.is_dict()) return find_in(dict_methods, name);
  return nullptr;
}

} // namespace troupe::model
