// Schemas: texts they accept and refuse, answers drawn from them against a validator written here,
// and keywords that are refused by name.
#include "tests/unit/model_grammar/grammar_test.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace troupe::model {
namespace {

using tests::accepts;
using tests::draw_answer;
using tests::kind;
using tests::matcher_of;
using tests::refusal;
using json = nlohmann::json;

// -- a validator of its own, over parsed values

size_t characters(const std::string& text) {
  size_t out = 0;
  for (const char c : text) out += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return out;
}

bool has_type(const json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == (value.is_boolean() ? "boolean" : value.type_name());
}

bool valid(const json& value, const json& schema, const json& root);

bool valid_object(const json& value, const json& schema, const json& root) {
  for (const auto& name : schema.value("required", json::array()))
    if (!value.contains(name.get<std::string>())) return false;
  const json properties = schema.value("properties", json::object());
  for (const auto& [name, member] : value.items()) {
    if (properties.contains(name)) {
      if (!valid(member, properties[name], root)) return false;
    } else if (schema.contains("additionalProperties") &&
               !valid(member, schema["additionalProperties"], root)) {
      return false;
    }
    if (schema.contains("propertyNames") && !valid(name, schema["propertyNames"], root))
      return false;
  }
  return value.size() >= schema.value("minProperties", 0u) &&
         value.size() <= schema.value("maxProperties", 1'000'000u);
}

bool valid_array(const json& value, const json& schema, const json& root) {
  const json prefix = schema.value("prefixItems", json::array());
  for (size_t i = 0; i < value.size(); ++i) {
    if (i < prefix.size() ? !valid(value[i], prefix[i], root)
                          : schema.contains("items") && !valid(value[i], schema["items"], root))
      return false;
  }
  return value.size() >= schema.value("minItems", 0u) &&
         value.size() <= schema.value("maxItems", 1'000'000u);
}

bool valid_number(double value, const json& schema) {
  return value >= schema.value("minimum", -INFINITY) &&
         value <= schema.value("maximum", INFINITY) &&
         value > schema.value("exclusiveMinimum", -INFINITY) &&
         value < schema.value("exclusiveMaximum", INFINITY);
}

bool valid(const json& value, const json& schema, const json& root) {
  if (schema.is_boolean()) return schema.get<bool>();
  if (schema.contains("$ref")) {
    const json target = root.at(json::json_pointer(schema["$ref"].get<std::string>().substr(1)));
    if (!valid(value, target, root)) return false;
  }
  for (const auto& part : schema.value("allOf", json::array()))
    if (!valid(value, part, root)) return false;
  for (const char* name : {"anyOf", "oneOf"})
    if (schema.contains(name)) {
      bool some = false;
      for (const auto& part : schema[name]) some = some || valid(value, part, root);
      if (!some) return false;
    }
  if (schema.contains("const") && value != schema["const"]) return false;
  if (schema.contains("enum")) {
    bool some = false;
    for (const auto& each : schema["enum"]) some = some || each == value;
    if (!some) return false;
  }
  if (schema.contains("type")) {
    bool some = false;
    for (const auto& type :
         schema["type"].is_array() ? schema["type"] : json::array({schema["type"]}))
      some = some || has_type(value, type.get<std::string>());
    if (!some) return false;
  }
  if (value.is_object()) return valid_object(value, schema, root);
  if (value.is_array()) return valid_array(value, schema, root);
  if (value.is_number()) return valid_number(value.get<double>(), schema);
  if (!value.is_string()) return true;
  const size_t length = characters(value.get<std::string>());
  return length >= schema.value("minLength", 0u) && length <= schema.value("maxLength", 1'000'000u);
}

// -- drawing

const std::vector<std::string> schemas = {
    R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},
        "required":["name","age"],"additionalProperties":false})",
    R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"},
        "c":{"type":"null"},"d":{"type":"number"}},"required":["c"],"additionalProperties":false})",
    R"({"type":"object","properties":{"a":{"type":"integer"},"ab":{"type":"boolean"}},
        "additionalProperties":{"type":"string","maxLength":2}})",
    R"({"type":"array","items":{"type":"integer","minimum":-12,"maximum":305},"minItems":1,"maxItems":4})",
    R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"boolean"}],"items":{"type":"null"},
        "minItems":1,"maxItems":4})",
    R"({"enum":["red",1,null,{"a":[true]},"q\"\n"]})",
    R"({"const":{"k":[1,2]}})",
    R"({"type":["string","null"],"minLength":1,"maxLength":3})",
    R"({"anyOf":[{"type":"integer","exclusiveMinimum":-3,"exclusiveMaximum":3},{"type":"boolean"}]})",
    R"({"type":"number","minimum":-2,"maximum":11})",
    R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
    R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},
        "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],
        "additionalProperties":false}},"$ref":"#/$defs/node"})",
    R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":3}},"required":["a"]},
        {"properties":{"a":{"type":"integer","maximum":5},"b":{"type":"boolean"}},"required":["b"]}]})",
    R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":3,
        "propertyNames":{"enum":["x","y","z"]}})",
    R"({"type":"object","properties":{"kind":{"const":"a"}},"anyOf":[
        {"properties":{"x":{"type":"integer"}},"required":["x"]},
        {"properties":{"y":{"type":"boolean"}},"required":["kind","y"]}]})",
    R"({"type":"object","required":["q"],"additionalProperties":{"type":"boolean"}})",
    R"({})",
};

TEST(json_schema, what_is_drawn_is_valid) {
  for (const auto& schema : schemas) {
    const auto of = matcher_of({kind::json_schema, schema});
    ASSERT_NE(of, nullptr);
    const json parsed = json::parse(schema);
    size_t complete = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const auto answer = draw_answer(of, seed, 150);
      if (!answer.complete) continue;
      ++complete;
      const json value = json::parse(answer.text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << schema << "\n" << answer.text;
      EXPECT_TRUE(valid(value, parsed, parsed)) << schema << "\n" << answer.text;
    }
    EXPECT_GT(complete, 5u) << schema;
  }
}

TEST(json_schema, any_object_is_an_object_and_parses) {
  const auto of = matcher_of({kind::json_object, ""});
  size_t complete = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto answer = draw_answer(of, seed, 150);
    if (!answer.complete) continue;
    ++complete;
    EXPECT_TRUE(json::parse(answer.text, nullptr, false).is_object()) << answer.text;
  }
  EXPECT_GT(complete, 20u);
}

// -- texts

struct text_case {
  std::string schema;
  std::vector<std::string> good;
  std::vector<std::string> bad;
};

TEST(json_schema, accepts_and_refuses_texts) {
  const std::vector<text_case> cases = {
      {R"({"type":"string"})",
       {R"("")", R"("a\n\u00e9\ud83d\ude00")", "\"\xE2\x82\xAC\""},
       {R"("\ud83d")", R"("\x")", "\"\n\"", "\"", "1"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("a\n")", "\"\xC3\xA9\xC3\xA9\xC3\xA9\""},
       {R"("a")", R"("abcd")"}},
      {R"({"type":"string","pattern":"^[a-c]+\\d$"})",
       {R"("ab1")"},
       {R"("1")", R"("ab1 ")", R"("xab1")"}},
      {R"({"type":"string","pattern":"b+"})",
       {R"("abc")", R"("b")", R"("\"b\n")"},
       {R"("ac")", R"("")"}},
      {R"({"type":"string","pattern":"^\"\\\\\\s$"})", {R"("\"\\\n")", R"("\"\\ ")"}, {R"(""\ ")"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-01-31")"},
       {R"("2024-02-30")", R"("2024-13-01")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("123e4567-e89b-12d3-a456-426614174000")"},
       {R"("123e4567")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-01-31T23:59:59Z")"},
       {R"("2024-01-31")"}},
      {R"({"type":"string","format":"ipv4"})",
       {R"("1.20.255.0")"},
       {R"("1.2.3")", R"("256.1.1.1")"}},
      {R"({"type":"string","format":"email"})", {R"("a.b@c.org")"}, {R"("a@")", R"("@b.c")"}},
      {R"({"type":"integer"})", {"0", "-1", "123"}, {"01", "1.0", "+1", "-"}},
      {R"({"type":"integer","minimum":0})", {"0", "5", "1000000"}, {"-1", "-0"}},
      {R"({"type":"integer","minimum":-5,"exclusiveMaximum":120})",
       {"-5", "0", "99", "119"},
       {"-6", "120"}},
      {R"({"type":"integer","minimum":0.5,"maximum":2.5})", {"1", "2"}, {"0", "3"}},
      {R"({"type":"number"})", {"0", "-1.25", "3e-7", "1E+20"}, {".5", "1.", "1e999", "NaN"}},
      {R"({"type":"number","minimum":0,"maximum":1})", {"0", "1", "0.25"}, {"1.5", "-0.5", "2"}},
      {R"({"type":"number","maximum":-1})", {"-1", "-1.5", "-20"}, {"-0.5", "0", "1"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"True", "1"}},
      {R"({"properties":{"a":true}})", {"{}", R"({"a":[1]})", R"({"a": 1})"}, {R"({"b":1})", "[]"}},
      {R"({"properties":{"a":{"type":"null"},"b":{"type":"null"}},"required":["b"]})",
       {R"({"b":null})", R"({"a":null,"b":null})", "{\n  \"a\": null,\n  \"b\": null\n}"},
       {R"({"a":null})", R"({"b":null,"a":null})", R"({"b":null,})"}},
      {R"({"properties":{"ab":{"type":"null"}},"additionalProperties":true})",
       {R"({"ab":null,"abc":1})", R"({"a":1})", R"({"x":{}})", "{}"},
       {R"({"ab":1})", R"({"a":1,"ab":null})"}},
      {R"({"items":{"type":"boolean"}})", {"[]", "[true, false]"}, {"[1]", "[true"}},
      {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","minItems":2})", {"[1,{}]"}, {"[1]"}},
      {R"({"type":"array","prefixItems":[{"type":"null"},{"type":"null"}]})",
       {"[]", "[null]", "[null,null]"},
       {"[null,null,null]"}},
      {R"({"enum":["a","b"],"type":"string"})", {R"("a")"}, {R"("c")", R"("a)"}},
      {R"({"oneOf":[{"type":"null"},{"$ref":"#/definitions/x~1y"}],"definitions":{"x/y":{"const":7}}})",
       {"null", "7"},
       {"8"}},
      {R"({"anyOf":[{"type":"null"},false]})", {"null"}, {"1"}},
      {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
  };
  for (const auto& [schema, good, bad] : cases) {
    const auto of = matcher_of({kind::json_schema, schema});
    ASSERT_NE(of, nullptr);
    for (const auto& text : good) EXPECT_TRUE(accepts(of, text)) << schema << "\n" << text;
    for (const auto& text : bad) EXPECT_FALSE(accepts(of, text)) << schema << "\n" << text;
  }
}

TEST(json_schema, every_integer_of_a_range_and_no_other) {
  for (const auto& [least, most] : std::vector<std::pair<int, int>>{
           {0, 0}, {-1, 1}, {7, 13}, {-120, -99}, {-15, 1005}, {98, 102}, {10, 99}, {-7, -7}}) {
    const auto of =
        matcher_of({kind::json_schema,
                    json{{"type", "integer"}, {"minimum", least}, {"maximum", most}}.dump()});
    for (int value = -1200; value <= 1200; ++value)
      EXPECT_EQ(accepts(of, std::to_string(value)), least <= value && value <= most)
          << value << " in " << least << " .. " << most;
  }
}

TEST(json_schema, refuses_what_it_cannot_keep_by_name) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "not valid JSON"},
      {"[]", "#: a schema must be"},
      {R"({"not":{}})", "#: the keyword 'not' is not supported"},
      {R"({"properties":{"a":{"patternProperties":{}}}})",
       "#/properties/a: the keyword 'patternProperties'"},
      {R"({"requird":["a"]})", "did you mean 'required'"},
      {R"({"type":"array","uniqueItems":true})", "'uniqueItems'"},
      {R"({"type":"number","multipleOf":3})", "'multipleOf'"},
      {R"({"type":"number","minimum":0.5})", "'minimum'"},
      {R"({"type":"string","format":"iri"})", "'format'"},
      {R"({"type":"string","pattern":"a","maxLength":3})", "'pattern'"},
      {R"({"type":"string","pattern":"(a"})", "#/pattern: position 1"},
      {R"({"type":"strin"})", "there is no type 'strin'"},
      {R"({"$ref":"other.json"})", "other documents"},
      {R"({"$ref":"#/$defs/a"})", "nothing at $ref"},
      {R"({"$ref":"#"})", "no text matches"},
      {R"({"anyOf":[]})", "anyOf must be a list"},
      {R"({"enum":[]})", "enum must be a list"},
      {R"({"enum":["a"],"type":"integer"})", "no value of enum"},
      {R"({"enum":["a"],"minLength":1})", "'minLength' is not supported beside"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "minLength is greater"},
      {R"({"type":"array","minItems":3,"maxItems":2})", "minItems is greater"},
      {R"({"type":"array","minItems":-1})", "minItems must be a whole number"},
      {R"({"type":"string","maxLength":900000})", "too large"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "no text matches"},
      {R"({"type":"integer","minimum":"a"})", "minimum must be a number"},
      {R"({"type":"object","required":["a"],"additionalProperties":false,"properties":{}})",
       "required names 'a'"},
      {R"({"type":"object","required":"a"})", "required must be a list"},
      {R"({"properties":[]})", "properties must be an object"},
      {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "no text matches"},
      {R"({"allOf":[{"type":"object","properties":{"a":{}},"additionalProperties":false},
          {"properties":{"b":{}}}]})",
       "cannot join"},
      {"false", "no text matches"},
  };
  for (const auto& [schema, why] : cases)
    EXPECT_NE(refusal({kind::json_schema, schema}).find(why), std::string::npos)
        << schema << ": " << refusal({kind::json_schema, schema});
}

TEST(json_schema, leniently_leaves_out_what_it_cannot_keep) {
  const constraint lenient{kind::json_schema_lenient,
                           R"({"type":"array","uniqueItems":true,"items":{"type":"integer",
                               "multipleOf":2},"x":1})"};
  EXPECT_TRUE(accepts(lenient, "[1,1]"));
  EXPECT_FALSE(accepts(lenient, "[\"a\"]"));
  EXPECT_EQ(refusal({kind::json_schema_lenient, R"({"type":"nothing"})"}).substr(0, 2), "#:");
}

// Hundreds of optional properties stay cheap, and nesting does not double what is written.
TEST(json_schema, large_schemas_stay_within_the_bounds) {
  json many{{"type", "object"}};
  for (int i = 0; i < 400; ++i)
    many["properties"]["field_" + std::to_string(i)] = {{"type", "string"}};
  EXPECT_TRUE(accepts({kind::json_schema, many.dump()}, R"({"field_1":"a","field_399":"b"})"));
  json deep{{"type", "integer"}};
  for (int i = 0; i < 30; ++i)
    deep = {{"type", "object"},
            {"properties", {{"a", deep}, {"b", deep["type"] == "integer" ? deep : json(true)}}}};
  EXPECT_TRUE(accepts({kind::json_schema, deep.dump()}, "{}"));
}

// Whoever writes a schema decides neither about our stack nor about our time.
TEST(json_schema, names_and_lists_of_any_size_are_refused_or_kept) {
  const std::string name(200'000, 'a');
  const json long_name{{"type", "object"},
                       {"properties", {{name, {{"type", "integer"}}}}},
                       {"additionalProperties", true}};
  EXPECT_NE(refusal({kind::json_schema, long_name.dump()}).find("too large"), std::string::npos);
  const json inside{{"type", "object"}, {"properties", {{name, {{"nott", 1}}}}}};
  const std::string why = refusal({kind::json_schema, inside.dump()});
  EXPECT_NE(why.find("aaa...: the keyword 'nott'"), std::string::npos) << why.substr(0, 300);
  EXPECT_LT(why.size(), 300u);
  EXPECT_LT(refusal({kind::json_schema, json{{name, 1}}.dump()}).size(), 300u);
  json many{{"type", "object"}};
  for (int i = 0; i < 2049; ++i) many["properties"]["field_" + std::to_string(i)] = true;
  EXPECT_NE(refusal({kind::json_schema, many.dump()}).find("more than 2048 members"),
            std::string::npos);
  json required{{"type", "object"}};
  for (int i = 0; i < 2049; ++i) required["required"].push_back(std::to_string(i));
  EXPECT_NE(refusal({kind::json_schema, required.dump()}).find("more than 2048 names"),
            std::string::npos);
}

} // namespace
} // namespace troupe::model
