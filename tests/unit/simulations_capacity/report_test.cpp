// The same study gives the same bytes, and says what it leaves out.
#include "simulations/capacity/report.hpp"

#include "tests/unit/simulations_capacity/studies.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace troupe::simulations::capacity {
namespace {

report make_report(const study& of) {
  report out{.of = of, .rows = {}, .found = {}, .fidelity = {}};
  for (const uint32_t nodes : {2u, 4u}) {
    auto done = *run_study(of, nodes, 1);
    report_row row;
    row.nodes = nodes;
    row.plan = std::move(done.plan);
    row.result = std::move(done.result);
    row.availability = *estimate_availability(
        of, nodes, 1,
        {.samples = 1, .replicas_max = 1, .before = 5 * second_ns, .after = 10 * second_ns});
    out.rows.push_back(std::move(row));
  }
  return out;
}

TEST(report, the_same_seed_gives_the_same_bytes) {
  study of = two_node_study();
  of.failure_scale = 3e5;
  const auto a = make_report(of), b = make_report(of);
  EXPECT_EQ(report_json(a), report_json(b));
  EXPECT_EQ(report_table(a), report_table(b));
  study other = of;
  other.seed = 2;
  EXPECT_NE(report_json(make_report(other)), report_json(a));
}

TEST(report, json_has_inputs_with_sources_and_results) {
  const study of = small_study();
  const auto json = nlohmann::json::parse(report_json(make_report(of)));
  EXPECT_EQ(json["inputs"]["device"]["launch_us"]["source"], "assumption");
  EXPECT_EQ(json["clusters"].size(), 2u);
  EXPECT_GT(json["clusters"][0]["result"]["goodput_tokens_per_s"].get<double>(), 0);
  EXPECT_TRUE(json["clusters"][1]["availability"]["available"]["value"].is_number());
  EXPECT_FALSE(json["not_modelled"].empty());
}

TEST(report, a_cluster_too_small_is_a_line_of_the_table) {
  const study of = small_study();
  report what{.of = of, .rows = {}, .found = {}, .fidelity = {}};
  report_row row;
  row.nodes = 1;
  row.why_not = "does not fit";
  what.rows.push_back(row);
  EXPECT_NE(report_table(what).find("does not fit"), std::string::npos);
  EXPECT_NE(report_table(what).find("no public routing trace"), std::string::npos);
}

} // namespace
} // namespace troupe::simulations::capacity
