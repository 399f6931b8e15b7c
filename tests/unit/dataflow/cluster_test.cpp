// What a cluster may be configured with.
#include "dataflow/cluster.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace troupe::dataflow {
namespace {

using std::chrono::milliseconds;

cluster_layout usual() {
  return {.nodes = {"a", "b", "c"},
          .voters = 3,
          .stages = 2,
          .shards = 4,
          .shard_copies = 2,
          .layers = 8,
          .experts = 16};
}

TEST(cluster_test, accepts_usual_and_extreme_layouts) {
  EXPECT_TRUE(validate(usual()).ok());
  EXPECT_TRUE(validate(cluster_layout{.nodes = {"alone"}, .layers = 1}).ok());
  auto layout = usual();
  layout.shard_copies = 9; // wanted; there need not be as many nodes
  EXPECT_TRUE(validate(layout).ok());
  layout.experts = 0;
  layout.shards = 0; // a dense model has none
  EXPECT_TRUE(validate(layout).ok());
}

TEST(cluster_test, names_what_is_wrong_with_a_layout) {
  struct row {
    const char* named;
    std::function<void(cluster_layout&)> spoil;
  };
  const row rows[] = {
      {"nodes", [](auto& l) { l.nodes.clear(); }},
      {"without a name", [](auto& l) { l.nodes[1] = ""; }},
      {"'a'", [](auto& l) { l.nodes[2] = "a"; }},
      {"voters", [](auto& l) { l.voters = 0; }},
      {"voters", [](auto& l) { l.voters = 4; }},
      {"layers", [](auto& l) { l.layers = 0; }},
      {"stages", [](auto& l) { l.stages = 0; }},
      {"stages", [](auto& l) { l.stages = 9; }},
      {"shards", [](auto& l) { l.shards = 0; }},
      {"shards", [](auto& l) { l.shards = 17; }},
      {"shard_copies", [](auto& l) { l.shard_copies = 0; }},
      {"shard_copies_max", [](auto& l) { l.shard_copies_max = l.shard_copies - 1; }},
  };
  for (const auto& r : rows) {
    auto layout = usual();
    r.spoil(layout);
    const auto s = validate(layout);
    EXPECT_EQ(s.code(), status_code::invalid_argument) << r.named;
    EXPECT_NE(s.why().find(r.named), std::string::npos) << s.why();
  }
}

TEST(cluster_test, names_what_is_wrong_with_timing) {
  EXPECT_TRUE(validate(cluster_timing{}).ok());
  struct row {
    const char* named;
    std::function<void(cluster_timing&)> spoil;
  };
  const row rows[] = {
      {"report_every", [](auto& t) { t.report_every = milliseconds(0); }},
      {"suspect_phi", [](auto& t) { t.suspect_phi = 0; }},
      {"suspect_phi", [](auto& t) { t.suspect_phi = 17; }},
      {"pause_allowed", [](auto& t) { t.pause_allowed = milliseconds(-1); }},
      {"silence_max", [](auto& t) { t.silence_max = milliseconds(150); }},
      {"silence_max", [](auto& t) { t.silence_max = std::chrono::minutes(31); }},
      {"vote_timeout", [](auto& t) { t.vote_timeout = milliseconds(0); }},
      {"readmit_first", [](auto& t) { t.readmit_first = milliseconds(-1); }},
      {"reconnect_allowed", [](auto& t) { t.reconnect_allowed = milliseconds(-1); }},
      {"readmit_max", [](auto& t) { t.readmit_max = t.readmit_first - duration(1); }},
      {"formation_wait", [](auto& t) { t.formation_wait = milliseconds(-1); }},
      {"resend_after", [](auto& t) { t.resend_after = milliseconds(0); }},
      {"step_max", [](auto& t) { t.step_max = milliseconds(0); }},
      {"reroute_after", [](auto& t) { t.reroute_after = milliseconds(0); }},
  };
  for (const auto& r : rows) {
    cluster_timing timing;
    r.spoil(timing);
    EXPECT_NE(validate(timing).why().find(r.named), std::string::npos) << r.named;
  }
}

TEST(cluster_test, a_node_is_known_by_its_place) {
  const auto layout = usual();
  EXPECT_EQ(layout.index_of("c"), 2u);
  EXPECT_FALSE(layout.index_of("d").has_value());
  EXPECT_EQ(layout.majority(), 2u);
  EXPECT_TRUE(layout.is_voter(2));
  EXPECT_FALSE(layout.is_voter(no_node));
}

TEST(cluster_test, without_voters_nothing_waits_for_a_majority) {
  auto layout = usual();
  layout.voters = 0;
  EXPECT_EQ(layout.majority(), 0u);
  EXPECT_FALSE(layout.is_voter(0));
  EXPECT_FALSE(validate(layout).ok()); // nobody is configured so
}

TEST(cluster_test, a_fingerprint_tells_layouts_apart_that_cannot_share_a_state) {
  const auto layout = usual();
  const auto changed = [&layout](auto change) {
    auto other = layout;
    change(other);
    return fingerprint(other);
  };
  EXPECT_EQ(changed([](auto&) {}), fingerprint(layout));
  EXPECT_EQ(changed([](auto& l) { l.voters = 0; }), fingerprint(layout));
  EXPECT_EQ(changed([](auto& l) { ++l.shard_copies; }), fingerprint(layout));
  EXPECT_EQ(changed([](auto& l) { l.bytes.sequencer = 5; }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { ++l.stages; }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { ++l.shards; }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { ++l.layers; }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { ++l.experts; }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { l.nodes.push_back("z"); }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { std::swap(l.nodes[0], l.nodes[1]); }), fingerprint(layout));
  EXPECT_NE(changed([](auto& l) { l.nodes[0] += l.nodes[1]; }), fingerprint(layout));
}

} // namespace
} // namespace troupe::dataflow
