// A sealed file says what is wrong with it.
#include "storage/sealed_file.hpp"

#include "schemas/checksum.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

constexpr file_kind kind = {.magic = "TESTFILE", .version = 3};

std::vector<std::byte> content(size_t size) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i + 1);
  return out;
}

std::string why_not(std::span<const std::byte> file, status_code expected) {
  const auto answer = unseal(kind, file);
  EXPECT_FALSE(answer.has_value());
  if (answer) return "";
  EXPECT_EQ(answer.error().code(), expected);
  return answer.error().why();
}

TEST(sealed_file, gives_back_what_was_put_in) {
  for (const size_t size : {0, 1, 8, 1000}) {
    const auto file = seal(kind, content(size));
    EXPECT_EQ(file.size(), seal_bytes + size);
    const auto back = unseal(kind, file);
    ASSERT_TRUE(back.has_value()) << back.error().why();
    EXPECT_EQ(std::vector<std::byte>(back->begin(), back->end()), content(size));
  }
}

TEST(sealed_file, says_what_is_wrong) {
  const auto file = seal(kind, content(5));
  EXPECT_EQ(why_not({}, status_code::corrupt), "is cut off: 0 bytes of at least 32");
  EXPECT_EQ(why_not(seal({.magic = "OTHERONE", .version = 3}, content(5)), status_code::corrupt),
            "does not begin with TESTFILE");
  EXPECT_EQ(why_not(std::span(file).first(36), status_code::corrupt),
            "the checksum does not match its 36 bytes");
  EXPECT_EQ(
      why_not(seal({.magic = "TESTFILE", .version = 4}, content(5)), status_code::unsupported),
      "is of version 4, this program reads 3");
}

TEST(sealed_file, a_wrong_length_is_corrupt_even_with_the_right_checksum) {
  auto file = seal(kind, content(5));
  file[24] = std::byte{6};
  const uint64_t sum = schemas::checksum_of(std::span(file).subspan(16));
  for (size_t i = 0; i < 8; ++i) file[8 + i] = static_cast<std::byte>(sum >> (8 * i));
  EXPECT_EQ(why_not(file, status_code::corrupt), "says it holds 6 bytes, and holds 5");
}

TEST(sealed_file, its_bytes_are_pinned_because_files_outlive_programs) {
  const auto file = seal(kind, content(2));
  const std::vector<int> expected = {'T', 'E', 'S', 'T', 'F', 'I', 'L', 'E'};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(std::to_integer<int>(file[i]), expected[i]);
  EXPECT_EQ(std::to_integer<int>(file[16]), 3);
  EXPECT_EQ(std::to_integer<int>(file[24]), 2);
  EXPECT_EQ(std::to_integer<int>(file[32]), 1);
}

} // namespace
} // namespace troupe::storage
