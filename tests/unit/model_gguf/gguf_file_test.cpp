// The GGUF container: what is read, and every lie that a file can tell.
#include "model/gguf/gguf_file.hpp"

#include "model/gguf/block_formats.hpp"
#include "model/gguf/gguf_keys.hpp"
#include "model/staged_slice.hpp"
#include "tests/support/gguf_writer.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace troupe::model {
namespace {

using test_support::gguf_writer;

result<gguf_file> parse(const std::string& content) {
  return gguf_file::parse("m.gguf", std::as_bytes(std::span(content)));
}

gguf_writer small_file() {
  gguf_writer out;
  out.put_word("general.architecture", "llama");
  out.put_u32("a.count", 7);
  out.put_f32("a.eps", 1e-5);
  out.put_bool("a.flag", true);
  out.put_words("a.words", {"one", "", "three"});
  out.put_i32s("a.ids", {3, -1});
  out.put_f32s("a.scores", {0.5f, -2});
  out.tensors.push_back({"wide", {2, 3}, 0, std::string(24, '\1')});
  out.tensors.push_back({"blocks", {2, 64}, 8, std::string(4 * 34, '\2')});
  out.tensors.push_back({"one", {5}, 30, std::string(10, '\3')});
  return out;
}

TEST(gguf_file, reads_values_of_every_type) {
  auto file = small_file();
  file.put("n.u8", 0, "\xff");
  file.put("n.i8", 1, "\xff");
  file.put("n.u16", 2, "\xff\xff");
  file.put("n.i16", 3, "\xff\xff");
  file.put("n.i32", 5, gguf_writer::number(UINT32_MAX, 4));
  file.put("n.u64", 10, gguf_writer::number(UINT64_MAX, 8));
  file.put("n.i64", 11, gguf_writer::number(UINT64_MAX, 8));
  file.put("n.f64", 12, gguf_writer::number(0x3ff8000000000000, 8));
  for (const uint32_t version : {2u, 3u}) {
    file.version = version;
    const auto bytes = file.bytes();
    const auto parsed = parse(bytes);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
    EXPECT_EQ(parsed->version(), version);
    const auto integer = [&](std::string_view key) {
      const auto* value = parsed->find_value(key);
      return integer_of(value->type, value->bytes);
    };
    EXPECT_EQ(integer("n.u8"), 255);
    EXPECT_EQ(integer("n.i8"), -1);
    EXPECT_EQ(integer("n.u16"), 65535);
    EXPECT_EQ(integer("n.i16"), -1);
    EXPECT_EQ(integer("n.i32"), -1);
    EXPECT_EQ(integer("n.u64"), std::nullopt); // beyond what counts anything
    EXPECT_EQ(integer("n.i64"), -1);
    gguf_keys keys(*parsed);
    EXPECT_EQ(keys.count("a.count"), 7u);
    EXPECT_EQ(keys.number("a.eps"), 1e-5);
    EXPECT_EQ(keys.number("n.f64"), 1.5);
    EXPECT_EQ(keys.flag("a.flag"), true);
    EXPECT_EQ(keys.words("a.words"), (std::vector<std::string_view>{"one", "", "three"}));
    EXPECT_EQ(keys.integers("a.ids"), (std::vector<int64_t>{3, -1}));
    EXPECT_EQ(keys.numbers("a.scores"), (std::vector<double>{0.5, -2}));
    EXPECT_EQ(keys.count("absent"), std::nullopt);
    EXPECT_TRUE(keys.ok()) << keys.first_error().why();
  }
}

TEST(gguf_file, places_tensors_at_any_alignment) {
  for (const uint64_t alignment : {1, 8, 32, 4096}) {
    auto file = small_file();
    file.alignment = alignment;
    if (alignment != 32) file.put_u32("general.alignment", alignment);
    const auto bytes = file.bytes();
    const auto parsed = parse(bytes);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
    const auto* wide = parsed->find_tensor("wide");
    const auto* blocks = parsed->find_tensor("blocks");
    ASSERT_TRUE(wide != nullptr && blocks != nullptr);
    EXPECT_EQ(wide->shape, (std::vector<uint64_t>{2, 3}));
    EXPECT_EQ(wide->type, compute::dtype::f32);
    EXPECT_EQ(wide->data[23], std::byte{1});
    EXPECT_EQ(blocks->type, std::nullopt);
    EXPECT_EQ(blocks->blocks, find_block_format("Q8_0"));
    EXPECT_EQ(blocks->data.size(), 4u * 34);
    EXPECT_EQ(blocks->data[0], std::byte{2});
    EXPECT_EQ(parsed->find_tensor("one")->data[9], std::byte{3});
  }
}

TEST(gguf_file, keeps_tensors_of_types_that_weights_cannot_have) {
  gguf_writer file;
  file.tensors.push_back({"numbers", {3}, 26, std::string(12, '\0')});
  file.tensors.push_back({"blocks", {1, 256}, 16, std::string(66, '\0')});
  const auto bytes = file.bytes();
  const auto parsed = parse(bytes);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
  EXPECT_FALSE(parsed->find_tensor("numbers")->is_readable());
  EXPECT_FALSE(parsed->find_tensor("blocks")->is_readable());
  EXPECT_EQ(parsed->find_tensor("blocks")->type_name, "IQ2_XXS");
}

struct lie {
  const char* named; // what the message says
  std::function<void(gguf_writer&)> tell;
  status_code code = status_code::corrupt;
};

std::string array_of(uint32_t type, uint64_t count, const std::string& bytes) {
  return gguf_writer::number(type, 4) + gguf_writer::number(count, 8) + bytes;
}

TEST(gguf_file, refuses_lies) {
  std::string nested = array_of(0, 0, "");
  for (int i = 0; i < 20; ++i) nested = array_of(9, 1, nested);
  const lie cases[] = {
      {"of version 1", [](auto& f) { f.version = 1; }, status_code::unsupported},
      {"of version 4", [](auto& f) { f.version = 4; }, status_code::unsupported},
      {"big-endian", [](auto& f) { f.version = 3u << 24; }, status_code::unsupported},
      {"'k' has arrays nested too deep", [&](auto& f) { f.put("k", 9, nested); }},
      {"'k' is an array of 18446744073709551615",
       [](auto& f) { f.put("k", 9, array_of(4, UINT64_MAX, "")); }},
      {"'k' is an array of 4611686018427387904",
       [](auto& f) { f.put("k", 9, array_of(10, uint64_t{1} << 62, "")); }},
      {"'k' is an array of 1000000000",
       [](auto& f) { f.put("k", 9, array_of(8, 1000000000, "")); }},
      {"'k' at byte", [](auto& f) { f.put("k", 8, gguf_writer::number(UINT64_MAX, 8)); }},
      {"'k' at byte", [](auto& f) { f.put("k", 13, ""); }},
      {"unknown type 99", [](auto& f) { f.put("k", 9, array_of(99, 1, "x")); }},
      {"bool other than 0 and 1", [](auto& f) { f.put("k", 7, "\2"); }},
      {"'a.count' appears twice", [](auto& f) { f.put_u32("a.count", 1); }},
      {"control characters", [](auto& f) { f.put_u32("a\033[2J", 1); }},
      {"'general.alignment' is 0", [](auto& f) { f.put_u32("general.alignment", 0); }},
      {"'general.alignment' is 24", [](auto& f) { f.put_u32("general.alignment", 24); }},
      {"'general.alignment' is of type string",
       [](auto& f) { f.put_word("general.alignment", "32"); }},
      {"'wide' appears twice", [](auto& f) { f.tensors[1].name = "wide"; }},
      {"control characters", [](auto& f) { f.tensors[0].name = "a\nb"; }},
      {"'wide' has 5 dimensions",
       [](auto& f) {
         f.tensors[0].shape = {1, 1, 1, 2, 3};
       }},
      {"'wide' is of the unknown type 5", [](auto& f) { f.tensors[0].type = 5; },
       status_code::unsupported},
      {"'wide' is of the unknown type 4000000000", [](auto& f) { f.tensors[0].type = 4000000000; },
       status_code::unsupported},
      {"'wide' is larger than any file",
       [](auto& f) {
         f.tensors[0].shape = {1u << 31, 1u << 31, 1u << 31};
       }},
      {"'wide' is larger than any file",
       [](auto& f) {
         f.tensors[0].shape = {UINT64_MAX, 1};
       }},
      {"'blocks' lies over tensor 'wide'",
       [](auto& f) {
         f.tensors[0].shape = {2, 10};
       }},
      {"'one' needs 14 bytes", [](auto& f) { f.tensors[2].shape = {7}; }},
      {"'blocks' has rows of 48, which do not consist of whole Q8_0 blocks of 32",
       [](auto& f) {
         f.tensors[1].shape = {2, 48};
       }},
  };
  for (const auto& wrong : cases) {
    auto file = small_file();
    wrong.tell(file);
    const auto bytes = file.bytes();
    const auto parsed = parse(bytes);
    ASSERT_FALSE(parsed.has_value()) << wrong.named;
    EXPECT_EQ(parsed.error().code(), wrong.code) << parsed.error().why();
    EXPECT_EQ(parsed.error().why().find("m.gguf: "), 0u) << parsed.error().why();
    EXPECT_NE(parsed.error().why().find(wrong.named), std::string::npos)
        << parsed.error().why() << " lacks " << wrong.named;
  }
}

TEST(gguf_file, refuses_crooked_offsets) {
  const auto whole = small_file().bytes();
  const std::string name = gguf_writer::word("one") + gguf_writer::number(1, 4);
  const size_t offset = whole.find(name) + name.size() + 8 + 4;
  const std::pair<uint64_t, const char*> cases[] = {{7, "no multiple of 32"},
                                                    {0, "lies over"},
                                                    {uint64_t{1} << 40, "holds only"},
                                                    {UINT64_MAX - 31, "holds only"}};
  for (const auto& [at, named] : cases) {
    auto bytes = whole;
    bytes.replace(offset, 8, gguf_writer::number(at, 8));
    const auto parsed = parse(bytes);
    ASSERT_FALSE(parsed.has_value()) << named;
    EXPECT_NE(parsed.error().why().find(named), std::string::npos) << parsed.error().why();
  }
}

TEST(gguf_file, refuses_impossible_counts_before_it_believes_them) {
  for (const size_t at : {8, 16}) { // of tensors, of metadata
    for (const uint64_t count : {uint64_t{1} << 20, uint64_t{1} << 60, UINT64_MAX}) {
      auto bytes = small_file().bytes();
      bytes.replace(at, 8, gguf_writer::number(count, 8));
      const auto parsed = parse(bytes);
      ASSERT_FALSE(parsed.has_value());
      EXPECT_NE(parsed.error().why().find(std::to_string(count)), std::string::npos)
          << parsed.error().why();
    }
  }
}

TEST(gguf_file, refuses_every_truncation) {
  const auto whole = small_file().bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::vector<char> exact(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    const auto parsed = gguf_file::parse("m.gguf", std::as_bytes(std::span(exact)));
    ASSERT_FALSE(parsed.has_value()) << length;
    EXPECT_EQ(parsed.error().code(), status_code::corrupt);
  }
}

TEST(gguf_file, says_when_it_is_no_gguf_file) {
  for (const std::string content : {"", "GGU", "GGML and more", "{\"a\": 1}"}) {
    const auto parsed = parse(content);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_NE(parsed.error().why().find("no GGUF file"), std::string::npos) << parsed.error().why();
  }
}

TEST(gguf_keys, names_the_key_and_both_types) {
  const auto bytes = small_file().bytes();
  const auto file = parse(bytes).value();
  const auto why = [&](const std::function<void(gguf_keys&)>& read) {
    gguf_keys keys(file);
    read(keys);
    return keys.first_error().why();
  };
  EXPECT_EQ(why([](auto& k) { k.count("a.words"); }),
            "m.gguf: metadata 'a.words' is an array of string where a whole number is needed");
  EXPECT_EQ(why([](auto& k) { k.count("a.flag"); }),
            "m.gguf: metadata 'a.flag' is bool where a whole number is needed");
  EXPECT_EQ(why([](auto& k) { k.count("a.ids"); }),
            "m.gguf: metadata 'a.ids' differs from layer to layer (3 and -1)");
  EXPECT_EQ(why([](auto& k) { k.needed_count("a.more"); }), "m.gguf: metadata 'a.more' is missing");
  EXPECT_EQ(why([](auto& k) { k.words("a.ids"); }),
            "m.gguf: metadata 'a.ids' is an array of i32 where an array of strings is needed");
  EXPECT_EQ(
      why([](auto& k) { k.integers("a.scores"); }),
      "m.gguf: metadata 'a.scores' is an array of f32 where an array of whole numbers is needed");
  EXPECT_EQ(why([](auto& k) { k.flag("a.count"); }),
            "m.gguf: metadata 'a.count' is u32 where a bool is needed");
}

} // namespace
} // namespace troupe::model
