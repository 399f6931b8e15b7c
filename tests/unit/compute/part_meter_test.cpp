// The books of a meter: every nanosecond in one place, and products counted by the executor.
#include "compute/part_meter.hpp"

#include "tests/unit/compute/support.hpp"

namespace troupe::compute {
namespace {

class hand_clock final : public clock {
public:
  time_point now() const override { return now_; }
  int64_t wall_seconds() const override { return 0; }
  void pass(int64_t ns) { now_ += duration(ns); }

private:
  time_point now_{};
};

duration of(const meter_reading& reading, part which) {
  return reading.computing[static_cast<size_t>(which)];
}

TEST(part_meter, puts_every_nanosecond_in_one_place) {
  hand_clock time;
  part_meter meter(time);
  time.pass(5); // nothing to do
  meter.begin_job();
  time.pass(7);
  meter.enter(part::attention);
  time.pass(11);
  meter.begin_wait();
  time.pass(13);
  meter.end_wait();
  time.pass(17);
  meter.enter(part::experts);
  time.pass(19);
  meter.end_job();
  time.pass(23);
  const auto reading = meter.read();
  EXPECT_EQ(of(reading, part::other), duration(7));
  EXPECT_EQ(of(reading, part::attention), duration(11 + 17));
  EXPECT_EQ(of(reading, part::experts), duration(19));
  EXPECT_EQ(reading.waiting, duration(13));
  EXPECT_EQ(reading.between, duration(5 + 23));
  EXPECT_EQ(reading.total(), duration(5 + 7 + 11 + 13 + 17 + 19 + 23));
  EXPECT_EQ(reading.jobs, 1u);
}

TEST(part_meter, starts_again_and_ignores_waits_outside_of_jobs) {
  hand_clock time;
  part_meter meter(time);
  meter.begin_job();
  time.pass(3);
  meter.end_job();
  meter.restart();
  meter.begin_wait(); // somebody loads weights
  time.pass(4);
  meter.end_wait();
  const auto reading = meter.read();
  EXPECT_EQ(reading.jobs, 0u);
  EXPECT_EQ(reading.waiting, duration(0));
  EXPECT_EQ(reading.total(), duration(4));
}

TEST(part_meter, is_told_of_products_and_parts_by_every_kind_of_kernels) {
  const system_clock time;
  const test::matrix stored = test::matrix::random(40, 64, 1);
  const test::matrix x = test::matrix::random(3, 64, 2);
  const weight_matrix w = *pack(stored.source(), weight_format::int8);
  for (const auto set : {instruction_set::reference, instruction_set::automatic}) {
    part_meter meter(time);
    const auto device = make_cpu_executor({.threads = 2, .set = set, .meter = &meter});
    test::matrix y(3, 40);
    test::run(**device, [&](kernels& k) {
      k.enter(part::router);
      k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = y.view()});
    });
    const auto reading = meter.read();
    EXPECT_EQ(reading.weight_bytes, w.bytes());
    EXPECT_EQ(reading.operations, 2u * 3 * 40 * 64);
    EXPECT_GT(of(reading, part::router), duration(0));
    EXPECT_EQ(of(reading, part::experts), duration(0));
    EXPECT_EQ(reading.jobs, 1u);
  }
}

} // namespace
} // namespace troupe::compute
