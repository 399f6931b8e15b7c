// The ingress between a sequencer that the test plays and a client: resuming what a client has,
// cancelling, and going on in every new epoch.
#include "actors/ingress.hpp"

#include "actors/metrics_board.hpp"
#include "actors/routes.hpp"
#include "tests/support/built_in_model.hpp"
#include "tests/unit/actors/actor_test.hpp"

namespace troupe::actors {
namespace {

using dataflow::finish_reason;
using kind = dataflow::stream_event::kind;

class ingress_test : public tests::actor_test {
protected:
  ingress_test() {
    it = own(spawn_ingress(system_, {.tokenizer = tests::built_in_model()->tokenizer.get(),
                                     .board = &board,
                                     .time = &time,
                                     .trace = &trace}));
    drawn = tests::built_in_model()->tokenizer->encode("there was a king who had a ship").value();
  }

  void wire_to(uint64_t epoch, bool serving = true) {
    route_table routes;
    routes.members.resize(1);
    routes.doors = {it};
    if (serving) routes.sequencer = {to_sequencer.as<sequencer>(), 0, false};
    routes.supervisor = supervisor.as<pipeline_watcher>();
    tell(it, wire{epoch, make_local(std::move(routes)), false});
  }

  void open(uint64_t handle, engine::received_so_far received = {}, uint32_t choices = 1) {
    stream_opening opening;
    opening.handle = handle;
    request.prompt = {5, 6, 7};
    request.choices = choices;
    opening.request = std::make_shared<const dataflow::generation_request>(request);
    opening.sink = [this](dataflow::stream_event event) {
      EXPECT_EQ(event.sequence_number, events.size() + 1);
      text += event.text;
      tokens += event.tokens.size() * (event.what == kind::text);
      events.push_back(std::move(event));
    };
    opening.arrived = time.now();
    opening.received = std::move(received);
    board.streams_open += choices;
    tell(it, open_stream{handle, make_local(std::move(opening))});
  }
  void hear_no_more() {
    events.clear();
    text.clear();
    tokens = 0;
  }

  // The sequencer has drawn tokens [begin, end) of the answer.
  emission::entry entry(uint64_t handle, size_t begin, size_t end) const {
    emission::entry out;
    out.handle = handle;
    out.begin = static_cast<uint32_t>(begin);
    for (size_t i = begin; i < end; ++i) out.tokens.push_back({drawn[i], 0, {}, false});
    out.finished = end == drawn.size();
    out.reason = finish_reason::length;
    out.first = begin == 0;
    return out;
  }
  void emits(emission::entry entry, uint64_t epoch = 1) {
    emission out;
    out.entries.push_back(std::move(entry));
    tell(it, tokens_emitted{epoch, make_local(std::move(out))});
  }
  void draws(uint64_t handle, size_t begin, size_t end, uint64_t epoch = 1) {
    for (size_t i = begin; i < end; ++i) emits(entry(handle, i, i + 1), epoch);
  }
  request_submission submitted() const { return *to_sequencer.last<submit_request>().work; }
  std::vector<int32_t> first(size_t count) const {
    return {drawn.begin(), drawn.begin() + static_cast<long>(count)};
  }

  metrics_board board{1, 1};
  tests::recorder to_sequencer = record(), supervisor = record();
  ingress it;
  dataflow::generation_request request;
  std::vector<int32_t> drawn;
  std::vector<dataflow::stream_event> events;
  std::string text;
  size_t tokens = 0;
};

TEST_F(ingress_test, tells_the_whole_answer_and_its_end) {
  wire_to(1);
  open(1);
  EXPECT_EQ(submitted().handle, 1u);
  draws(1, 0, drawn.size());
  EXPECT_EQ(text, "there was a king who had a ship");
  EXPECT_EQ(tokens, drawn.size());
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events[events.size() - 2].what, kind::finished);
  EXPECT_EQ(events[events.size() - 2].reason, finish_reason::length);
  EXPECT_EQ(events.back().what, kind::completed);
  EXPECT_EQ(events.back().completion_tokens, drawn.size());
  EXPECT_EQ(board.streams_open.load(), 0u);
}

TEST_F(ingress_test, asks_for_a_new_epoch_when_tokens_are_missing) {
  wire_to(1);
  open(1);
  draws(1, 0, 2);
  const std::string before = text;
  emits(entry(1, 3, drawn.size()));
  EXPECT_EQ(supervisor.last<pipeline_stuck>().epoch, 1u);
  EXPECT_EQ(text, before);
  EXPECT_EQ(board.streams_open.load(), 1u);
  wire_to(2);
  EXPECT_EQ(submitted().drawn.at(0), first(2));
  draws(1, 2, drawn.size(), 2);
  EXPECT_EQ(text, "there was a king who had a ship");
}

TEST_F(ingress_test, tells_at_once_what_is_known_beyond_what_the_client_has) {
  wire_to(1);
  open(1, {{2, 9, false, false}}); // "there was"
  emits(entry(1, 0, 5));
  EXPECT_EQ(tokens, 3u);
  draws(1, 5, drawn.size());
  EXPECT_EQ(text, std::string("there was a king who had a ship").substr(9));
}

TEST_F(ingress_test, tells_a_client_that_has_some_of_it_just_the_rest) {
  wire_to(1);
  for (size_t has = 0; has < drawn.size(); ++has) {
    hear_no_more();
    open(2 * has + 1);
    draws(2 * has + 1, 0, has);
    const auto had = text;
    tell(it, cancel_stream{2 * has + 1});
    const auto flushed = text.substr(had.size()); // held back until then: the client has it not
    hear_no_more();
    open(2 * has + 2, {{static_cast<uint32_t>(has), had.size(), false, false}});
    EXPECT_TRUE(submitted().drawn.at(0).empty()); // all is computed again
    draws(2 * has + 2, 0, drawn.size());
    EXPECT_EQ(had + text, "there was a king who had a ship") << has << flushed;
    EXPECT_EQ(tokens, drawn.size() - has);
    EXPECT_EQ(events.back().completion_tokens, drawn.size());
  }
  EXPECT_EQ(trace.count("stream.resumed"), drawn.size());
}

TEST_F(ingress_test, a_client_that_has_it_all_hears_the_end_at_once) {
  wire_to(1);
  open(1, {{static_cast<uint32_t>(drawn.size()), 31, true, false}});
  EXPECT_TRUE(to_sequencer.heard<submit_request>().empty());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].what, kind::completed);
  EXPECT_EQ(events[0].completion_tokens, drawn.size());
  EXPECT_EQ(board.streams_open.load(), 0u);
}

TEST_F(ingress_test, choices_that_have_ended_are_not_asked_for_again) {
  wire_to(1);
  open(1, {{2, 5, true, false}, {0, 0, false, false}}, 2);
  EXPECT_EQ(submitted().finished, (std::vector<bool>{true, false}));
  auto other = entry(1, 0, drawn.size());
  emits(other); // choice 0 has ended
  EXPECT_TRUE(events.empty());
  other.choice = 1;
  emits(other);
  EXPECT_EQ(events.back().what, kind::completed);
  EXPECT_EQ(events.back().completion_tokens, 2 + drawn.size());
}

TEST_F(ingress_test, scores_of_the_prompt_are_told_once) {
  wire_to(1);
  open(1, {{0, 0, false, true}});
  EXPECT_EQ(submitted().prompt_scored, std::vector<bool>{true});
  auto scored = entry(1, 0, 1);
  scored.prompt.resize(3);
  emits(scored);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].what, kind::text);
  hear_no_more();
  open(2);
  scored.handle = 2;
  emits(scored);
  EXPECT_EQ(events.at(0).what, kind::prompt_scored);
  EXPECT_EQ(events.at(0).tokens.size(), 3u);
  wire_to(2);
  EXPECT_EQ(submitted().prompt_scored, std::vector<bool>{true});
  scored.begin = 1;
  emits(scored, 2);
  EXPECT_NE(events.back().what, kind::prompt_scored);
}

TEST_F(ingress_test, cancelling_before_it_has_caught_up_says_nothing_new) {
  wire_to(1);
  open(1, {{5, 20, false, false}});
  draws(1, 0, 2);
  EXPECT_TRUE(events.empty());
  tell(it, cancel_stream{1});
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].what, kind::finished);
  EXPECT_EQ(events[0].reason, finish_reason::cancelled);
  EXPECT_EQ(text, "");
  EXPECT_EQ(events[1].completion_tokens, 5u);
  EXPECT_EQ(to_sequencer.last<end_choice>().handle, 1u);
  draws(1, 2, 3); // was under way
  tell(it, cancel_stream{1});
  EXPECT_EQ(events.size(), 2u);
}

TEST_F(ingress_test, every_epoch_gets_what_is_unfinished_with_its_tokens) {
  open(1); // before there is a sequencer
  EXPECT_TRUE(to_sequencer.heard<submit_request>().empty());
  wire_to(1);
  EXPECT_EQ(to_sequencer.last<submit_request>().epoch, 1u);
  EXPECT_TRUE(submitted().drawn.at(0).empty());
  EXPECT_EQ(trace.count("stream.resubmitted"), 0u); // nothing was heard of it
  draws(1, 0, 3);
  wire_to(2, false); // nobody serves
  EXPECT_EQ(to_sequencer.heard<submit_request>().size(), 1u);
  wire_to(3);
  EXPECT_EQ(to_sequencer.last<submit_request>().epoch, 3u);
  EXPECT_EQ(submitted().drawn.at(0), first(3));
  EXPECT_EQ(trace.count("stream.resubmitted"), 1u);
  EXPECT_EQ(supervisor.last<wired>().epoch, 3u);
  emits(entry(1, 2, drawn.size()), 3); // the third one again
  EXPECT_EQ(text, "there was a king who had a ship");
  EXPECT_EQ(tokens, drawn.size());
  wire_to(4);
  EXPECT_EQ(to_sequencer.heard<submit_request>().size(), 2u); // it has ended
}

TEST_F(ingress_test, messages_of_another_epoch_are_fenced) {
  wire_to(1);
  open(1);
  wire_to(2);
  draws(1, 0, 3, 1);
  draws(1, 0, 3, 3);
  tell(it, request_failed{1, 1, status_code::corrupt, "old"});
  EXPECT_TRUE(events.empty());
  tell(it, request_failed{2, 1, status_code::corrupt, "now"});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].what, kind::failed);
  EXPECT_EQ(events[0].why.why(), "now");
  EXPECT_EQ(to_sequencer.last<end_choice>().epoch, 2u);
  EXPECT_EQ(board.streams_open.load(), 0u);
}

TEST_F(ingress_test, an_emission_of_a_choice_that_is_none_is_ignored) {
  wire_to(1);
  open(1);
  auto nonsense = entry(1, 0, 1);
  nonsense.choice = 1;
  emits(nonsense);
  nonsense.handle = 99;
  emits(nonsense);
  EXPECT_TRUE(events.empty());
}

TEST_F(ingress_test, a_stop_text_ends_the_choice_also_at_the_sequencer) {
  request.stop_texts = {" king"};
  wire_to(1);
  open(1);
  for (size_t i = 0; i < drawn.size() && to_sequencer.heard<end_choice>().empty(); ++i)
    draws(1, i, i + 1);
  EXPECT_EQ(text, "there was a");
  EXPECT_EQ(to_sequencer.heard<end_choice>().size(), 1u);
  EXPECT_EQ(events[events.size() - 2].stopped_by, " king");
}

TEST_F(ingress_test, when_nothing_comes_back_all_streams_fail_and_new_ones_too) {
  wire_to(1);
  open(1);
  tell(it, pipeline_failed{"gone"});
  EXPECT_EQ(events.back().what, kind::failed);
  hear_no_more();
  open(2);
  EXPECT_EQ(events.back().why.why(), "gone");
  EXPECT_EQ(board.streams_open.load(), 0u);
}

} // namespace
} // namespace troupe::actors
