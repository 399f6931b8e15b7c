// Checkpoints of several shards, whole and broken.
#include "tests/unit/model/checkpoint.hpp"

#include <gtest/gtest.h>

namespace troupe::model_test {
namespace {

const std::string index_name = "model.safetensors.index.json";
const std::string first_shard = "model-00001-of-00002.safetensors";

class sharded : public testing::Test {
protected:
  checkpoint files = checkpoint::read(golden_folder("mixtral_top3"));

  void expect_failure(status_code code, const std::vector<std::string>& named) {
    const auto index = index_of(files);
    ASSERT_FALSE(index.has_value());
    EXPECT_EQ(index.error().code(), code) << index.error().why();
    for (const auto& part : named) {
      EXPECT_NE(index.error().why().find(part), std::string::npos)
          << index.error().why() << " lacks " << part;
    }
  }
};

TEST_F(sharded, joins_all_tensors) {
  const auto index = index_of(files);
  ASSERT_TRUE(index.has_value()) << index.error().why();
  const auto map = model::parse_shard_map(files.files.at(index_name));
  EXPECT_EQ(map->shards.size(), 2u);
  EXPECT_EQ(index->tensors().size(), map->shard_of.size());
}

TEST_F(sharded, misses_a_shard) {
  files.files.erase(first_shard);
  expect_failure(status_code::not_found, {first_shard});
}

TEST_F(sharded, finds_a_tensor_in_the_wrong_shard) {
  const auto map = model::parse_shard_map(files.files.at(index_name)).value();
  const auto& [tensor, shard] = *map.shard_of.begin();
  const auto& other = shard == map.shards[0] ? map.shards[1] : map.shards[0];
  const std::string at = '"' + tensor + "\": \"";
  files.replace(index_name, at + shard, at + other);
  expect_failure(status_code::corrupt, {tensor, shard, other});
}

TEST_F(sharded, misses_a_tensor_that_the_index_promises) {
  files.replace(index_name, "\"weight_map\": {",
                "\"weight_map\": {\"more\": \"" + first_shard + "\",");
  expect_failure(status_code::corrupt, {"'more'", first_shard});
}

TEST_F(sharded, refuses_damaged_indices) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "JSON syntax error"},
      {"{}", "'weight_map' is missing"},
      {R"({"weight_map": []})", "'weight_map' is a list"},
      {R"({"weight_map": {"w": 1}})", "the shard of 'w' is an integer"},
      {R"({"weight_map": {"w": "../../etc/passwd"}})", "no plain file name"},
      {R"({"weight_map": {"w": "/etc/passwd"}})", "no plain file name"},
      {R"({"weight_map": {"w": ""}})", "no plain file name"},
  };
  for (const auto& [json, named] : cases) {
    const auto map = model::parse_shard_map(json);
    ASSERT_FALSE(map.has_value()) << json;
    EXPECT_NE(map.error().why().find(named), std::string::npos) << map.error().why();
    EXPECT_EQ(map.error().why().find(index_name), 0u) << map.error().why();
  }
}

} // namespace
} // namespace troupe::model_test
