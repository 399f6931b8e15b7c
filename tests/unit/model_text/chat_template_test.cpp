// Chat templates against what transformers renders, and against hostile ones.
#include "model/chat_template.hpp"

#include "tests/unit/model_text/golden_tokenizers.hpp"

#include <gtest/gtest.h>

namespace troupe::model {
namespace {

using nlohmann::json;

const std::string folder = std::string(TROUPE_SOURCE_DIR) + "/tests/golden/chat_templates/";

// In the order of the file, which nlohmann::json would lose.
template_value golden_value() {
  return parse_template_value(read_golden_file(folder + "golden.json"), "golden.json").value();
}

result<std::string> render(std::string_view source, const chat_inputs& inputs,
                           const jinja_limits& limits = {}) {
  const auto made = chat_template::parse(source, "t.jinja");
  if (!made) return fail(made.error());
  return made->render(inputs, limits);
}

// The text, or the failure and, when the template itself raised it, its words.
void expect_as_golden(const result<std::string>& made, const template_value& wanted,
                      const std::string& what) {
  if (const template_value* text = wanted.find("text")) {
    ASSERT_TRUE(made.has_value()) << what << "\n" << made.error().why();
    EXPECT_EQ(*made, text->string()) << what;
    return;
  }
  ASSERT_FALSE(made.has_value()) << what << "\nrendered: " << *made
                                 << "\nbut transformers: " << wanted.find("why")->string();
  if (wanted.find("error")->string() == "raised") {
    EXPECT_NE(made.error().why().find(wanted.find("why")->string()), std::string::npos)
        << made.error().why();
    EXPECT_EQ(made.error().code(), status_code::invalid_argument);
  }
}

TEST(chat_template_test, renders_every_family_and_conversation_as_transformers) {
  const template_value golden = golden_value();
  const auto& conversations = golden.find("conversations")->elements();
  size_t count = 0;
  for (const auto& [name, rows] : golden.find("templates")->members()) {
    const std::string source = read_golden_file(folder + "templates/" + name.string() + ".jinja");
    for (size_t row = 0; row < rows.elements().size(); ++row, ++count) {
      const template_value& conversation = conversations[row / 2];
      chat_inputs inputs;
      inputs.messages = *conversation.find("messages");
      if (const auto* tools = conversation.find("tools")) inputs.tools = *tools;
      inputs.add_generation_prompt = row % 2 == 1;
      inputs.bos_token = golden.find("bos_token")->string();
      inputs.eos_token = golden.find("eos_token")->string();
      inputs.now_unix_s = golden.find("now_unix_s")->integer();
      if (const auto* variables = conversation.find("variables")) {
        for (const auto& [key, value] : variables->members())
          inputs.variables.emplace_back(key.string(), value);
      }
      expect_as_golden(render(source, inputs), rows.elements()[row],
                       name.string() + " row " + std::to_string(row));
    }
  }
  EXPECT_GE(count, 900u);
}

TEST(chat_template_test, keeps_every_rule_of_the_language) {
  const template_value golden = golden_value();
  chat_inputs inputs;
  inputs.now_unix_s = golden.find("now_unix_s")->integer();
  for (const auto& [key, value] : golden.find("variables")->members()) {
    inputs.variables.emplace_back(key.string(), value);
  }
  for (const auto& snippet : golden.find("snippets")->elements()) {
    const std::string& source = snippet.find("source")->string();
    expect_as_golden(render(source, inputs), snippet, source);
  }
}

struct refusal {
  const char* source;
  const char* why;
};

TEST(chat_template_test, names_line_and_column_of_what_it_cannot_read) {
  const refusal refusals[] = {
      {"a\n{% include 'x' %}", "t.jinja: line 2, column 4: the tag 'include' is not supported"},
      {"{{ 1 + }}", "line 1, column 8: expected an expression, found '}}'"},
      {"{% if x %}", "line 1, column 11: the block is not closed with 'endif'"},
      {"\n\n  {{ x | groupby('a') }}", "line 3, column 10: the filter 'groupby' is not supported"},
      {"{{ x is weird }}", "the test 'weird' is not supported"},
      {"{{ 'abc }}", "line 1, column 4: the string is not closed"},
      {"{{ nobody.name }}", "line 1, column 4: 'nobody' is undefined"},
      {"{% for x in y recursive %}{% endfor %}", "recursive loops are not supported"},
      {"{{ f(*x) }}", "unpacked arguments are not supported"},
      {"{{ '\xFF' }}", "not valid UTF-8"},
  };
  for (const auto& [source, why] : refusals) {
    const auto made = render(source, {});
    ASSERT_FALSE(made.has_value()) << source;
    EXPECT_NE(made.error().why().find(why), std::string::npos)
        << source << ": " << made.error().why();
  }
}

TEST(chat_template_test, ends_whatever_a_hostile_template_does) {
  std::string deep_brackets =
      "{{ " + std::string(20'000, '(') + "1" + std::string(20'000, ')') + " }}";
  std::string long_chain = "{{ 1";
  for (int i = 0; i < 20'000; ++i) long_chain += "+1";
  std::string deep_blocks;
  for (int i = 0; i < 20'000; ++i) deep_blocks += "{% if x %}";
  const std::string hostile[] = {
      deep_brackets,
      long_chain + " }}",
      deep_blocks,
      "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% "
      "endfor %}{% endfor %}"
      "{% endfor %}",
      "{% for a in range(100000) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 1000 }}{% endfor %}",
      "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for a in range(100) %}{% set ns.s = ns.s ~ "
      "ns.s %}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for a in range(100) %}{% set ns.l = ns.l + ns.l %}{% "
      "endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for a in range(100000) %}{% set ns.l = [ns.l] %}{% endfor "
      "%}",
      "{% set ns = namespace(l=[1]) %}{% for a in range(150) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}{{ ns.l }}",
      "{% set a = namespace(l=[1]) %}{% set b = namespace(l=[1]) %}{% for i in range(150) %}{% set "
      "a.l = [a.l, a.l] %}"
      "{% set b.l = [b.l, b.l] %}{% endfor %}{{ a.l == b.l }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
      "{{ 'x' * 99999999999 }}",
      "{{ [1] * 99999999999 }}",
      "{{ 9 ** 99999999999 }}",
      "{{ 'aaaaaaaa' | replace('', 'bbbbbbbb' * 1000000) | replace('b', 'c' * 1000000) }}",
      "{{ [[]] | tojson(indent=1000000) }}",
  };
  const jinja_limits limits{.steps_max = 500'000,
                            .bytes_max = 8 << 20}; // the depth is the real one
  for (const auto& source : hostile) {
    EXPECT_FALSE(render(source, {}, limits).has_value()) << source.substr(0, 100);
  }
}

TEST(chat_template_test, survives_a_namespace_that_holds_itself) {
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}", {}).value(),
      "True");
  const char* keeps_macros =
      "{% set ns = namespace() %}{% for i in range(9) %}{% set z = i %}{% macro m() %}{{ z }}{% "
      "endmacro %}"
      "{% set ns.m = m %}{% endfor %}{{ ns.m() }}";
  EXPECT_EQ(render(keeps_macros, {}).value(), "8");
}

TEST(chat_template_test, leaves_strftime_now_undefined_without_a_time) {
  EXPECT_EQ(render("{{ strftime_now is defined }}", {}).value(), "False");
}

TEST(chat_template_test, respects_the_limit_of_the_output) {
  const auto made = render("{{ 'x' * 100 }}", {}, {.output_bytes_max = 99});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code(), status_code::exhausted);
}

TEST(find_chat_template_test, prefers_the_file_then_the_config) {
  EXPECT_EQ(find_chat_template("file", R"({"chat_template": "config"})")->source, "file");
  EXPECT_EQ(find_chat_template("", R"({"chat_template": "config"})")->source, "config");
  const char* list =
      R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})";
  EXPECT_EQ(find_chat_template("", list)->source, "d");
  EXPECT_EQ(find_chat_template("", list, "tool_use")->source, "t");
  EXPECT_EQ(find_chat_template("", list, "rag")->source, "d");
}

TEST(find_chat_template_test, says_what_is_wrong_with_the_config) {
  EXPECT_EQ(find_chat_template("", "{}").error().code(), status_code::not_found);
  EXPECT_EQ(find_chat_template("", R"({"chat_template": 5})").error().why(),
            "tokenizer_config.json: chat_template: must be a string or a list of templates");
  EXPECT_EQ(find_chat_template("", "{").error().code(), status_code::corrupt);
}

} // namespace
} // namespace troupe::model
