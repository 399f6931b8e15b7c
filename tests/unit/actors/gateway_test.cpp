// The gateway between recorders and an endpoint that keeps what it is given: order, credit,
// resending, epochs, lives of peers, and every message out and in.
#include "actors/gateway.hpp"

#include "actors/routes.hpp"
#include "schemas/frame_codec.hpp"
#include "tests/unit/actors/actor_test.hpp"

namespace troupe::actors {
namespace {

using schemas::frame_body;
using schemas::frame_header;

class fake_endpoint final : public transport::endpoint {
public:
  struct frame {
    std::string peer;
    frame_header header;
    std::vector<float> payload;
  };

  const transport::node_identity& self() const override { return self_; }
  status send(const std::string& peer, std::span<const std::byte> header,
              std::span<const std::byte> payload) override {
    auto read = schemas::decode_frame(header, {});
    EXPECT_TRUE(read.has_value()) << read.error().why();
    frame made{peer, std::move(*read), std::vector<float>(payload.size() / 4)};
    if (!payload.empty()) std::memcpy(made.payload.data(), payload.data(), payload.size());
    EXPECT_EQ(made.header.payload_bytes(), payload.size());
    if (!payload.empty()) {
      EXPECT_EQ(made.header.payload_checksum, schemas::checksum_of(payload));
    }
    sent.push_back(std::move(made));
    return {};
  }
  size_t credit(const std::string&) const override { return 1000; }
  std::vector<transport::node_identity> peers() const override { return {}; }
  transport::endpoint_counters counters() const override { return {}; }

  template <class Body>
  std::vector<frame> of() const {
    std::vector<frame> out;
    for (const auto& each : sent)
      if (std::holds_alternative<Body>(each.header.body)) out.push_back(each);
    return out;
  }

  std::vector<frame> sent;

private:
  transport::node_identity self_;
};

// This is node 0, a. The sequencer is on b, stage 1 on c, stage 0 here; shard 0 is here and on b,
// shard 1 on b and c.
class gateway_test : public tests::actor_test {
protected:
  gateway_test() {
    layout.nodes = {"a", "b", "c"};
    routes.members = {{.incarnation = 10, .present = true, .serving = true},
                      {.incarnation = 20, .present = true, .serving = true},
                      {.incarnation = 30, .present = true, .serving = true}};
    const auto away = gateway_itself();
    routes.doors = {door.as<ingress>(), away.as<ingress>(), away.as<ingress>()};
    routes.sequencer = {away.as<sequencer>(), 1, true};
    routes.stages = {{stage.as<attention_stage>(), 0, false},
                     {away.as<attention_stage>(), 2, true}};
    routes.routers = {router.as<gating_router>(), away.as<gating_router>()};
    routes.shards = {{{shard.as<expert_shard>(), 0, false}, {away.as<expert_shard>(), 1, true}},
                     {{away.as<expert_shard>(), 1, true}, {away.as<expert_shard>(), 2, true}}};
    routes.supervisor = supervisor.as<pipeline_watcher>();
  }

  // Nobody looks at the handles of parts elsewhere but other parts.
  tests::recorder gateway_itself() { return record(); }

  void start(uint32_t waiting_max = 1000, uint64_t link_bytes_max = 256 << 20) {
    it = own(spawn_gateway(system_, {.layout = &layout,
                                     .timing = &timing,
                                     .self = 0,
                                     .incarnation = 10,
                                     .endpoint = &endpoint,
                                     .counters = &counters,
                                     .time = &time,
                                     .trace = &trace,
                                     .link_bytes_max = link_bytes_max,
                                     .waiting_max = waiting_max,
                                     .courier = courier.as<journal_courier>()}));
    wire_to(5);
    tell(it, open_gate{5});
  }
  void wire_to(uint64_t epoch) { tell(it, wire{epoch, make_local(routes), false}); }

  void arrives(const frame_header& header, row_block payload = {}) {
    tell(it, frame_arrived{make_local(inbound_frame{header, std::move(payload)})});
  }
  // From b, as the `number`th of the link.
  frame_header from_b(uint64_t number, frame_body body, uint64_t epoch = 5) {
    return {.source = 1,
            .source_incarnation = 20,
            .target = 0,
            .target_incarnation = 10,
            .epoch = epoch,
            .link_number = number,
            .link_ack = 0,
            .rows = 0,
            .columns = 0,
            .payload_checksum = 0,
            .body = std::move(body)};
  }
  void b_acknowledges(uint64_t upto) {
    auto frame = from_b(0, std::monostate());
    frame.link_ack = upto;
    arrives(frame);
  }
  // Frames to the sequencer on b, one after another.
  void fail_steps(uint64_t first, uint64_t last, uint64_t epoch = 5) {
    for (uint64_t step = first; step <= last; ++step)
      tell(it, step_failed{epoch, step, status_code::corrupt, "why"});
  }
  std::vector<uint64_t> steps_sent() const {
    std::vector<uint64_t> out;
    for (const auto& each : endpoint.of<schemas::step_failure>())
      out.push_back(std::get<schemas::step_failure>(each.header.body).step);
    return out;
  }
  static std::vector<uint64_t> numbers(uint64_t first, uint64_t last) {
    std::vector<uint64_t> out;
    for (uint64_t n = first; n <= last; ++n) out.push_back(n);
    return out;
  }
  // A choice that ended at this door's stream `n`: easy to tell apart.
  static request_handle of_door(uint32_t node, uint64_t n) {
    return dataflow::make_request_id(node, 1, n);
  }
  frame_body failure(uint64_t n) { return schemas::request_failure{of_door(0, n), 3, "why"}; }
  std::vector<uint64_t> failures_heard() const {
    std::vector<uint64_t> out;
    for (const auto& each : door.heard<request_failed>()) out.push_back(each.handle & 0xffff);
    return out;
  }

  dataflow::cluster_layout layout;
  dataflow::cluster_timing timing;
  fake_endpoint endpoint;
  gateway_counters counters;
  route_table routes;
  tests::recorder door = record(), stage = record(), router = record(), shard = record(),
                  supervisor = record(), courier = record();
  gateway it;
};

TEST_F(gateway_test, answers_that_it_is_wired_and_keeps_the_order_of_a_peer) {
  start();
  EXPECT_EQ(supervisor.last<wired>().epoch, 5u);
  fail_steps(1, 3);
  ASSERT_EQ(steps_sent(), numbers(1, 3));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(endpoint.sent[i].peer, "b");
    EXPECT_EQ(endpoint.sent[i].header.link_number, i + 1);
    EXPECT_EQ(endpoint.sent[i].header.source_incarnation, 10u);
    EXPECT_EQ(endpoint.sent[i].header.target_incarnation, 20u);
    EXPECT_EQ(endpoint.sent[i].header.epoch, 5u);
  }
}

TEST_F(gateway_test, frames_without_credit_wait_and_go_later_in_order) {
  start();
  fail_steps(1, 300);
  EXPECT_EQ(steps_sent(), numbers(1, 256)); // the window of a link
  b_acknowledges(100);
  EXPECT_EQ(steps_sent(), numbers(1, 300));
  EXPECT_EQ(counters.waiting.load(), 0u);
  EXPECT_EQ(counters.unacknowledged.load(), 200u);
}

TEST_F(gateway_test, a_peer_that_takes_nothing_makes_the_epoch_stuck) {
  start(2);
  fail_steps(1, 258);
  EXPECT_TRUE(supervisor.heard<pipeline_stuck>().empty());
  fail_steps(259, 259);
  EXPECT_EQ(supervisor.last<pipeline_stuck>().epoch, 5u);
  wire_to(6); // what waited was of an epoch that is over
  b_acknowledges(256);
  EXPECT_EQ(steps_sent().size(), 256u);
}

TEST_F(gateway_test, what_is_not_acknowledged_is_sent_again_until_it_is) {
  start();
  fail_steps(1, 2);
  advance(timing.resend_after - std::chrono::milliseconds(1));
  EXPECT_EQ(counters.resent.load(), 0u);
  advance(std::chrono::milliseconds(1));
  EXPECT_EQ(steps_sent(), (std::vector<uint64_t>{1, 2, 1, 2}));
  EXPECT_EQ(endpoint.sent[2].header, endpoint.sent[0].header);
  b_acknowledges(1);
  advance(timing.resend_after);
  EXPECT_EQ(steps_sent().back(), 2u);
  EXPECT_EQ(counters.resent.load(), 3u);
  b_acknowledges(2);
  advance(std::chrono::seconds(5));
  EXPECT_EQ(counters.resent.load(), 3u);
}

TEST_F(gateway_test, frames_come_out_in_order_each_once) {
  start();
  for (const uint64_t n : {3, 1, 1, 2, 3, 2}) arrives(from_b(n, failure(n)));
  EXPECT_EQ(failures_heard(), numbers(1, 3));
  EXPECT_EQ(counters.held.load(), 0u);
}

TEST_F(gateway_test, acknowledges_soon_and_by_the_way_when_it_can) {
  start();
  arrives(from_b(1, failure(1)));
  EXPECT_TRUE(endpoint.sent.empty());
  advance(timing.resend_after / 4);
  ASSERT_EQ(endpoint.of<std::monostate>().size(), 1u);
  EXPECT_EQ(endpoint.sent[0].header.link_ack, 1u);
  EXPECT_EQ(endpoint.sent[0].header.link_number, 0u);
  arrives(from_b(1, failure(1))); // the acknowledgement was lost
  advance(timing.resend_after / 4);
  EXPECT_EQ(endpoint.of<std::monostate>().size(), 2u);
  arrives(from_b(2, failure(2)));
  fail_steps(1, 1); // carries it
  EXPECT_EQ(endpoint.sent.back().header.link_ack, 2u);
  advance(timing.resend_after / 2);
  EXPECT_EQ(endpoint.of<std::monostate>().size(), 2u);
}

TEST_F(gateway_test, frames_of_an_older_epoch_are_dropped_and_of_a_later_one_held) {
  start();
  arrives(from_b(1, failure(1), 4));
  EXPECT_TRUE(failures_heard().empty());
  EXPECT_EQ(counters.stale.load(), 1u);
  arrives(from_b(2, failure(2), 6));
  arrives(from_b(3, failure(3), 6));
  EXPECT_EQ(counters.held.load(), 2u);
  wire_to(6);
  EXPECT_TRUE(failures_heard().empty()); // the parts are not wired yet
  tell(it, open_gate{5});                // not the one
  EXPECT_TRUE(failures_heard().empty());
  tell(it, open_gate{6});
  EXPECT_EQ(failures_heard(), numbers(2, 3));
  EXPECT_EQ(counters.held.load(), 0u);
}

TEST_F(gateway_test, before_it_is_wired_nothing_comes_in) {
  it = own(spawn_gateway(system_, {.layout = &layout,
                                   .timing = &timing,
                                   .self = 0,
                                   .incarnation = 10,
                                   .endpoint = &endpoint,
                                   .counters = &counters,
                                   .time = &time,
                                   .trace = &trace}));
  arrives(from_b(1, failure(1), 0));
  arrives(from_b(2, failure(2), 5));
  EXPECT_EQ(counters.held.load(), 2u);
}

TEST_F(gateway_test, messages_of_another_epoch_do_not_leave) {
  start();
  fail_steps(1, 1, 4);
  fail_steps(2, 2, 6);
  EXPECT_TRUE(endpoint.sent.empty());
}

TEST_F(gateway_test, a_peer_that_starts_again_has_a_new_link) {
  start();
  fail_steps(1, 2);
  arrives(from_b(1, failure(1)));
  auto again = from_b(1, failure(2));
  again.source_incarnation = 21;
  arrives(again);
  EXPECT_EQ(failures_heard(), numbers(1, 2));
  arrives(from_b(2, failure(3))); // of the life that is over
  EXPECT_EQ(failures_heard(), numbers(1, 2));
  EXPECT_EQ(counters.stale.load(), 1u);
  routes.members[1].incarnation = 21;
  wire_to(6);
  tell(it, open_gate{6});
  fail_steps(7, 7, 6);
  EXPECT_EQ(endpoint.sent.back().header.link_number, 1u);
  EXPECT_EQ(endpoint.sent.back().header.target_incarnation, 21u);
}

TEST_F(gateway_test, acknowledgements_for_an_earlier_life_of_ours_mean_nothing) {
  start();
  fail_steps(1, 1);
  auto old = from_b(0, std::monostate());
  old.link_ack = 1;
  old.target_incarnation = 9;
  arrives(old);
  EXPECT_EQ(counters.unacknowledged.load(), 1u);
  b_acknowledges(1);
  EXPECT_EQ(counters.unacknowledged.load(), 0u);
}

TEST_F(gateway_test, who_is_not_in_the_epoch_is_sent_nothing) {
  start();
  fail_steps(1, 1);
  routes.members[1].present = false;
  wire_to(6);
  fail_steps(2, 2, 6);
  advance(std::chrono::seconds(1));
  EXPECT_EQ(steps_sent(), numbers(1, 1)); // nor again
}

TEST_F(gateway_test, datagrams_go_to_all_or_one_outside_the_link) {
  start();
  const auto body = make_local(frame_body(schemas::register_recover{77}));
  tell(it, send_datagram{schemas::no_node, body});
  tell(it, send_datagram{2, body});
  ASSERT_EQ(endpoint.sent.size(), 3u);
  EXPECT_EQ(endpoint.sent[0].peer + endpoint.sent[1].peer + endpoint.sent[2].peer, "bcc");
  for (const auto& each : endpoint.sent) {
    EXPECT_EQ(each.header.body, *body);
    EXPECT_EQ(each.header.link_number, 0u);
  }
  advance(std::chrono::seconds(1));
  EXPECT_EQ(endpoint.sent.size(), 3u);
}

TEST_F(gateway_test, the_courier_hears_who_takes_part_in_every_epoch) {
  start();
  EXPECT_EQ(courier.last<members_present>().incarnations, (std::vector<uint64_t>{10, 20, 30}));
  routes.members[2].present = false;
  wire_to(6);
  EXPECT_EQ(courier.last<members_present>().incarnations, (std::vector<uint64_t>{10, 20, 0}));
  // Whom it names is this gateway.
  caf::anon_send(courier.last<members_present>().carrier,
                 send_on_link{1, make_local(frame_body(schemas::journal_answer{4, true}))});
  settle();
  EXPECT_EQ(endpoint.of<schemas::journal_answer>().size(), 1u);
}

TEST_F(gateway_test, what_is_kept_travels_on_the_link_and_means_the_same_in_every_epoch) {
  start();
  const schemas::journal_entry entry{3, {std::byte{1}, std::byte{2}}};
  tell(it, send_on_link{2, make_local(frame_body(entry))});
  ASSERT_EQ(endpoint.sent.size(), 1u);
  EXPECT_EQ(endpoint.sent[0].peer, "c");
  EXPECT_EQ(endpoint.sent[0].header.link_number, 1u);
  EXPECT_EQ(endpoint.sent[0].header.body, frame_body(entry));
  advance(timing.resend_after);
  EXPECT_EQ(endpoint.of<schemas::journal_entry>().size(), 2u) << "it may have been lost";

  arrives(from_b(1, entry, 4)); // sent in an epoch that is over here
  arrives(from_b(2, failure(1), 4));
  arrives(from_b(3, schemas::journal_answer{9, true}, 5));
  ASSERT_EQ(courier.heard<entry_arrived>().size(), 1u);
  EXPECT_EQ(courier.last<entry_arrived>().from, 1u);
  EXPECT_EQ(*courier.last<entry_arrived>().entry, entry);
  EXPECT_EQ(courier.last<answer_arrived>().number, 9u);
  EXPECT_TRUE(courier.last<answer_arrived>().kept);
  EXPECT_EQ(counters.stale.load(), 1u);
}

TEST_F(gateway_test, what_is_kept_never_waits_for_credit) {
  start();
  const auto entry = make_local(frame_body(schemas::journal_entry{3, {std::byte{1}}}));
  fail_steps(1, 256);
  tell(it, send_on_link{1, entry}); // the link is full
  EXPECT_TRUE(endpoint.of<schemas::journal_entry>().empty());
  EXPECT_EQ(courier.last<answer_arrived>().number, 3u);
  EXPECT_FALSE(courier.last<answer_arrived>().kept);
  EXPECT_EQ(counters.waiting.load(), 0u);
  b_acknowledges(256);
  tell(it, send_on_link{1, entry});
  EXPECT_EQ(endpoint.of<schemas::journal_entry>().size(), 1u);
  routes.members[2].present = false;
  wire_to(6);
  tell(it, send_on_link{2, entry});
  EXPECT_EQ(courier.heard<answer_arrived>().size(), 2u) << "nobody is there";
}

TEST_F(gateway_test, large_entries_leave_room_for_the_pipeline) {
  start();
  const auto large =
      make_local(frame_body(schemas::journal_entry{3, std::vector<std::byte>(4 << 20)}));
  for (int i = 0; i < 20; ++i) tell(it, send_on_link{1, large});
  EXPECT_EQ(endpoint.of<schemas::journal_entry>().size(), 8u); // 32 MiB
  EXPECT_EQ(courier.heard<answer_arrived>().size(), 12u);
  fail_steps(1, 3);
  EXPECT_EQ(steps_sent(), numbers(1, 3));
  b_acknowledges(8);
  tell(it, send_on_link{1, large});
  EXPECT_EQ(endpoint.of<schemas::journal_entry>().size(), 9u);
}

TEST_F(gateway_test, frames_that_fill_a_link_wait_for_room) {
  start(1000, 32'000);
  const auto rows = make_local(row_block::make(100, 25)); // 10 kB, and a header
  for (uint64_t step = 1; step <= 5; ++step) tell(it, forward_done{5, step, rows});
  EXPECT_EQ(endpoint.of<schemas::stage_done>().size(), 3u);
  b_acknowledges(2);
  const auto sent = endpoint.of<schemas::stage_done>();
  ASSERT_EQ(sent.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(sent[i].header.link_number, i + 1);
    EXPECT_EQ(sent[i].header.body, frame_body(schemas::stage_done{i + 1}));
    EXPECT_EQ(sent[i].header.rows, 100u);
  }
}

TEST_F(gateway_test, every_message_for_a_part_elsewhere_becomes_a_frame_there) {
  start();
  const auto rows = row_block{1, 2, {1.5f, -2}};
  const schemas::step_rows step{{7}, {0}, {3}, {0}, {1}, {{2}}, {0}};
  tell(it, forward_batch{5, 9, 1, 0, make_local(step_carriage{step, rows})});
  EXPECT_EQ(endpoint.sent.back().peer, "c");
  EXPECT_EQ(endpoint.sent.back().header.body, frame_body(schemas::stage_forward{9, 1, step}));
  EXPECT_EQ(endpoint.sent.back().payload, rows.values);
  tell(it, forward_done{5, 9, make_local(rows)});
  EXPECT_EQ(endpoint.sent.back().peer, "b");
  EXPECT_EQ(endpoint.sent.back().header.body, frame_body(schemas::stage_done{9}));
  EXPECT_EQ(endpoint.sent.back().payload, rows.values);
  for (const uint32_t attempt : {0u, 1u, 2u}) {
    tell(it, expert_batch{5, 9, 0, 3, 0, 1, attempt, make_local(expert_carriage{{{4, 1}}, rows})});
    EXPECT_EQ(endpoint.sent.back().peer, attempt == 1 ? "c" : "b");
    EXPECT_EQ(endpoint.sent.back().header.body,
              frame_body(schemas::shard_forward{9, 3, 0, 1, attempt, {{4, 1}}}));
    EXPECT_EQ(endpoint.sent.back().payload, rows.values);
  }
  tell(it, experts_done{5, 9, 3, 1, 0, make_local(rows)});
  EXPECT_EQ(endpoint.sent.back().peer, "c");
  EXPECT_EQ(endpoint.sent.back().header.body, frame_body(schemas::shard_done{9, 3, 1, 0}));
  EXPECT_EQ(endpoint.sent.back().payload, rows.values);
  tell(it, step_failed{5, 9, status_code::corrupt, "bad"});
  EXPECT_EQ(endpoint.sent.back().peer, "b");
  EXPECT_EQ(
      endpoint.sent.back().header.body,
      frame_body(schemas::step_failure{9, static_cast<uint8_t>(status_code::corrupt), "bad"}));
}

TEST_F(gateway_test, every_message_between_doors_and_the_sequencer_becomes_a_frame) {
  start();
  request_submission work;
  work.handle = of_door(0, 8);
  dataflow::generation_request request;
  request.prompt = {1, 2};
  work.request = std::make_shared<const dataflow::generation_request>(request);
  work.arrived = time.now();
  work.drawn = {{3}};
  work.finished = {false};
  work.prompt_scored = {true};
  tell(it, submit_request{5, work.handle, make_local(work)});
  EXPECT_EQ(endpoint.sent.back().peer, "b");
  const auto submitted = std::get<schemas::submission>(endpoint.sent.back().header.body);
  EXPECT_EQ(submitted.handle, work.handle);
  EXPECT_EQ(submitted.prompt, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(submitted.choices_so_far.at(0).drawn, std::vector<int32_t>{3});
  tell(it, end_choice{5, of_door(0, 8), 2});
  EXPECT_EQ(endpoint.sent.back().peer, "b");
  EXPECT_EQ(endpoint.sent.back().header.body, frame_body(schemas::choice_end{of_door(0, 8), 2}));
  emission drawn;
  drawn.entries.resize(1);
  drawn.entries[0].handle = of_door(2, 1);
  drawn.entries[0].begin = 4;
  tell(it, tokens_emitted{5, make_local(drawn)});
  EXPECT_EQ(endpoint.sent.back().peer, "c");
  EXPECT_EQ(std::get<schemas::emission>(endpoint.sent.back().header.body).entries.at(0).begin, 4u);
  tell(it, request_failed{5, of_door(2, 1), status_code::exhausted, "full"});
  EXPECT_EQ(endpoint.sent.back().peer, "c");
  EXPECT_EQ(endpoint.sent.back().header.body,
            frame_body(schemas::request_failure{
                of_door(2, 1), static_cast<uint8_t>(status_code::exhausted), "full"}));
}

TEST_F(gateway_test, what_is_too_large_for_a_frame_fails_its_requests_alone) {
  start();
  dataflow::generation_request request;
  request.prompt = {1};
  request.cache_salt = std::string(70'000, 's');
  request_submission work;
  work.handle = of_door(0, 8);
  work.request = std::make_shared<const dataflow::generation_request>(request);
  work.arrived = time.now();
  work.drawn = {{}};
  work.finished = {false};
  work.prompt_scored = {false};
  tell(it, submit_request{5, work.handle, make_local(work)});
  EXPECT_EQ(door.last<request_failed>().handle, work.handle);
  EXPECT_EQ(door.last<request_failed>().code, status_code::exhausted);
  EXPECT_TRUE(endpoint.sent.empty());
  emission drawn; // more alternatives to one token than any frame may hold
  drawn.entries.resize(1);
  drawn.entries[0].handle = of_door(2, 1);
  drawn.entries[0].tokens.resize(1);
  drawn.entries[0].tokens[0].top.resize(2000);
  tell(it, tokens_emitted{5, make_local(drawn)});
  const auto failures = endpoint.of<schemas::request_failure>();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].peer, "c");
  EXPECT_EQ(std::get<schemas::request_failure>(failures[0].header.body).handle, of_door(2, 1));
  EXPECT_TRUE(supervisor.heard<pipeline_stuck>().empty());
  fail_steps(1, 2); // the links go on
  EXPECT_EQ(steps_sent(), numbers(1, 2));
}

TEST_F(gateway_test, every_frame_for_a_part_here_becomes_its_message) {
  const auto sequencer_here = record();
  routes.sequencer = {sequencer_here.as<sequencer>(), 0, false};
  start();
  const row_block rows{1, 2, {1.5f, -2}};
  const schemas::step_rows step{{7}, {0}, {3}, {0}, {1}, {{2}}, {0}};
  arrives(from_b(1, schemas::stage_forward{9, 0, step}), rows);
  EXPECT_EQ(stage.last<forward_batch>().step, 9u);
  EXPECT_EQ(stage.last<forward_batch>().carried->rows, step);
  EXPECT_EQ(stage.last<forward_batch>().carried->hidden.values, rows.values);
  arrives(from_b(2, schemas::shard_forward{9, 3, 1, 0, 1, {{4, 1}}}), rows);
  const auto batch = shard.last<expert_batch>();
  EXPECT_EQ(batch.layer, 3u);
  EXPECT_EQ(batch.stage, 1u);
  EXPECT_EQ(batch.attempt, 1u);
  EXPECT_EQ(batch.carried->experts, (std::vector<schemas::expert_rows>{{4, 1}}));
  EXPECT_EQ(batch.carried->input.values, rows.values);
  arrives(from_b(3, schemas::shard_done{9, 3, 0, 1}), rows);
  EXPECT_EQ(router.last<experts_done>().shard, 1u);
  EXPECT_EQ(router.last<experts_done>().layer, 3u);
  EXPECT_EQ(router.last<experts_done>().output->values, rows.values);
  arrives(from_b(4, schemas::stage_done{9}), rows);
  EXPECT_EQ(sequencer_here.last<forward_done>().wanted->values, rows.values);
  arrives(from_b(5, schemas::step_failure{9, 3, "bad"}));
  EXPECT_EQ(sequencer_here.last<step_failed>().why, "bad");
  EXPECT_EQ(sequencer_here.last<step_failed>().code, static_cast<status_code>(3));
  schemas::submission work;
  work.handle = of_door(1, 4);
  work.prompt = {5};
  work.choices_so_far.resize(1);
  arrives(from_b(6, work));
  EXPECT_EQ(sequencer_here.last<submit_request>().handle, work.handle);
  EXPECT_EQ(sequencer_here.last<submit_request>().work->request->prompt, work.prompt);
  arrives(from_b(7, schemas::choice_end{of_door(1, 4), 2}));
  EXPECT_EQ(sequencer_here.last<end_choice>().choice, 2u);
  schemas::emission drawn;
  drawn.entries.resize(1);
  drawn.entries[0].handle = of_door(0, 6);
  arrives(from_b(8, drawn));
  EXPECT_EQ(door.last<tokens_emitted>().work->entries.at(0).handle, of_door(0, 6));
  arrives(from_b(9, failure(6)));
  EXPECT_EQ(door.last<request_failed>().why, "why");
  EXPECT_EQ(counters.misrouted.load() + counters.corrupt.load() + counters.stale.load(), 0u);
}

TEST_F(gateway_test, what_is_for_nobody_here_is_counted) {
  start();
  arrives(from_b(1, schemas::stage_done{9})); // the sequencer is on b
  arrives(from_b(2, schemas::stage_forward{.step = 9, .stage = 1, .rows = {}}));
  arrives(from_b(3, schemas::shard_forward{.step = 9, .shard = 1, .experts = {}}));
  arrives(from_b(4, schemas::shard_done{.step = 9, .stage = 1}));
  tell(it, rows_combined{});
  EXPECT_EQ(counters.misrouted.load(), 5u);
  arrives(from_b(5, schemas::stage_forward{.step = 9, .stage = 2, .rows = {}}));
  arrives(from_b(6, schemas::shard_forward{.step = 9, .shard = 2, .experts = {}}));
  arrives(from_b(7, schemas::shard_done{.step = 9, .stage = 0, .shard = 2}));
  arrives(from_b(8, schemas::register_recover{1})); // no business on a link
  auto stranger = from_b(1, failure(1));
  stranger.source = 3;
  arrives(stranger);
  EXPECT_EQ(counters.corrupt.load(), 5u);
  EXPECT_EQ(door.size() + stage.size() + router.size() + shard.size(), 0u);
}

} // namespace
} // namespace troupe::actors
