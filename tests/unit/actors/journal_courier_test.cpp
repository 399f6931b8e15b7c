// The courier between recorders: entries that go out and how that ends, entries that come in.
#include "actors/journal_courier.hpp"

#include "schemas/frame_limits.hpp"
#include "tests/unit/actors/actor_test.hpp"

namespace troupe::actors {
namespace {

class journal_courier_test : public tests::actor_test {
protected:
  journal_courier_test() {
    it = own(spawn_journal_courier(system_, {.self = 0,
                                             .time = &time,
                                             .keep =
                                                 [this](std::span<const std::byte> entry) {
                                                   came.emplace_back(entry.begin(), entry.end());
                                                   return verdict;
                                                 },
                                             .corrupt = &corrupt,
                                             .limits = limits}));
    settle();
  }

  void meet(std::vector<uint64_t> incarnations) {
    tell(it, members_present{std::move(incarnations), carrier.as<link_carrier>()});
  }
  static std::vector<std::byte> bytes(size_t count) {
    return std::vector<std::byte>(count, std::byte{7});
  }
  // Its outcome goes to the end of `told`.
  void replicate(size_t count = 10) {
    tell(it, replicate_entry{make_local(schemas::journal_entry{0, bytes(count)}),
                             {std::make_shared<const delivery>(
                                 [out = outcomes](bool kept) { out->push_back(kept); })}});
  }
  void answers(schemas::node_index from, uint64_t number, bool kept) {
    tell(it, answer_arrived{from, number, kept});
  }
  // Number of an entry that went to this node, the last one.
  uint64_t sent_to(schemas::node_index node) {
    uint64_t number = 0;
    for (const auto& each : carrier.heard<send_on_link>())
      if (each.target == node) number = std::get<schemas::journal_entry>(*each.body).number;
    return number;
  }

  dataflow::replication_limits limits;
  std::atomic<uint64_t> corrupt{0};
  status verdict;
  std::vector<std::vector<std::byte>> came;
  // Deliveries that are still open end with the actor, after this fixture's own members.
  const std::shared_ptr<std::vector<bool>> outcomes = std::make_shared<std::vector<bool>>();
  const std::vector<bool>& told = *outcomes;
  tests::recorder carrier = record();
  journal_courier it;
};

TEST_F(journal_courier_test, an_entry_goes_to_the_others_and_their_answers_end_it) {
  meet({1, 2, 3});
  replicate();
  const auto sent = carrier.heard<send_on_link>();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(std::get<schemas::journal_entry>(*sent[0].body).bytes, bytes(10));
  EXPECT_TRUE(told.empty());
  answers(1, sent_to(1), true);
  EXPECT_TRUE(told.empty());
  answers(2, sent_to(2), false);
  EXPECT_EQ(told, std::vector<bool>{true});
  advance(limits.patience * 2);
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(journal_courier_test, a_silent_peer_costs_a_bounded_wait) {
  meet({1, 2, 3});
  replicate();
  advance(limits.patience - std::chrono::milliseconds(1));
  EXPECT_TRUE(told.empty());
  advance(std::chrono::milliseconds(1));
  EXPECT_EQ(told, std::vector<bool>{false});
  replicate();
  answers(2, sent_to(2), true);
  advance(limits.grace);
  EXPECT_EQ(told, (std::vector<bool>{false, true}));
}

TEST_F(journal_courier_test, a_peer_that_is_lost_is_not_waited_for) {
  meet({1, 2});
  replicate();
  meet({1, 0});
  EXPECT_EQ(told, std::vector<bool>{false});
  replicate(); // nobody is there
  EXPECT_EQ(told, (std::vector<bool>{false, false}));
  EXPECT_EQ(carrier.heard<send_on_link>().size(), 1u);
}

TEST_F(journal_courier_test, before_the_first_epoch_and_after_its_end_nothing_is_promised) {
  replicate();
  EXPECT_EQ(told, std::vector<bool>{false});
  meet({1, 2});
  replicate();
  tell(it, stop_part{});
  EXPECT_EQ(told, (std::vector<bool>{false, false}));
  replicate(); // nobody takes the message
  EXPECT_EQ(told, (std::vector<bool>{false, false, false}));
}

TEST_F(journal_courier_test, what_no_frame_holds_is_given_up_at_once) {
  meet({1, 2});
  replicate(schemas::frame_limits().journal_entry_bytes_max + 1);
  EXPECT_EQ(told, std::vector<bool>{false});
  EXPECT_EQ(carrier.size(), 0u);
  replicate(schemas::frame_limits().journal_entry_bytes_max);
  EXPECT_EQ(carrier.size(), 1u);
}

TEST_F(journal_courier_test, entries_of_others_are_kept_and_answered) {
  meet({1, 2});
  const auto arrives = [this](uint64_t number) {
    tell(it, entry_arrived{1, make_local(schemas::journal_entry{number, bytes(5)})});
    const auto out = carrier.last<send_on_link>();
    EXPECT_EQ(out.target, 1u);
    return std::get<schemas::journal_answer>(*out.body);
  };
  EXPECT_EQ(arrives(8), (schemas::journal_answer{8, true}));
  EXPECT_EQ(came, std::vector<std::vector<std::byte>>{bytes(5)});
  verdict = status(status_code::exhausted, "too large");
  EXPECT_EQ(arrives(9), (schemas::journal_answer{9, false}));
  EXPECT_EQ(corrupt.load(), 0u);
  verdict = status(status_code::corrupt, "no entry");
  EXPECT_EQ(arrives(10), (schemas::journal_answer{10, false}));
  EXPECT_EQ(corrupt.load(), 1u);
}

TEST_F(journal_courier_test, answers_of_nobody_asked_change_nothing) {
  meet({1, 2, 0});
  replicate();
  const uint64_t number = sent_to(1);
  for (const auto node : {0u, 2u, 9u}) answers(node, number, true);
  answers(1, number + 1, true);
  EXPECT_TRUE(told.empty());
  answers(1, number, true);
  answers(1, number, true);
  EXPECT_EQ(told, std::vector<bool>{true});
}

} // namespace
} // namespace troupe::actors
