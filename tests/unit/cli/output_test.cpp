// Writing to pipes, closed descriptors and full devices.
#include "cli/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace troupe::cli {
namespace {

class pipe_pair {
public:
  pipe_pair() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~pipe_pair() {
    close_reader();
    ::close(ends_[1]);
  }
  void close_reader() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    ends_[0] = -1;
  }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }

private:
  std::array<int, 2> ends_ = {-1, -1};
};

TEST(output, what_is_written_can_be_read_at_once) {
  const pipe_pair pipe;
  output to(pipe.writer(), "standard output");
  ASSERT_TRUE(to.write("hello").ok());
  std::array<char, 16> got = {};
  EXPECT_EQ(::read(pipe.reader(), got.data(), got.size()), 5);
  EXPECT_EQ(std::string(got.data()), "hello");
  EXPECT_FALSE(to.is_terminal());
  EXPECT_EQ(to.columns(), 80u);
}

TEST(output, a_reader_that_left_is_told_from_a_failure) {
  std::signal(SIGPIPE, SIG_IGN);
  pipe_pair pipe;
  pipe.close_reader();
  output to(pipe.writer(), "standard output");
  EXPECT_EQ(to.write("x").code(), status_code::cancelled);
  EXPECT_EQ(to.write("").code(), status_code::cancelled) << "a failure stays";
  output closed(-1, "standard output");
  EXPECT_EQ(closed.write("x").code(), status_code::cancelled);
}

TEST(output, a_full_device_is_a_failure_with_its_reason) {
  const int fd = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  output to(fd, "standard output");
  const auto written = to.write("x");
  EXPECT_EQ(written.code(), status_code::unavailable);
  EXPECT_EQ(written.why(), "cannot write to standard output: No space left on device");
  ::close(fd);
}

TEST(output, open_descriptors_are_kept_as_they_are) {
  const auto closed = keep_standard_descriptors();
  EXPECT_FALSE(closed.output);
  EXPECT_FALSE(closed.error);
}

} // namespace
} // namespace troupe::cli
