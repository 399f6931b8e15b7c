// Speeds are coarse, what is measured is positive, and memory is the least of what limits it.
#include "cli/node_means.hpp"

#include "tests/support/built_in_model.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace troupe::cli {
namespace {

TEST(node_means, a_speed_is_a_step_of_an_eighth_of_an_octave) {
  EXPECT_EQ(speed_of_rate(0), 1u);
  EXPECT_EQ(speed_of_rate(1 << 20), 160u);
  EXPECT_EQ(speed_of_rate(2 << 20), 168u);
  EXPECT_EQ(speed_of_rate(1.03 * (1 << 20)), 160u); // noise
  EXPECT_DOUBLE_EQ(rate_of_speed(168), 2 << 20);
}

TEST(node_means, a_device_that_works_is_measured) {
  const system_clock time;
  const auto speed =
      measure_speed(time, tests::shared_executor(), *tests::built_in_model()->weights);
  EXPECT_GT(speed, 8u * 20); // a million a second
  EXPECT_LT(speed, 8u * 50);
}

class lost_executor final : public compute::executor {
public:
  result<compute::buffer> allocate(size_t) override { return fail(gone); }
  result<compute::weight_matrix> load(const compute::matrix_source&,
                                      compute::weight_format) override {
    return fail(gone);
  }
  status submit(job, completion done) override {
    if (!takes_work) return gone;
    done(gone);
    return {};
  }
  std::string description() const override { return "lost"; }
  uint32_t threads() const override { return 1; }
  status gone = status(status_code::device_lost, "gone");
  bool takes_work = false;
};

TEST(node_means, a_device_that_does_not_work_has_no_speed) {
  const system_clock time;
  lost_executor lost;
  EXPECT_EQ(measure_speed(time, lost, *tests::built_in_model()->weights), 0u);
  lost.takes_work = true;
  EXPECT_EQ(measure_speed(time, lost, *tests::built_in_model()->weights), 0u);
}

class machine_folder : public ::testing::Test {
protected:
  machine_folder() : root(testing::TempDir() + "troupe_means_XXXXXX") {
    EXPECT_NE(mkdtemp(root.data()), nullptr);
  }
  ~machine_folder() override { std::filesystem::remove_all(root); }
  void put(const std::string& file, const std::string& content) {
    const auto path = std::filesystem::path(root + file);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  std::string root;
};

TEST_F(machine_folder, nothing_said_is_nothing_known) {
  EXPECT_EQ(available_memory(root), 0u);
}

TEST_F(machine_folder, the_least_of_machine_and_groups_counts) {
  put("/proc/meminfo", "MemTotal:  900 kB\nMemAvailable:     800 kB\n");
  EXPECT_EQ(available_memory(root), 800u * 1024);
  put("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n");
  put("/sys/fs/cgroup/a/b/memory.max", "max\n");
  put("/sys/fs/cgroup/a/b/memory.current", "500\n");
  EXPECT_EQ(available_memory(root), 800u * 1024);
  put("/sys/fs/cgroup/a/memory.max", "100000\n");
  put("/sys/fs/cgroup/a/memory.current", "30000\n");
  EXPECT_EQ(available_memory(root), 70000u);
  put("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 5000\n");
  EXPECT_EQ(available_memory(root), 75000u);
  put("/sys/fs/cgroup/a/b/memory.max", "600\n");
  EXPECT_EQ(available_memory(root), 100u);
  put("/sys/fs/cgroup/a/b/memory.max", "400\n"); // above its limit: next to nothing
  EXPECT_EQ(available_memory(root), 1u);
}

} // namespace
} // namespace troupe::cli
