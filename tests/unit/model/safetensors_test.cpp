// The safetensors container: what is read, and every lie that a header can tell.
#include "model/safetensors.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace troupe::model {
namespace {

std::string file_with(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header +
         std::string(data_bytes, '\1');
}

result<safetensors_file> parse(const std::string& content) {
  return safetensors_file::parse(
      "weights.safetensors", {reinterpret_cast<const std::byte*>(content.data()), content.size()});
}

const std::string two_tensors =
    R"({"__metadata__": {"format": "pt"}, "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [8, 20]},)"
    R"( "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}   )";

TEST(safetensors, reads_names_types_and_shapes) {
  const std::string content = file_with(two_tensors, 20);
  const auto file = parse(content);
  ASSERT_TRUE(file.has_value()) << file.error().why();
  ASSERT_EQ(file->tensors().size(), 2u);
  const auto* b = file->find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->type, compute::dtype::bf16);
  EXPECT_EQ(b->shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(b->elements(), 6u);
  EXPECT_EQ(b->data.data(),
            reinterpret_cast<const std::byte*>(content.data()) + content.size() - 12);
  EXPECT_EQ(file->find("c"), nullptr);
  EXPECT_EQ(file->find("__metadata__"), nullptr);
}

TEST(safetensors, reads_scalars_and_empty_tensors) {
  const auto file = parse(file_with(R"({"s": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
      "none": {"dtype": "F32", "shape": [0, 5], "data_offsets": [4, 4]}})",
                                    4));
  ASSERT_TRUE(file.has_value()) << file.error().why();
  EXPECT_EQ(file->find("s")->elements(), 1u);
  EXPECT_EQ(file->find("none")->elements(), 0u);
  EXPECT_TRUE(parse(file_with("{}", 0)).has_value());
}

TEST(safetensors, keeps_tensors_of_types_that_weights_cannot_have) {
  const auto file =
      parse(file_with(R"({"q": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}})", 4));
  ASSERT_TRUE(file.has_value());
  EXPECT_FALSE(file->find("q")->type.has_value());
  EXPECT_EQ(file->find("q")->type_name, "F8_E4M3");
}

struct bad_header {
  std::string header;
  size_t data_bytes;
  std::string named;
  status_code code = status_code::corrupt;
};

std::string one(const std::string& type, const std::string& shape, const std::string& offsets) {
  return R"({"w": {"dtype": )" + type + R"(, "shape": )" + shape + R"(, "data_offsets": )" +
         offsets + "}}";
}

TEST(safetensors, refuses_lying_headers) {
  const std::string f32 = R"("F32")";
  const bad_header cases[] = {
      {"{", 0, "JSON syntax error"},
      {"[]", 0, "a list"},
      {R"({"w": 4})", 0, "'w' is an integer"},
      {R"({"w": {}})", 0, "'w' has no dtype"},
      {one("7", "[1]", "[0, 4]"), 4, "'w' has no dtype"},
      {one(R"("F33")", "[1]", "[0, 4]"), 4, "'F33'", status_code::unsupported},
      {one(f32, "4", "[0, 4]"), 4, "'w' has no shape"},
      {one(f32, "[-1]", "[0, 4]"), 4, "-1 as a dimension"},
      {one(f32, R"(["1"])", "[0, 4]"), 4, "a string as a dimension"},
      {one(f32, "[1,1,1,1,1,1,1,1,1]", "[0, 4]"), 4, "9 dimensions"},
      {one(f32, "[4294967296, 4294967296, 4294967296]", "[0, 4]"), 4, "an impossible number"},
      {one(f32, "[2]", "[0, 4]"), 4, "has 4 bytes where 8 are needed"},
      {one(f32, "[1]", "[0]"), 4, "data_offsets"},
      {one(f32, "[1]", "[-4, 0]"), 4, "data_offsets"},
      {one(f32, "[1]", R"(["0", 4])"), 4, "data_offsets"},
      {one(f32, "[1]", "[8, 4]"), 8, "begins at 8 and ends before, at 4"},
      {one(f32, "[2]", "[0, 8]"), 4, "'w' ends at byte 8 of the data, but the file holds only 4"},
      {one(f32, "[1]", "[0, 18446744073709551615]"), 4, "truncated"},
      {one(f32, "[1]", "[4, 8]"), 8, "'w' begins at byte 4"},
      {one(f32, "[1]", "[0, 4]"), 6, "holds 6 bytes of data, but its tensors end at 4"},
      {R"({"v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
       8, "'w' begins at byte 4 of the data, but the one before ends at 8"},
      {R"({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
       4, "'w' appears twice"},
  };
  for (const auto& wrong : cases) {
    const auto file = parse(file_with(wrong.header, wrong.data_bytes));
    ASSERT_FALSE(file.has_value()) << wrong.header;
    EXPECT_EQ(file.error().code(), wrong.code) << file.error().why();
    EXPECT_NE(file.error().why().find(wrong.named), std::string::npos)
        << file.error().why() << " lacks " << wrong.named;
    EXPECT_EQ(file.error().why().find("weights.safetensors"), 0u) << file.error().why();
  }
}

TEST(safetensors, refuses_every_truncation) {
  const std::string content = file_with(two_tensors, 20);
  for (size_t length = 0; length < content.size(); ++length) {
    const auto file = parse(content.substr(0, length));
    ASSERT_FALSE(file.has_value()) << length;
    EXPECT_EQ(file.error().code(), status_code::corrupt);
  }
}

TEST(safetensors, refuses_impossible_header_lengths) {
  std::string content = file_with(two_tensors, 20);
  for (const uint64_t length :
       {uint64_t{1000}, uint64_t{100'000'001}, UINT64_MAX, UINT64_MAX - 7}) {
    std::memcpy(content.data(), &length, sizeof length);
    const auto file = parse(content);
    ASSERT_FALSE(file.has_value()) << length;
    EXPECT_NE(file.error().why().find(std::to_string(length)), std::string::npos)
        << file.error().why();
  }
}

} // namespace
} // namespace troupe::model
