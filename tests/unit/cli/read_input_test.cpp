// Lines and whole inputs from a descriptor.
#include "cli/read_input.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace troupe::cli {
namespace {

// A descriptor that gives `content` and then ends.
class input {
public:
  explicit input(std::string_view content) {
    EXPECT_EQ(::pipe(ends_.data()), 0);
    EXPECT_EQ(::write(ends_[1], content.data(), content.size()), ssize_t(content.size()));
    ::close(ends_[1]);
  }
  ~input() { ::close(ends_[0]); }
  int fd() const { return ends_[0]; }

private:
  std::array<int, 2> ends_ = {-1, -1};
};

TEST(read_input, reads_everything) {
  const input from("one\ntwo");
  EXPECT_EQ(*read_all(from.fd(), 100), "one\ntwo");
}

TEST(read_input, refuses_too_much) {
  const input from("0123456789");
  EXPECT_EQ(read_all(from.fd(), 9).error().code(), status_code::exhausted);
}

TEST(read_input, splits_lines) {
  const input from("one\r\n\nthree");
  line_reader lines(from.fd());
  EXPECT_EQ(lines.next(), "one");
  EXPECT_EQ(lines.next(), "");
  EXPECT_EQ(lines.next(), "three") << "the last line needs no end";
  EXPECT_EQ(lines.next(), std::nullopt);
  EXPECT_EQ(lines.next(), std::nullopt);
}

} // namespace
} // namespace troupe::cli
