// Splitting the command line, wrong words included.
#include "cli/command_line.hpp"

#include "tests/unit/cli/commands.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

class command_line_test : public testing::Test {
protected:
  parsed_line parse(const std::vector<std::string>& words) {
    auto line = parse_line(words, commands);
    EXPECT_TRUE(line.has_value()) << (line ? "" : line.error().why());
    return line ? *line : parsed_line{};
  }
  std::string refusal(const std::vector<std::string>& words) {
    const auto line = parse_line(words, commands);
    return line ? "was accepted" : line.error().why();
  }
  std::vector<std::string> values(const parsed_line& line, std::string_view name) {
    for (const auto& each : line.assignments)
      if (each.name == name) return each.values;
    return {};
  }

  command_list commands = all_commands();
};

using words = std::vector<std::string>;

TEST_F(command_line_test, finds_the_command_of_two_words) {
  const auto line = parse({"model", "inspect", "models/x", "--json"});
  EXPECT_EQ(line.chosen->info().name, "model inspect");
  EXPECT_EQ(values(line, "directory"), words({"models/x"}));
  EXPECT_EQ(values(line, "json"), words({"true"}));
}

TEST_F(command_line_test, takes_values_in_every_spelling) {
  EXPECT_EQ(values(parse({"serve", "--port", "1"}), "port"), words({"1"}));
  EXPECT_EQ(values(parse({"serve", "--port=1"}), "port"), words({"1"}));
  EXPECT_EQ(values(parse({"serve", "-p", "1"}), "port"), words({"1"}));
  EXPECT_EQ(values(parse({"serve", "--max-num-seqs", "9"}), "max-running"), words({"9"}));
}

TEST_F(command_line_test, takes_negative_numbers_and_odd_texts) {
  EXPECT_EQ(values(parse({"generate", "x", "--presence-penalty", "-1.5"}), "presence-penalty"),
            words({"-1.5"}));
  EXPECT_EQ(values(parse({"generate", "x", "--stop", "[END]", "--stop", "a,b"}), "stop"),
            words({"[END]", "a,b"}));
  EXPECT_EQ(values(parse({"generate", "x", "--stop=--"}), "stop"), words({"--"}));
  EXPECT_EQ(values(parse({"generate", "- a list"}), "prompt"), words({"- a list"}));
  EXPECT_EQ(values(parse({"generate", "[a, b]"}), "prompt"), words({"[a, b]"}));
  EXPECT_EQ(values(parse({"generate", "-"}), "prompt"), words({"-"}));
  EXPECT_EQ(values(parse({"generate", "--", "--port"}), "prompt"), words({"--port"}));
  EXPECT_EQ(values(parse({"generate", ""}), "prompt"), words({""}));
}

TEST_F(command_line_test, a_prompt_may_be_the_name_of_a_command) {
  const auto line = parse({"generate", "chat", "serve", "model"});
  EXPECT_EQ(line.chosen->info().name, "generate");
  EXPECT_EQ(values(line, "prompt"), words({"chat", "serve", "model"}));
}

TEST_F(command_line_test, flags_may_stand_before_and_after_the_prompt) {
  const auto line = parse({"generate", "--seed", "7", "Once", "upon", "--max-tokens", "5", "a"});
  EXPECT_EQ(values(line, "prompt"), words({"Once", "upon", "a"}));
  EXPECT_EQ(values(line, "max-tokens"), words({"5"}));
}

TEST_F(command_line_test, switches_can_be_turned_off) {
  EXPECT_EQ(values(parse({"serve", "--no-prefix-cache"}), "prefix-cache"), words({"false"}));
  EXPECT_EQ(values(parse({"serve", "--prefix-cache"}), "prefix-cache"), words({"true"}));
}

TEST_F(command_line_test, the_last_value_counts) {
  auto& serve = find_command(commands, "serve");
  ASSERT_TRUE(assign_all(serve, parse({"serve", "--port", "1", "--port", "2"}).assignments).ok());
  EXPECT_EQ(find_option(serve, "port").show(), "2");
}

TEST_F(command_line_test, help_is_asked_for_anywhere) {
  EXPECT_TRUE(parse({"--help"}).wants_help);
  EXPECT_EQ(parse({"--help"}).chosen, nullptr);
  const auto line = parse({"serve", "--port", "1", "-h"});
  EXPECT_TRUE(line.wants_help);
  EXPECT_EQ(line.chosen->info().name, "serve");
  EXPECT_TRUE(parse({"--version"}).wants_version);
}

TEST_F(command_line_test, wrong_words_get_the_nearest_right_one) {
  EXPECT_EQ(refusal({"serve", "--prot", "1"}),
            "--prot is no flag of troupe serve; did you mean --port?");
  EXPECT_EQ(refusal({"serve", "--max-modle-len=5"}),
            "--max-modle-len is no flag of troupe serve; did you mean --max-model-len?");
  EXPECT_EQ(refusal({"serv"}),
            "'serv' is no command; did you mean serve? (troupe help lists them)");
  EXPECT_EQ(refusal({"generate", "x", "--seeed", "1"}),
            "--seeed is no flag of troupe generate; did you mean --seed?");
  EXPECT_EQ(refusal({"serve", "--", "now"}), "'now' is one argument too many for troupe serve");
  EXPECT_EQ(refusal({"serve", "now"}), "'now' is one argument too many for troupe serve");
  EXPECT_EQ(refusal({"model"}), "no command given (troupe help lists them)");
  EXPECT_NE(refusal({"serve", "--port"}).find("--port"), std::string::npos);
}

} // namespace
} // namespace troupe::cli
