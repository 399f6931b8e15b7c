// Configuration file, environment and flags: who wins, and what each mistake is told.
#include "cli/setting_source.hpp"

#include "cli/command_line.hpp"
#include "tests/unit/cli/commands.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace troupe::cli {
namespace {

class settings_test : public testing::Test {
protected:
  // Applies the three sources to `troupe serve`, weakest first; the failure, if there is one.
  status gather(std::optional<std::string> toml, environment_variables variables,
                std::vector<std::string> flags) {
    if (toml) {
      const auto file = read_config(*toml, "troupe.toml", commands);
      if (!file) return file.error();
      TROUPE_RETURN_IF_ERROR(assign_all(serve(), *file));
    }
    const auto environment = read_environment(variables, commands);
    if (!environment) return environment.error();
    TROUPE_RETURN_IF_ERROR(assign_all(serve(), *environment));
    flags.insert(flags.begin(), "serve");
    const auto line = parse_line(flags, commands);
    if (!line) return line.error();
    return assign_all(serve(), line->assignments);
  }

  command& serve() { return find_command(commands, "serve"); }
  std::string value(std::string_view name) { return find_option(serve(), name).show(); }
  std::string origin(std::string_view name) { return find_option(serve(), name).origin; }

  command_list commands = all_commands();
};

TEST_F(settings_test, the_default_holds_when_nobody_speaks) {
  ASSERT_TRUE(gather({}, {}, {}).ok());
  EXPECT_EQ(value("port"), "8000");
  EXPECT_EQ(origin("port"), "");
}

struct precedence_case {
  std::optional<std::string> file, environment, flag;
  std::string value, origin;
};

TEST_F(settings_test, flags_beat_the_environment_which_beats_the_file) {
  const std::vector<precedence_case> cases = {
      {"port = 1", {}, {}, "1", "troupe.toml:1:1"},
      {{}, "2", {}, "2", "environment"},
      {{}, {}, "3", "3", "command line"},
      {"port = 1", "2", {}, "2", "environment"},
      {"port = 1", {}, "3", "3", "command line"},
      {{}, "2", "3", "3", "command line"},
      {"port = 1", "2", "3", "3", "command line"},
      {"[serve]\nport = 4", "2", {}, "2", "environment"},
      {"port = 1\n[serve]\nport = 4", {}, {}, "4", "troupe.toml:3:1"},
      {"[serve]\nport = 4\n[chat]\nthreads = 1", {}, {}, "4", "troupe.toml:2:1"},
  };
  for (const auto& each : cases) {
    commands = all_commands();
    environment_variables variables;
    if (each.environment) variables["TROUPE_PORT"] = *each.environment;
    std::vector<std::string> flags;
    if (each.flag) flags = {"--port", *each.flag};
    const auto gathered = gather(each.file, variables, flags);
    ASSERT_TRUE(gathered.ok()) << gathered.why();
    EXPECT_EQ(value("port"), each.value);
    EXPECT_EQ(origin("port"), each.origin);
  }
}

TEST_F(settings_test, a_stronger_list_replaces_a_weaker_one) {
  ASSERT_TRUE(gather("api-key = ['a', 'b']", {}, {"--api-key", "c"}).ok());
  EXPECT_EQ(value("api-key"), "[\"c\"]");
}

TEST_F(settings_test, the_table_of_another_command_is_not_for_us) {
  ASSERT_TRUE(gather("[generate]\nthreads = 3", {}, {}).ok());
  EXPECT_EQ(value("threads"), "0");
}

TEST_F(settings_test, keys_may_be_written_with_underscores) {
  ASSERT_TRUE(gather("max_model_len = 77\nprefix-cache = false\nkv_memory = '1G'", {}, {}).ok());
  EXPECT_EQ(value("max-model-len"), "77");
  EXPECT_EQ(value("prefix-cache"), "false");
  EXPECT_EQ(value("kv-memory"), "\"1G\"");
}

TEST_F(settings_test, an_empty_variable_counts_as_unset) {
  ASSERT_TRUE(gather({}, {{"TROUPE_PORT", ""}}, {}).ok());
  EXPECT_EQ(value("port"), "8000");
}

struct mistake_case {
  std::optional<std::string> file;
  environment_variables variables;
  std::vector<std::string> flags;
  std::string message;
};

TEST_F(settings_test, mistakes_are_told_with_place_and_remedy) {
  const std::vector<mistake_case> cases = {
      {"prot = 1", {}, {}, "troupe.toml:1:1: prot is no setting; did you mean port?"},
      {"\n  [serv]\nport = 1",
       {},
       {},
       "troupe.toml:2:4: [serv] is no command; did you mean serve?"},
      {"[serve]\ntemperature = 1", {}, {}, "troupe.toml:2:1: temperature is no setting of [serve]"},
      {"[serve]\nport = 70000",
       {},
       {},
       "troupe.toml:2:1: port is \"70000\"; it must be from 0 to 65535"},
      {"port = [1, 2]", {}, {}, "troupe.toml:1:1: port takes one value, not a list"},
      {"port = 1979-05-27",
       {},
       {},
       "troupe.toml:1:1: port must be a number, a text, true or false"},
      {"prefix-cache = 'perhaps'",
       {},
       {},
       "troupe.toml:1:1: prefix-cache is \"perhaps\"; it must be true or false"},
      {{},
       {{"TROUPE_PROT", "1"}},
       {},
       "environment: TROUPE_PROT is no setting; did you mean TROUPE_PORT?"},
      {{},
       {{"TROUPE_MAX_RUNNING", "0"}},
       {},
       "environment: TROUPE_MAX_RUNNING is \"0\"; it must be from 1 to 65536"},
      {{},
       {},
       {"--page-tokens", "7"},
       "command line: --page-tokens is \"7\"; it must be from 8 to 64"},
      {{},
       {},
       {"--quantize", "int9"},
       "command line: --quantize is \"int9\"; it must be one of none|f32|bf16|f16|int8|int4; did "
       "you mean int8?"},
      {{},
       {},
       {"--kv-memory", "lots"},
       "command line: --kv-memory is \"lots\"; it must be a number of bytes such as 512M, 1.5GiB "
       "or 2GB"},
  };
  for (const auto& each : cases) {
    commands = all_commands();
    const auto gathered = gather(each.file, each.variables, each.flags);
    ASSERT_FALSE(gathered.ok()) << each.message;
    EXPECT_TRUE(gathered.why().starts_with(each.message)) << gathered.why() << "\ninstead of\n"
                                                          << each.message;
  }
}

TEST_F(settings_test, broken_toml_is_told_with_its_place) {
  const auto gathered = gather("port = 1\nhost = \"unended", {}, {});
  ASSERT_FALSE(gathered.ok());
  EXPECT_TRUE(gathered.why().starts_with("troupe.toml:2:")) << gathered.why();
}

TEST_F(settings_test, variables_of_others_are_left_alone) {
  EXPECT_TRUE(
      gather({}, {{"TROUPE_JOBS", "2"}, {"TROUPE_PROGRAM", "x"}, {"TROUPE_CONFIG", "y"}}, {}).ok());
  // What Kubernetes sets for a service that is called troupe.
  EXPECT_TRUE(gather({},
                     {{"TROUPE_PORT", "tcp://10.0.0.1:80"},
                      {"TROUPE_SERVICE_HOST", "10.0.0.1"},
                      {"TROUPE_PORT_80_TCP_ADDR", "10.0.0.1"},
                      {"TROUPE_SERVICE_PORT", "80"}},
                     {})
                  .ok());
  EXPECT_EQ(value("port"), "8000");
}

TEST_F(settings_test, a_dump_reads_back_as_the_same_settings) {
  ASSERT_TRUE(gather("kv-memory = '3M'\nhost = \"a \\\"b\\\"\"", {{"TROUPE_DRAIN_TIMEOUT", "5"}},
                     {"--no-prefix-cache"})
                  .ok());
  const std::string dump = dump_config(serve());
  EXPECT_NE(dump.find("kv-memory = \"3M\"  # troupe.toml:1:1\n"), std::string::npos) << dump;
  EXPECT_NE(dump.find("drain-timeout = 5  # environment\n"), std::string::npos) << dump;
  EXPECT_NE(dump.find("port = 8000  # default\n"), std::string::npos) << dump;
  commands = all_commands();
  ASSERT_TRUE(gather(dump, {}, {}).ok()) << gather(dump, {}, {}).why();
  EXPECT_EQ(value("kv-memory"), "\"3M\"");
  EXPECT_EQ(value("prefix-cache"), "false");
  EXPECT_EQ(value("host"), "\"a \\\"b\\\"\"");
}

TEST_F(settings_test, a_secret_is_shown_nowhere) {
  ASSERT_TRUE(gather({}, {}, {"--api-key", "sesame"}).ok());
  const std::string dump = dump_config(serve());
  EXPECT_EQ(dump.find("sesame"), std::string::npos);
  EXPECT_NE(dump.find("# api-key = \"***\"  # command line\n"), std::string::npos) << dump;
}

} // namespace
} // namespace troupe::cli
