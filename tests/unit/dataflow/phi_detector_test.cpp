// A peer is suspected when its silence is longer than its habits explain, at exact nanoseconds.
#include "dataflow/phi_detector.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

time_point at(int64_t ms) {
  return time_point{} + milliseconds(ms);
}

const phi_options usual{.threshold = 8,
                        .samples_max = 64,
                        .expected = milliseconds(100),
                        .deviation_min = milliseconds(20),
                        .pause_allowed = milliseconds(300),
                        .silence_max = seconds(10)};

// 100 + 5.612 * 20 + 300.
constexpr duration usual_gap = std::chrono::microseconds(512'240);

TEST(phi_detector_test, watches_from_the_first_report_on) {
  phi_detector detector(usual);
  EXPECT_FALSE(detector.watching());
  EXPECT_FALSE(detector.suspect(at(1'000'000)));
  EXPECT_EQ(detector.phi_milli(at(1'000'000)), 0u);
  detector.heard(at(50));
  EXPECT_TRUE(detector.watching());
  EXPECT_EQ(detector.last_heard(), at(50));
  EXPECT_EQ(detector.suspect_at(), at(50) + usual_gap);
  EXPECT_FALSE(detector.suspect(detector.suspect_at() - duration(1)));
  EXPECT_TRUE(detector.suspect(detector.suspect_at()));
}

TEST(phi_detector_test, one_lost_report_is_no_failure_and_silence_is) {
  phi_detector detector(usual);
  for (int n = 0; n <= 20; ++n) detector.heard(at(n * 100));
  EXPECT_FALSE(detector.suspect(at(2200)));
  EXPECT_FALSE(detector.suspect(at(2450)));
  EXPECT_TRUE(detector.suspect(at(2513)));
}

TEST(phi_detector_test, who_is_cut_off_is_suspect_soon_unless_heard) {
  phi_detector detector(usual);
  detector.cut_off(at(10));
  EXPECT_FALSE(detector.suspect(at(1'000'000))); // nobody watched it
  detector.heard(at(50));
  detector.cut_off(at(90));
  detector.cut_off(at(120)); // no later than was said first
  EXPECT_EQ(detector.suspect_at(), at(90));
  detector.heard(at(80));
  EXPECT_EQ(detector.suspect_at(), at(80) + usual_gap);
  detector.cut_off(at(10'000)); // never later than silence says
  EXPECT_EQ(detector.suspect_at(), at(80) + usual_gap);
}

TEST(phi_detector_test, thresholds_are_quantiles_of_the_normal_tail) {
  for (uint32_t phi = 1; phi <= 16; ++phi) {
    auto options = usual;
    options.threshold = phi;
    options.deviation_min = seconds(1);
    options.silence_max = seconds(60);
    phi_detector detector(options);
    detector.heard(at(0));
    const auto late = detector.suspect_at() - at(0) - options.expected - options.pause_allowed;
    const double deviations = std::chrono::duration<double>(late).count();
    EXPECT_NEAR(-std::log10(std::erfc(deviations / std::sqrt(2.0)) / 2), phi, 0.003);
    EXPECT_NEAR(detector.phi_milli(detector.suspect_at()), 1000.0 * phi, 1);
  }
}

TEST(phi_detector_test, jitter_widens_the_allowance_by_the_deviation) {
  phi_detector detector(usual);
  time_point now = at(0);
  detector.heard(now);
  for (int n = 0; n < 64; ++n) detector.heard(now += milliseconds(n % 2 == 0 ? 100 : 300));
  // mean 200, deviation 100.
  EXPECT_EQ(detector.suspect_at() - now, std::chrono::microseconds(200'000 + 561'200 + 300'000));
}

TEST(phi_detector_test, early_reports_do_not_make_it_impatient) {
  phi_detector detector(usual);
  time_point now = at(0);
  for (int n = 0; n < 100; ++n) detector.heard(now += milliseconds(1));
  EXPECT_EQ(detector.suspect_at() - now, usual_gap);
}

TEST(phi_detector_test, never_waits_longer_than_the_maximal_silence) {
  auto options = usual;
  options.silence_max = milliseconds(450);
  phi_detector detector(options);
  detector.heard(at(0));
  EXPECT_EQ(detector.suspect_at(), at(450));
}

TEST(phi_detector_test, one_outage_is_soon_forgotten_and_a_slow_peer_is_learnt) {
  phi_detector outage(usual);
  for (int n = 0; n <= 64; ++n) outage.heard(at(n * 100));
  outage.heard(at(60'000));
  EXPECT_LT(outage.suspect_at() - at(60'000), milliseconds(750));

  phi_detector slow(usual);
  time_point now = at(0);
  slow.heard(now);
  int suspicions = 0;
  for (int n = 0; n < 100; ++n) {
    now += milliseconds(700);
    suspicions += slow.suspect(now);
    slow.heard(now);
  }
  EXPECT_GE(suspicions, 1);
  EXPECT_LE(suspicions, 10);
}

TEST(phi_detector_test, the_window_forgets) {
  auto options = usual;
  options.samples_max = 4;
  phi_detector detector(options);
  time_point now = at(0);
  for (const int gap : {0, 400, 400, 400, 100, 100, 100, 100}) {
    detector.heard(now += milliseconds(gap));
  }
  EXPECT_EQ(detector.suspect_at() - now, usual_gap);
}

TEST(phi_detector_test, phi_rises_with_silence_and_saturates) {
  phi_detector detector(usual);
  detector.heard(at(0));
  uint32_t last = 0;
  for (int ms = 0; ms < 2000; ++ms) {
    EXPECT_GE(detector.phi_milli(at(ms)), last);
    last = detector.phi_milli(at(ms));
  }
  EXPECT_EQ(last, 99'000u);
  EXPECT_EQ(detector.phi_milli(at(400)), 301u); // as late as early: one half
}

TEST(phi_detector_test, reset_forgets_the_peer) {
  phi_detector detector(usual);
  detector.heard(at(0));
  detector.heard(at(450));
  detector.reset();
  EXPECT_FALSE(detector.watching());
  detector.heard(at(5000));
  EXPECT_EQ(detector.suspect_at(), at(5000) + usual_gap);
}

TEST(phi_detector_test, a_clock_that_stands_still_does_no_harm) {
  phi_detector detector(usual);
  detector.heard(at(5));
  detector.heard(at(5));
  EXPECT_EQ(detector.suspect_at(), at(5) + usual_gap);
}

} // namespace
} // namespace troupe::dataflow
