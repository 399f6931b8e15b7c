// The picture is well formed and shows every cluster.
#include "simulations/capacity/plot.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>

namespace troupe::simulations::capacity {
namespace {

size_t count(const std::string& text, std::string_view what) {
  size_t out = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++out;
  return out;
}

report with_rows(const study& of, uint32_t rows) {
  report out{.of = of, .rows = {}, .found = {}, .fidelity = {}};
  for (uint32_t n = 1; n <= rows; ++n) {
    report_row row;
    row.nodes = n;
    row.result.goodput_per_s = 1000.0 * n;
    row.result.ttft.p99_ms = 100;
    out.rows.push_back(row);
  }
  return out;
}

TEST(plot, has_a_mark_for_every_cluster_and_series) {
  study of = small_study();
  of.system.model.name = "a<b&c";
  const auto svg = report_svg(with_rows(of, 3));
  EXPECT_EQ(count(svg, "<circle"), 9u);
  EXPECT_EQ(count(svg, "<polyline"), 3u);
  EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
  EXPECT_NE(svg.find("a&lt;b&amp;c"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(plot, stacks_the_parts_of_recoveries) {
  const study of = small_study();
  auto what = with_rows(of, 1);
  what.rows[0].availability.emplace();
  what.rows[0].availability->classes.resize(2);
  EXPECT_EQ(count(report_svg(what), "<rect"), count(report_svg(with_rows(of, 1)), "<rect") + 15);
}

TEST(plot, joins_only_clusters_with_as_many_copies) {
  const study of = small_study();
  auto what = with_rows(of, 4);
  what.rows[2].copies = what.rows[3].copies = 2;
  EXPECT_EQ(count(report_svg(what), "<polyline"), 6u);
}

TEST(plot, nothing_to_show_is_no_crash) {
  const study of = small_study();
  const auto svg = report_svg(with_rows(of, 0));
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

} // namespace
} // namespace troupe::simulations::capacity
