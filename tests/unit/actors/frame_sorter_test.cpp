// Bytes from an endpoint reach whom they concern, or nobody.
#include "actors/frame_sorter.hpp"

#include "schemas/frame_codec.hpp"
#include "tests/unit/actors/actor_test.hpp"

namespace troupe::actors {
namespace {

class frame_sorter_test : public tests::actor_test {
protected:
  void connect() {
    it.connect(to_gateway.as<gateway>(), to_membership.as<membership>(),
               to_coordinator.as<coordinator>());
  }
  static schemas::frame_header header(schemas::frame_body body) {
    schemas::frame_header out;
    out.source = 1;
    out.source_incarnation = 4;
    out.target = 2;
    out.target_incarnation = 7;
    out.body = std::move(body);
    return out;
  }
  static std::vector<std::byte> bytes(const schemas::frame_header& header) {
    return schemas::encode_frame(header, {}).value();
  }
  void receive(std::span<const std::byte> header, std::span<const std::byte> payload = {},
               const transport::node_identity& from = {"b", 4}) {
    it.frame_received(from, header, payload);
    settle();
  }
  size_t heard() const { return to_gateway.size() + to_membership.size() + to_coordinator.size(); }

  dataflow::cluster_layout layout{.nodes = {"a", "b", "c"}};
  gateway_counters counters;
  frame_sorter it{layout, 2, 7, counters};
  tests::recorder to_gateway = record(), to_membership = record(), to_coordinator = record();
};

TEST_F(frame_sorter_test, hands_every_kind_to_whom_it_concerns) {
  connect();
  schemas::node_report report;
  report.node = 1;
  report.number = 3;
  receive(bytes(header(report)));
  EXPECT_EQ(to_membership.last<report_arrived>().report->number, 3u);
  const std::vector<schemas::frame_body> votes = {
      schemas::register_prepare{},  schemas::register_promise{}, schemas::register_accept{},
      schemas::register_accepted{}, schemas::register_recover{}, schemas::register_recovered{},
      schemas::state_update{}};
  for (const auto& vote : votes) {
    receive(bytes(header(vote)));
    EXPECT_EQ(to_coordinator.last<vote_arrived>().from, 1u);
    EXPECT_EQ(to_coordinator.last<vote_arrived>().incarnation, 4u);
    EXPECT_EQ(*to_coordinator.last<vote_arrived>().body, vote);
  }
  EXPECT_EQ(to_coordinator.size(), votes.size());
  receive(bytes(header(schemas::choice_end{5, 6})));
  EXPECT_EQ(to_gateway.last<frame_arrived>().frame->header.body,
            schemas::frame_body(schemas::choice_end{5, 6}));
  receive(bytes(header(std::monostate())));
  EXPECT_EQ(to_gateway.size(), 2u);
  EXPECT_EQ(heard(), votes.size() + 3);
}

TEST_F(frame_sorter_test, believes_nobody_who_speaks_for_another) {
  connect();
  const auto frame = bytes(header(schemas::choice_end{5, 6}));
  receive(frame, {}, {"a", 4});
  receive(frame, {}, {"b", 5});
  receive(frame, {}, {"stranger", 4});
  EXPECT_EQ(heard(), 0u);
  EXPECT_EQ(counters.corrupt.load(), 3u);
  receive(frame);
  EXPECT_EQ(heard(), 1u);
}

TEST_F(frame_sorter_test, tells_of_connections_that_end) {
  it.peer_down({"b", 4}); // nobody is there yet
  connect();
  it.peer_down({"stranger", 4});
  it.peer_down({"b", 4});
  settle();
  EXPECT_EQ(to_membership.size(), 1u);
  EXPECT_EQ(to_membership.last<peer_cut_off>().node, 1u);
  EXPECT_EQ(to_membership.last<peer_cut_off>().incarnation, 4u);
}

TEST_F(frame_sorter_test, brings_the_rows_along) {
  connect();
  const std::vector<float> rows = {1, -2.5f, 3, 4, 5, 6};
  const auto payload = std::as_bytes(std::span(rows));
  auto frame = header(schemas::stage_done{9});
  frame.rows = 2;
  frame.columns = 3;
  frame.payload_checksum = schemas::checksum_of(payload);
  receive(bytes(frame), payload);
  const auto got = to_gateway.last<frame_arrived>().frame;
  EXPECT_EQ(got->payload.rows, 2u);
  EXPECT_EQ(got->payload.columns, 3u);
  EXPECT_EQ(got->payload.values, rows);
  auto damaged = rows;
  damaged[4] += 1;
  receive(bytes(frame), std::as_bytes(std::span(damaged)));
  receive(bytes(frame), payload.first(20));
  receive(bytes(frame));
  EXPECT_EQ(to_gateway.size(), 1u);
  EXPECT_EQ(counters.corrupt.load(), 3u);
}

TEST_F(frame_sorter_test, damaged_headers_are_counted_and_dropped) {
  connect();
  const auto good = bytes(header(schemas::choice_end{5, 6}));
  for (size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x40};
    receive(bad);
  }
  for (size_t size = 0; size < good.size(); size += 8) receive(std::span(good).first(size));
  EXPECT_EQ(heard(), 0u);
  EXPECT_EQ(counters.corrupt.load(), good.size() + (good.size() + 7) / 8);
}

TEST_F(frame_sorter_test, frames_for_others_and_for_earlier_lives_are_stale) {
  connect();
  const auto change = [this](auto&& how) {
    auto frame = header(schemas::choice_end{5, 6});
    how(frame);
    receive(bytes(frame), {}, {layout.nodes[frame.source], 4});
  };
  change([](auto& f) { f.target = 1; });
  change([](auto& f) { f.target_incarnation = 6; });
  change([](auto& f) { f.target_incarnation = 8; });
  change([](auto& f) { f.source = 2; }); // of ourselves
  EXPECT_EQ(heard(), 0u);
  EXPECT_EQ(counters.stale.load(), 4u);
  change([](auto& f) { f.target = schemas::no_node; });
  change([](auto& f) { f.target_incarnation = 0; });
  EXPECT_EQ(to_gateway.size(), 2u);
}

TEST_F(frame_sorter_test, is_deaf_before_it_is_connected_and_after_it_is_disconnected) {
  const auto good = bytes(header(schemas::choice_end{5, 6}));
  receive(good);
  EXPECT_EQ(heard(), 0u);
  connect();
  receive(good);
  EXPECT_EQ(heard(), 1u);
  it.disconnect();
  receive(good);
  connect(); // it is over
  receive(good);
  EXPECT_EQ(heard(), 1u);
}

} // namespace
} // namespace troupe::actors
