// One function for each type of value. What a $ref points at becomes a rule, compiled once and
// later, so that schemas may refer to themselves and to each other.
#include "model/grammar/json_schema.hpp"

#include "base/text.hpp"
#include "model/grammar/json_numbers.hpp"
#include "model/grammar/json_string.hpp"
#include "model/grammar/json_value.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/schema_merge.hpp"
#include "model/json_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

namespace troupe::model {
namespace {

using json = nlohmann::ordered_json;
using expression = expression_book::expression;

constexpr uint32_t depth_max = 150;   // of schemas within schemas
constexpr size_t name_shown_max = 64; // bytes of a member's name in messages
constexpr size_t work_max = 200'000;  // schemas looked at, and values copied for allOf and anyOf
constexpr uint32_t count_max =
    1'000'000; // as a bound of lengths; the grammar's size decides before

struct keyword_type {
  std::string_view keyword;
  std::string_view type; // empty: of any
};
constexpr std::array<keyword_type, 29> keywords = {{
    {"type", ""},
    {"enum", ""},
    {"const", ""},
    {"anyOf", ""},
    {"oneOf", ""},
    {"allOf", ""},
    {"$ref", ""},
    {"properties", "object"},
    {"required", "object"},
    {"additionalProperties", "object"},
    {"unevaluatedProperties", "object"},
    {"minProperties", "object"},
    {"maxProperties", "object"},
    {"propertyNames", "object"},
    {"items", "array"},
    {"prefixItems", "array"},
    {"minItems", "array"},
    {"maxItems", "array"},
    {"uniqueItems", "array"},
    {"minLength", "string"},
    {"maxLength", "string"},
    {"pattern", "string"},
    {"format", "string"},
    {"minimum", "number"},
    {"maximum", "number"},
    {"exclusiveMinimum", "number"},
    {"exclusiveMaximum", "number"},
    {"multipleOf", "number"},
    {"nullable", ""},
}};

const keyword_type* find_keyword(std::string_view name) {
  const auto found = std::find_if(keywords.begin(), keywords.end(),
                                  [name](const auto& each) { return each.keyword == name; });
  return found == keywords.end() ? nullptr : &*found;
}

struct format_pattern {
  std::string_view name;
  std::string_view pattern;
};
// A part of each format that is right without further checks: February has 28 days here.
#define TROUPE_DATE                                             \
  "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]" \
  "|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
#define TROUPE_TIME \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define TROUPE_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define TROUPE_NAME "[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"
constexpr std::array<format_pattern, 7> formats = {{
    {"date", TROUPE_DATE},
    {"time", TROUPE_TIME},
    {"date-time", TROUPE_DATE "T" TROUPE_TIME},
    {"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
    {"ipv4", TROUPE_BYTE "(\\." TROUPE_BYTE "){3}"},
    {"hostname", TROUPE_NAME "(\\." TROUPE_NAME "){0,5}"},
    {"email",
     "[a-zA-Z0-9_+-]{1,30}(\\.[a-zA-Z0-9_+-]{1,30}){0,3}@" TROUPE_NAME "(\\." TROUPE_NAME "){1,5}"},
}};
#undef TROUPE_DATE
#undef TROUPE_TIME
#undef TROUPE_BYTE
#undef TROUPE_NAME

class schema_compiler {
public:
  schema_compiler(expression_book& book, const json& document, const json_schema_options& options)
      : book_(book), values_(book), document_(document), options_(options) {}

  status run() {
    const auto root = book_.declare("the schema");
    references_.emplace("", root);
    waiting_.push_back({"", root});
    while (!waiting_.empty() && why_.ok()) {
      const auto next = waiting_.back();
      waiting_.pop_back();
      const json* target = resolve(next.pointer);
      book_.define(next.rule, schema(*target, "#" + shown(next.pointer), 0));
    }
    return why_;
  }

private:
  struct reference {
    std::string pointer;
    expression_book::rule rule;
  };

  // -- troubles

  expression refuse(const std::string& where, std::string_view why) {
    if (why_.ok()) why_ = status(status_code::invalid_argument, text(where, ": ", why));
    return book_.nothing();
  }

  // Of a name, what a message shows: names may be long, and many schemas lie below one.
  static std::string shown(const std::string& name) {
    if (name.size() <= name_shown_max) return name;
    size_t end = name_shown_max;
    while (end > 0 && (static_cast<uint8_t>(name[end]) & 0xC0) == 0x80) --end;
    return name.substr(0, end) + "...";
  }

  // Of a keyword that would have narrowed what is allowed.
  void not_supported(const std::string& where, std::string_view keyword,
                     std::string_view why = {}) {
    if (options_.lenient) return;
    refuse(where, text("the keyword '", keyword, "' ", why.empty() ? "is not supported" : why));
  }

  void check_keywords(const json& in, const std::string& where) {
    static constexpr std::array refused = {"not",
                                           "if",
                                           "then",
                                           "else",
                                           "dependentSchemas",
                                           "contains",
                                           "minContains",
                                           "maxContains",
                                           "dependentRequired",
                                           "patternProperties",
                                           "$dynamicRef"};
    for (const auto& [name, value] : in.items()) {
      if (find_keyword(name) != nullptr || is_annotation(name)) continue;
      if (options_.lenient || !why_.ok()) continue;
      const bool known = std::find(refused.begin(), refused.end(), name) != refused.end();
      std::vector<std::string> names;
      for (const auto& each : keywords) names.emplace_back(each.keyword);
      const bool long_name = name.size() > name_shown_max;
      const std::string near = known || long_name ? "" : nearest_name(name, names);
      not_supported(
          where, shown(name),
          near.empty() ? "is not supported" : text("is not known; did you mean '", near, "'?"));
    }
    for (const auto& [name, harmless] :
         {std::pair("uniqueItems", json(false)), std::pair("unevaluatedProperties", json(false)),
          std::pair("nullable", json(false)), std::pair("multipleOf", json(1))})
      if (const auto found = in.find(name); found != in.end() && *found != harmless)
        not_supported(where, name);
  }

  // -- any schema

  expression schema(const json& in, const std::string& where, uint32_t depth) {
    if (!why_.ok()) return book_.nothing();
    if (in.is_boolean()) return in == true ? values_.value() : book_.choice({});
    if (!in.is_object()) return refuse(where, "a schema must be an object, true or false");
    if (depth > depth_max)
      return refuse(where, text("schemas are nested more than ", depth_max, " deep"));
    if (++work_ > work_max) return refuse(where, "the schema is too large");
    check_keywords(in, where);
    if (in.contains("$ref")) return ref(in, where, depth);
    if (in.contains("allOf")) return all_of(in, where, depth);
    for (const char* name : {"anyOf", "oneOf"})
      if (in.contains(name)) return any_of(in, name, where, depth);
    if (in.contains("const") || in.contains("enum")) return values(in, where);
    return typed(in, where, depth);
  }

  static bool asserts(const json& in) {
    for (const auto& [name, value] : in.items())
      if (!is_annotation(name)) return true;
    return false;
  }

  static json without(const json& in, const char* keyword) {
    json out = in;
    out.erase(keyword);
    for (const char* definitions : {"$defs", "definitions"}) out.erase(definitions);
    return out;
  }

  static size_t size_of(const json& value) {
    if (!value.is_structured()) return 1;
    size_t out = 1;
    for (const auto& each : value) out += size_of(each);
    return out;
  }

  std::optional<json> merged(const json& a, const json& b, const std::string& where) {
    const size_t sizes = size_of(a) * size_of(b); // each member is looked for in the other
    work_ += size_of(a) + size_of(b) + sizes / 32;
    if (work_ > work_max) {
      refuse(where, "the schema is too large");
      return std::nullopt;
    }
    auto out = merge_schemas(a, b);
    if (out) return std::move(*out);
    refuse(where, text("allOf, anyOf and $ref cannot join ", out.error().why()));
    return std::nullopt;
  }

  const json* resolve(const std::string& pointer) const {
    const json* at = &document_;
    for (size_t begin = 0; begin < pointer.size();) {
      const size_t end = std::min(pointer.find('/', begin + 1), pointer.size());
      std::string name = pointer.substr(begin + 1, end - begin - 1);
      for (const auto& [code, character] : {std::pair("~1", "/"), std::pair("~0", "~")})
        for (size_t i = name.find(code); i != std::string::npos; i = name.find(code, i + 1))
          name.replace(i, 2, character);
      if (at->is_array()) {
        const bool number = !name.empty() && name.size() < 7 &&
                            name.find_first_not_of("0123456789") == std::string::npos;
        const size_t index = number ? std::stoul(name) : at->size();
        if (index >= at->size()) return nullptr;
        at = &(*at)[index];
      } else {
        const auto found = at->find(name); // end() when it is no object
        if (found == at->end()) return nullptr;
        at = &*found;
      }
      begin = end;
    }
    return at;
  }

  expression ref(const json& in, const std::string& where, uint32_t depth) {
    const json& target = in.at("$ref");
    if (!target.is_string() || !target.get_ref<const std::string&>().starts_with('#'))
      return refuse(where, "$ref must begin with '#': other documents are not fetched");
    const std::string pointer = target.get<std::string>().substr(1);
    const json* found = pointer.empty() || pointer.starts_with('/') ? resolve(pointer) : nullptr;
    if (found == nullptr) return refuse(where, text("there is nothing at $ref '#", pointer, "'"));
    const json beside = without(in, "$ref");
    if (asserts(beside)) {
      const auto joined = merged(*found, beside, where);
      return joined ? schema(without(*joined, "$defs"), where, depth + 1) : book_.nothing();
    }
    const auto [entry, fresh] = references_.try_emplace(pointer, 0);
    if (fresh) {
      entry->second = book_.declare("#" + pointer);
      waiting_.push_back({pointer, entry->second});
    }
    return book_.call(entry->second);
  }

  // What a branch says itself, where it only points at it.
  const json& followed(const json& in) const {
    const json* at = &in;
    for (int i = 0; i < 16 && at->is_object() && at->size() == 1 && at->contains("$ref"); ++i) {
      const json& target = at->at("$ref");
      if (!target.is_string() || !target.get_ref<const std::string&>().starts_with('#')) break;
      const std::string pointer = target.get<std::string>().substr(1);
      const json* found = pointer.empty() || pointer.starts_with('/') ? resolve(pointer) : nullptr;
      if (found == nullptr) break;
      at = found;
    }
    return *at;
  }

  const json* branches(const json& in, const char* name, const std::string& where) {
    const json& list = in.at(name);
    if (list.is_array() && !list.empty()) return &list;
    refuse(where, text(name, " must be a list of at least one schema"));
    return nullptr;
  }

  expression all_of(const json& in, const std::string& where, uint32_t depth) {
    const json* list = branches(in, "allOf", where);
    if (list == nullptr) return book_.nothing();
    json joined = without(in, "allOf");
    for (const json& each : *list) {
      auto next = merged(joined, followed(each), where);
      if (!next) return book_.nothing();
      joined = std::move(*next);
    }
    return schema(joined, where, depth + 1);
  }

  expression any_of(const json& in, const char* name, const std::string& where, uint32_t depth) {
    const json* list = branches(in, name, where);
    if (list == nullptr) return book_.nothing();
    const json beside = without(in, name);
    const bool joined = asserts(beside);
    std::vector<expression> parts;
    for (size_t i = 0; i < list->size() && why_.ok(); ++i) {
      const std::string here = text(where, "/", name, "/", i);
      if (!joined) {
        parts.push_back(schema((*list)[i], here, depth + 1));
      } else if (const auto both = merged(beside, followed((*list)[i]), here)) {
        parts.push_back(schema(*both, here, depth + 1));
      }
    }
    return book_.choice(std::move(parts));
  }

  // -- values that are listed

  static bool has_type(const json& value, const json& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "number") return value.is_number();
    return type == "integer" && value.is_number_integer();
  }

  expression values(const json& in, const std::string& where) {
    json list = in.contains("enum") ? in.at("enum") : json::array({in.at("const")});
    if (!list.is_array() || list.empty()) return refuse(where, "enum must be a list of values");
    std::vector<std::string> words;
    for (const json& value : list) {
      if (in.contains("const") && value != in.at("const")) continue;
      if (in.contains("type") && !has_one_type(value, in.at("type"))) continue;
      words.push_back(value.dump());
    }
    for (const auto& [name, value] : in.items()) {
      const auto* keyword = find_keyword(name);
      if (keyword != nullptr && !keyword->type.empty())
        not_supported(where, name, "is not supported beside enum and const");
    }
    if (words.empty()) return refuse(where, "no value of enum or const has the type asked for");
    return book_.words(std::move(words));
  }

  static bool has_one_type(const json& value, const json& types) {
    if (!types.is_array()) return has_type(value, types);
    return std::any_of(types.begin(), types.end(),
                       [&value](const json& type) { return has_type(value, type); });
  }

  // -- types

  expression typed(const json& in, const std::string& where, uint32_t depth) {
    std::vector<std::string> types;
    if (const auto type = in.find("type"); type != in.end()) {
      for (const json& each : type->is_array() ? *type : json::array({*type})) {
        if (!each.is_string()) return refuse(where, "type must be a name or a list of names");
        types.push_back(each.get<std::string>());
      }
    } else { // what the keywords are about
      for (const auto& [name, value] : in.items()) {
        const auto* keyword = find_keyword(name);
        if (keyword == nullptr || keyword->type.empty()) continue;
        if (std::find(types.begin(), types.end(), keyword->type) == types.end())
          types.emplace_back(keyword->type);
      }
      if (types.empty()) return values_.value();
    }
    std::vector<expression> parts;
    for (const auto& type : types) parts.push_back(one_type(type, in, where, depth));
    return book_.choice(std::move(parts));
  }

  expression one_type(const std::string& type, const json& in, const std::string& where,
                      uint32_t depth) {
    if (type == "object") return object(in, where, depth);
    if (type == "array") return array(in, where, depth);
    if (type == "string") return string(in, where);
    if (type == "integer" || type == "number") return number(type == "integer", in, where);
    if (type == "boolean") return book_.words({"true", "false"});
    if (type == "null") return book_.literal("null");
    return refuse(where, text("there is no type '", type, "'"));
  }

  // -- numbers

  // The whole number at which the bound lies; for an integer a fraction rounds inwards.
  std::optional<int64_t> bound(const json& in, const char* name, bool integer, bool upwards,
                               const std::string& where) {
    const auto found = in.find(name);
    if (found == in.end()) return std::nullopt;
    if (!found->is_number()) {
      refuse(where, text(name, " must be a number"));
      return std::nullopt;
    }
    constexpr int64_t far = json_integer_max + 1;
    if (found->is_number_unsigned())
      return static_cast<int64_t>(std::min<uint64_t>(found->get<uint64_t>(), far));
    if (found->is_number_integer()) return std::clamp(found->get<int64_t>(), -far, far);
    const double value = found->get<double>();
    const double whole = upwards ? std::ceil(value) : std::floor(value);
    if (!integer && whole != value) {
      not_supported(where, name, "is supported with whole numbers alone, or for integers");
      return std::nullopt;
    }
    return static_cast<int64_t>(
        std::clamp(whole, -static_cast<double>(far), static_cast<double>(far)));
  }

  static bool is_whole(const json& value) {
    return value.is_number_integer() ||
           (value.is_number() && std::floor(value.get<double>()) == value.get<double>());
  }

  expression number(bool integer, const json& in, const std::string& where) {
    number_bounds bounds;
    bounds.least = bound(in, "minimum", integer, true, where);
    bounds.most = bound(in, "maximum", integer, false, where);
    if (const auto above = bound(in, "exclusiveMinimum", integer, true, where)) {
      const bool strictly = !integer || is_whole(in.at("exclusiveMinimum"));
      if (!bounds.least || *above > *bounds.least || (*above == *bounds.least && strictly)) {
        bounds.least = above;
        bounds.above_least = strictly;
      }
    }
    if (const auto below = bound(in, "exclusiveMaximum", integer, false, where)) {
      const bool strictly = !integer || is_whole(in.at("exclusiveMaximum"));
      if (!bounds.most || *below < *bounds.most || (*below == *bounds.most && strictly)) {
        bounds.most = below;
        bounds.below_most = strictly;
      }
    }
    if (!bounds.any()) return integer ? values_.integer() : values_.number();
    return integer ? json_integer(book_, bounds) : json_number(book_, bounds);
  }

  // -- strings

  std::optional<uint32_t> count(const json& in, const char* name, const std::string& where) {
    const auto found = in.find(name);
    if (found == in.end()) return std::nullopt;
    if (is_whole(*found) && found->get<double>() >= 0 && found->get<double>() <= count_max)
      return static_cast<uint32_t>(found->get<double>());
    refuse(where, text(name, " must be a whole number from 0 to ", count_max));
    return std::nullopt;
  }

  expression string(const json& in, const std::string& where) {
    const auto least = count(in, "minLength", where);
    const auto most = count(in, "maxLength", where);
    const auto pattern = in.find("pattern");
    const auto format = in.find("format");
    const bool bounded = least.value_or(0) > 0 || most;
    if (pattern != in.end()) {
      if (bounded) not_supported(where, "pattern", "is not supported beside a length");
      if (format != in.end()) not_supported(where, "pattern", "is not supported beside format");
      if (!pattern->is_string()) return refuse(where, "pattern must be a string");
      return quoted(pattern->get<std::string>(), false, where + "/pattern");
    }
    if (format != in.end()) {
      const auto known = std::find_if(formats.begin(), formats.end(), [&format](const auto& each) {
        return *format == std::string(each.name);
      });
      if (known != formats.end()) {
        if (bounded) not_supported(where, "format", "is not supported beside a length");
        return quoted(known->pattern, true, where + "/format");
      }
      not_supported(where, "format",
                    text("has no meaning here with the value ", format->dump(),
                         "; known are date, ", "time, date-time, uuid, ipv4, hostname and email"));
    }
    if (!bounded) return values_.string();
    if (most && least.value_or(0) > *most)
      return refuse(where, "minLength is greater than maxLength");
    return book_.sequence({book_.literal("\""),
                           book_.repeat(values_.string_character(), least.value_or(0), most),
                           book_.literal("\"")});
  }

  expression quoted(std::string_view pattern, bool anchored, const std::string& where) {
    auto inside = parse_regex(book_, pattern, {.anchored = anchored, .json_string = true});
    if (!inside) return refuse(where, inside.error().why());
    return book_.sequence({book_.literal("\""), *inside, book_.literal("\"")});
  }

  // -- objects

  struct property {
    std::string name;
    json schema;
    std::string where;
    bool required = false;
  };

  // Whether members that are not named may be there, and what they are like.
  std::optional<json> additional(const json& in) const {
    const auto found = in.find("additionalProperties");
    if (found == in.end()) {
      const bool open = !in.contains("properties");
      return open ? std::optional(json(true)) : std::nullopt;
    }
    if (*found == false) return std::nullopt;
    return *found;
  }

  std::vector<property> properties(const json& in, const std::optional<json>& others,
                                   const std::string& where) {
    std::vector<property> out;
    if (const auto found = in.find("properties"); found != in.end()) {
      if (!found->is_object())
        refuse(where, "properties must be an object");
      else
        for (const auto& [name, schema] : found->items())
          out.push_back({name, schema, text(where, "/properties/", shown(name))});
    }
    const auto required = in.find("required");
    if (required == in.end()) return out;
    if (!required->is_array()) refuse(where, "required must be a list of names");
    if (required->size() > json_ordered_members_max)
      refuse(where, text("required has more than ", json_ordered_members_max, " names"));
    for (const json& name : *required) {
      if (!name.is_string()) refuse(where, "required must be a list of names");
      if (!why_.ok()) return out;
      const auto known = std::find_if(out.begin(), out.end(),
                                      [&name](const auto& each) { return each.name == name; });
      if (known != out.end()) {
        known->required = true;
      } else if (others || !in.contains("additionalProperties")) {
        out.push_back({name.get<std::string>(), others.value_or(json(true)),
                       text(where, "/additionalProperties"), true});
      } else {
        refuse(where, text("required names '", shown(name.get<std::string>()),
                           "', which is no property and no other may be there"));
      }
    }
    return out;
  }

  expression object(const json& in, const std::string& where, uint32_t depth) {
    const auto others = additional(in);
    const auto named = properties(in, others, where);
    if (!why_.ok()) return book_.nothing();
    if (named.empty() && !in.contains("properties")) return map(in, others, where, depth);
    const auto required = static_cast<size_t>(
        std::count_if(named.begin(), named.end(), [](const auto& each) { return each.required; }));
    if (count(in, "minProperties", where).value_or(0) > required)
      not_supported(where, "minProperties", "is not supported beside properties");
    if (const auto most = count(in, "maxProperties", where);
        most && (others || *most < named.size()))
      not_supported(where, "maxProperties", "is not supported beside properties");
    if (in.contains("propertyNames"))
      not_supported(where, "propertyNames", "is not supported beside properties");

    std::optional<expression> other;
    if (others) {
      std::vector<std::string> names;
      for (const auto& each : named) names.push_back(each.name);
      other =
          book_.shared("another member",
                       values_.member(values_.key_other_than(names),
                                      schema(*others, where + "/additionalProperties", depth + 1)));
    }
    return values_.in_braces(members(named, other, depth), '{', '}');
  }

  // The members in their order; `first` and `next` are what may follow from one of them on, when
  // none or some were before.
  expression members(const std::vector<property>& named, const std::optional<expression>& other,
                     uint32_t depth) {
    expression first = book_.nothing();
    expression next = book_.nothing();
    if (other) {
      next = book_.repeat(book_.sequence({values_.comma(), *other}), 0, std::nullopt);
      first = book_.optional(book_.sequence({*other, next}));
    }
    bool some_before = false; // whether a required one comes before
    std::vector<bool> always;
    for (const auto& each : named) {
      always.push_back(some_before);
      some_before = some_before || each.required;
    }
    for (size_t i = named.size(); i-- > 0 && why_.ok();) {
      const auto& each = named[i];
      const expression key = book_.literal(json_quoted(each.name));
      expression entry = values_.member(key, schema(each.schema, each.where, depth + 1));
      const bool both = !always[i] && i > 0; // it may come first or later
      if (both) entry = book_.shared(each.name, entry);
      // Used by up to three: a rule, unless there is just one.
      if (!each.required || both) next = book_.shared("more members", next);
      const expression as_next = book_.sequence({values_.comma(), entry, next});
      const expression as_first = book_.sequence({entry, next});
      first = each.required ? as_first : book_.choice({as_first, first});
      next = each.required ? as_next : book_.choice({as_next, next});
    }
    return first;
  }

  // An object without named members.
  expression map(const json& in, const std::optional<json>& others, const std::string& where,
                 uint32_t depth) {
    const uint32_t least = count(in, "minProperties", where).value_or(0);
    const auto most = count(in, "maxProperties", where);
    if (most && least > *most) return refuse(where, "minProperties is greater than maxProperties");
    const bool plain = !in.contains("propertyNames") && least == 0 && !most;
    if (plain && others == json(true)) return values_.object();
    if (!others) {
      if (least > 0) return refuse(where, "minProperties asks for members, but none may be there");
      return values_.in_braces(book_.nothing(), '{', '}');
    }
    expression key = values_.string();
    if (const auto names = in.find("propertyNames"); names != in.end()) {
      const auto strings = merged(json{{"type", "string"}}, *names, where + "/propertyNames");
      if (!strings) return book_.nothing();
      key = schema(*strings, where + "/propertyNames", depth + 1);
    }
    const expression value = schema(*others, where + "/additionalProperties", depth + 1);
    return list(book_.shared("member", values_.member(key, value)), least, most, '{', '}');
  }

  // -- arrays

  expression list(expression item, uint32_t least, std::optional<uint32_t> most, char open,
                  char close) {
    if (most == 0) return values_.in_braces(book_.nothing(), open, close);
    const expression more =
        book_.repeat(book_.sequence({values_.comma(), item}), least > 0 ? least - 1 : 0,
                     most ? std::optional(*most - 1) : std::nullopt);
    const expression all = book_.sequence({item, more});
    return values_.in_braces(least == 0 ? book_.optional(all) : all, open, close);
  }

  expression array(const json& in, const std::string& where, uint32_t depth) {
    const uint32_t least = count(in, "minItems", where).value_or(0);
    const auto most = count(in, "maxItems", where);
    if (most && least > *most) return refuse(where, "minItems is greater than maxItems");
    const auto prefix = in.find("prefixItems");
    const auto items = in.find("items");
    if (prefix != in.end()) return tuple(in, least, most, where, depth);
    if (items == in.end() && least == 0 && !most) return values_.array();
    if (items != in.end() && *items == false) {
      if (least > 0) return refuse(where, "minItems asks for items, but none may be there");
      return list(book_.nothing(), 0, 0, '[', ']');
    }
    const expression item =
        items == in.end() ? values_.value() : schema(*items, where + "/items", depth + 1);
    return list(book_.shared("item", item), least, most, '[', ']');
  }

  // Items that have a schema each, and maybe others behind them.
  expression tuple(const json& in, uint32_t least, std::optional<uint32_t> most,
                   const std::string& where, uint32_t depth) {
    const json& prefix = in.at("prefixItems");
    if (!prefix.is_array()) return refuse(where, "prefixItems must be a list of schemas");
    const auto named =
        static_cast<uint32_t>(std::min<size_t>(prefix.size(), most.value_or(UINT32_MAX)));
    const auto items = in.find("items");
    // Whatever is not said about further items, they are only written where they are asked for.
    const bool open = items != in.end() ? *items != false : least > named;
    if (!open && least > named)
      return refuse(where, "minItems asks for more items than may be there");
    expression rest = book_.nothing();
    if (open && (!most || *most > named)) {
      const expression item =
          items == in.end() ? values_.value() : schema(*items, where + "/items", depth + 1);
      const expression shared = book_.shared("item", item);
      const expression more = book_.sequence({values_.comma(), shared});
      if (named == 0) return list(shared, least, most, '[', ']');
      rest = book_.repeat(more, least > named ? least - named : 0,
                          most ? std::optional(*most - named) : std::nullopt);
    }
    for (uint32_t i = named; i-- > 0 && why_.ok();) {
      const expression item = schema(prefix[i], text(where, "/prefixItems/", i), depth + 1);
      rest = i > 0 ? book_.sequence({values_.comma(), item, rest}) : book_.sequence({item, rest});
      if (i >= least) rest = book_.shared("more items", book_.optional(rest));
    }
    return values_.in_braces(rest, '[', ']');
  }

  expression_book& book_;
  json_value_writer values_;
  const json& document_;
  const json_schema_options options_;
  status why_;
  size_t work_ = 0;
  std::map<std::string, expression_book::rule> references_;
  std::vector<reference> waiting_;
};

} // namespace

status parse_json_schema(expression_book& book, std::string_view schema,
                         const json_schema_options& options) {
  const auto document = parse_ordered_json(schema, "the schema");
  if (!document) return {status_code::invalid_argument, document.error().why()};
  return schema_compiler(book, *document, options).run();
}

void any_json_object(expression_book& book) {
  const auto root = book.declare("the answer");
  book.define(root, json_value_writer(book).object());
}

} // namespace troupe::model
