// Facts about real checkpoints, without loading them.
#include "cli/inspect.hpp"

#include "storage/posix_file_system.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

const std::string built_in_model = TROUPE_SOURCE_DIR "/models/tales";

TEST(inspect, counts_what_the_built_in_model_has) {
  const storage::posix_file_system files;
  const auto facts = inspect_model(files, built_in_model);
  ASSERT_TRUE(facts.has_value()) << facts.error().why();
  EXPECT_EQ(facts->description.name, "deepseek_v3");
  EXPECT_EQ(facts->tokens, facts->description.vocabulary);
  EXPECT_GT(facts->parameters, 4'000'000u);
  EXPECT_LT(facts->parameters, 8'000'000u);
  EXPECT_LT(facts->parameters_active, facts->parameters);
  // 14 of 16 experts idle in 4 of 5 layers, each of three 96 x 192 matrices.
  EXPECT_EQ(facts->parameters - facts->parameters_active, 4u * 14 * 3 * 96 * 192);
  EXPECT_EQ(facts->kv_bytes_per_token % 5, 0u);
  EXPECT_TRUE(facts->has_chat_template);
  EXPECT_TRUE(facts->warnings.empty());
}

TEST(inspect, the_table_and_the_json_tell_the_same) {
  const storage::posix_file_system files;
  const auto facts = inspect_model(files, built_in_model);
  ASSERT_TRUE(facts.has_value()) << facts.error().why();
  const std::string table = facts_table(*facts), json = facts_json(*facts);
  EXPECT_NE(table.find("latent (MLA), 4 heads"), std::string::npos) << table;
  EXPECT_NE(table.find("16 in 4 of 5 layers, 2 for each token, and a shared one"),
            std::string::npos)
      << table;
  EXPECT_NE(json.find("\"parameters\": " + std::to_string(facts->parameters)), std::string::npos)
      << json;
  EXPECT_NE(json.find("\"per_token\": 2"), std::string::npos) << json;
}

TEST(inspect, looks_at_every_golden_checkpoint_though_they_have_no_tokenizer) {
  const storage::posix_file_system files;
  const std::string folder = TROUPE_SOURCE_DIR "/tests/golden/models";
  const auto names = files.list(folder);
  ASSERT_TRUE(names.has_value());
  for (const auto& name : *names) {
    const auto facts = inspect_model(files, folder + "/" + name);
    ASSERT_TRUE(facts.has_value()) << facts.error().why();
    EXPECT_GT(facts->parameters, 1000u) << name;
    EXPECT_LE(facts->parameters_active, facts->parameters) << name;
    ASSERT_EQ(facts->warnings.size(), 1u) << name;
    EXPECT_NE(facts->warnings[0].find(name + "/tokenizer.json is missing"), std::string::npos);
    EXPECT_NE(facts_table(*facts).find("tokenizer       none"), std::string::npos);
  }
}

TEST(inspect, names_what_is_missing) {
  const storage::posix_file_system files;
  const auto facts = inspect_model(files, TROUPE_SOURCE_DIR "/tests/golden");
  ASSERT_FALSE(facts.has_value());
  EXPECT_NE(facts.error().why().find("tests/golden: has no config.json"), std::string::npos)
      << facts.error().why();
}

} // namespace
} // namespace troupe::cli
