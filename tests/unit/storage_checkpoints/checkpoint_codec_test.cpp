// Manifests as bytes: there and back, and what is refused.
#include "schemas/checkpoint_codec.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::schemas {
namespace {

checkpoint_manifest sample() {
  return {.step = 12,
          .state_hash = 0x123456789abcdef0,
          .score = 1.5,
          .settings = {{"seed", "1"}, {"text", ""}},
          .parts = {{"value/a", 10}, {"empty", 0}, {"run", 16}},
          .chunks = {{.hash = {1, 2}, .bytes = 20}, {.hash = {3, 4}, .bytes = 6}}};
}

TEST(checkpoint_codec, a_manifest_goes_there_and_back) {
  for (auto manifest : {sample(), checkpoint_manifest{}}) {
    const auto bytes = encode_checkpoint_manifest(manifest);
    ASSERT_TRUE(bytes.has_value());
    EXPECT_EQ(*decode_checkpoint_manifest(*bytes), manifest);
    EXPECT_EQ(*encode_checkpoint_manifest(manifest), *bytes);
  }
}

TEST(checkpoint_codec, refuses_what_cannot_be) {
  struct {
    const char* why;
    void (*change)(checkpoint_manifest&);
  } const table[] = {
      {"setting 1 has a name of 0 bytes", [](auto& m) { m.settings[0].name.clear(); }},
      {"setting 2, seed, is there twice", [](auto& m) { m.settings[1].name = "seed"; }},
      {"part 3, empty, is there twice", [](auto& m) { m.parts[2].name = "empty"; }},
      {"its parts have 27 bytes, its chunks 26", [](auto& m) { m.parts[1].bytes = 1; }},
      {"chunk 1 has 0 bytes", [](auto& m) { m.chunks[0].bytes = 0; }},
      {"chunk 2 has 99999999999 bytes", [](auto& m) { m.chunks[1].bytes = 99999999999; }},
      {"part run makes it larger", [](auto& m) { m.parts[2].bytes = UINT64_MAX; }},
      {"its score is no number", [](auto& m) { m.score = std::nan(""); }},
  };
  for (const auto& row : table) {
    auto manifest = sample();
    row.change(manifest);
    const status refused = validate(manifest);
    EXPECT_EQ(refused.code(), status_code::corrupt) << row.why;
    EXPECT_NE(refused.why().find(row.why), std::string::npos) << refused.why();
    EXPECT_FALSE(encode_checkpoint_manifest(manifest).has_value());
  }
}

TEST(checkpoint_codec, refuses_what_is_beyond_the_limits) {
  const auto bytes = *encode_checkpoint_manifest(sample());
  for (const checkpoint_limits& limits :
       {checkpoint_limits{.manifest_bytes_max = bytes.size() - 1},
        checkpoint_limits{.settings_max = 1}, checkpoint_limits{.parts_max = 2},
        checkpoint_limits{.chunks_max = 1}, checkpoint_limits{.name_bytes_max = 3},
        checkpoint_limits{.chunk_bytes_max = 19}, checkpoint_limits{.bytes_max = 25}})
    EXPECT_EQ(decode_checkpoint_manifest(bytes, limits).error().code(), status_code::corrupt);
}

TEST(checkpoint_codec, refuses_bytes_that_are_no_message) {
  const auto bytes = *encode_checkpoint_manifest(sample());
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(decode_checkpoint_manifest(std::span(bytes).first(length)).has_value()) << length;
}

} // namespace
} // namespace troupe::schemas
