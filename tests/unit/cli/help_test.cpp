// Help is complete: every setting of every command is described, and described once.
#include "cli/help.hpp"

#include "cli/setting_source.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/unit/cli/commands.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::cli {
namespace {

TEST(help, every_field_of_every_command_has_a_name_and_help) {
  for (const auto& each : all_commands()) {
    std::set<std::string> names;
    for (const auto& option : each->options()) {
      EXPECT_TRUE(names.insert(option.name).second)
          << each->info().name << " has " << option.name << " twice";
      EXPECT_GE(option.help.size(), 10u) << option.name;
      EXPECT_NE(option.help.back(), '.') << option.name;
      EXPECT_TRUE(option.is_switch || !option.value.empty())
          << option.name << " does not say what its value is";
    }
  }
}

TEST(help, every_command_describes_itself_and_every_flag) {
  for (const auto& each : all_commands()) {
    const std::string help = command_help(*each);
    EXPECT_FALSE(each->info().summary.empty());
    for (const auto& option : each->options()) {
      if (option.positional) continue;
      const std::string flag =
          option.show() == "true" ? "--[no-]" + option.name : "--" + option.name;
      EXPECT_NE(help.find(flag), std::string::npos) << flag;
      EXPECT_TRUE(option.name == "dump-config" ||
                  help.find(environment_name(option.name)) != std::string::npos)
          << flag;
    }
  }
}

TEST(help, the_same_setting_means_the_same_in_every_command) {
  std::map<std::string, std::string> help_of;
  for (const auto& each : all_commands()) {
    for (const auto& option : each->options()) {
      if (option.positional || option.name == "model" || option.name == "json" ||
          option.name == "nodes" || option.name == "seed" || option.name == "out")
        continue; // of different things
      const auto [at, added] = help_of.emplace(option.name, option.help);
      EXPECT_TRUE(added || at->second == option.help) << option.name << " in " << each->info().name;
    }
  }
}

TEST(help, shows_default_range_and_variable) {
  const auto commands = all_commands();
  const std::string help = command_help(find_command(commands, "serve"));
  EXPECT_NE(help.find("-p, --port PORT"), std::string::npos) << help;
  EXPECT_NE(help.find("(default: 8000; TROUPE_PORT)"), std::string::npos) << help;
  EXPECT_NE(help.find("exit codes: 0 drained"), std::string::npos);
}

TEST(help, lines_are_not_wider_than_a_page) {
  for (const auto& each : all_commands()) {
    std::string help = command_help(*each);
    for (size_t begin = 0; begin < help.size();) {
      const size_t end = help.find('\n', begin);
      EXPECT_LE(end - begin, help_columns + 10) << help.substr(begin, end - begin);
      begin = end + 1;
    }
  }
}

TEST(help, the_manual_has_a_row_for_every_setting) {
  const storage::posix_file_system files;
  const auto manual = files.read_text(TROUPE_SOURCE_DIR "/docs/configuration.md", 1 << 20);
  ASSERT_TRUE(manual.has_value()) << manual.error().why();
  for (const auto& name : configurable_names(all_commands()))
    EXPECT_NE(manual->find("\n| `" + name + "` |"), std::string::npos) << name;
}

TEST(help, the_program_lists_every_command) {
  const auto commands = all_commands();
  const std::string help = program_help(commands);
  for (const auto& each : commands) EXPECT_NE(help.find(each->info().name), std::string::npos);
}

} // namespace
} // namespace troupe::cli
