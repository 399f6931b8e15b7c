// The production actors under a seeded scheduler and virtual time: what a seed fixes, and what
// neither scheduling, neighbours nor failures may change.
#include "simulations/simulated_node.hpp"

#include "tests/support/built_in_model.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::simulations {
namespace {

using dataflow::role_kind;
using dataflow::stream_event;

constexpr uint64_t steps_max = 2'000'000;

// What a client has received.
struct transcript {
  std::map<uint32_t, std::string> text; // by choice
  std::map<uint32_t, dataflow::finish_reason> reasons;
  std::vector<dataflow::token_record> prompt;
  uint32_t completion_tokens = 0;
  uint32_t cached_tokens = 0;
  bool completed = false;
  status failure;

  void hear(const stream_event& event) {
    text[event.choice] += event.text;
    if (event.what == stream_event::kind::finished) reasons[event.choice] = event.reason;
    if (event.what == stream_event::kind::prompt_scored) prompt = event.tokens;
    if (event.what == stream_event::kind::failed) failure = event.why;
    if (event.what != stream_event::kind::completed) return;
    completed = true;
    completion_tokens = event.completion_tokens;
    cached_tokens = event.cached_tokens;
  }
};

dataflow::generation_request ask(std::string_view prompt, uint64_t seed, uint32_t tokens = 12) {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode(prompt).value();
  request.sampling.temperature = 0.8f;
  request.sampling.top_p = 0.95f;
  request.sampling.seed = seed;
  request.tokens_max = tokens;
  request.ignore_eos = true;
  return request;
}

// A node with its clients.
class simulated_node_test : public testing::Test {
protected:
  void start(uint64_t seed, const actors::node_options& options = {}) {
    node.reset();
    transcripts.clear();
    auto made = simulated_node::make(tests::built_in_model(), tests::shared_executor(),
                                     {.seed = seed, .pick = strategy::random, .node = options});
    ASSERT_TRUE(made.has_value()) << made.error().why();
    node = std::move(*made);
  }

  void submit(dataflow::generation_request request) {
    const auto handle = static_cast<actors::request_handle>(transcripts.size() + 1);
    transcripts.push_back(std::make_unique<transcript>());
    auto* heard = transcripts.back().get();
    node->submit(handle, std::move(request), [heard](const stream_event& e) { heard->hear(e); });
  }

  // The answer of a request that has a node to itself.
  std::string alone(const dataflow::generation_request& request) {
    start(1);
    submit(request);
    EXPECT_TRUE(node->run(steps_max));
    return transcripts[0]->text[0];
  }

  const transcript& answer(size_t i) { return *transcripts[i]; }

  void expect_all_free() {
    const auto metrics = node->metrics();
    EXPECT_EQ(metrics.pages_used, 0u);
    EXPECT_EQ(metrics.requests_running, 0u);
    EXPECT_EQ(metrics.requests_waiting, 0u);
  }

  std::unique_ptr<simulated_node> node;
  std::vector<std::unique_ptr<transcript>> transcripts;
};

TEST_F(simulated_node_test, the_same_seed_gives_the_same_events_and_the_same_text) {
  std::vector<std::pair<uint64_t, std::string>> runs;
  for (int i = 0; i < 2; ++i) {
    start(42);
    submit(ask("Once upon a time", 7));
    submit(ask("There was a king", 8));
    ASSERT_TRUE(node->run(steps_max));
    ASSERT_TRUE(answer(0).completed && answer(1).completed);
    runs.emplace_back(node->hash(), answer(0).text.at(0) + "|" + answer(1).text.at(0));
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_GT(runs[0].second.size(), 20u);
}

TEST_F(simulated_node_test, other_seeds_give_other_events_and_the_same_text) {
  std::set<uint64_t> hashes;
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    start(seed, {.attention_stages = 2, .expert_shards = 3});
    submit(ask("Once upon a time", 7));
    submit(ask("There was a king", 8));
    ASSERT_TRUE(node->run(steps_max));
    hashes.insert(node->hash());
    texts.insert(answer(0).text.at(0));
  }
  EXPECT_EQ(hashes.size(), 6u);
  EXPECT_EQ(texts.size(), 1u);
}

TEST_F(simulated_node_test, a_stream_reads_the_same_alone_and_in_company) {
  const std::string expected = alone(ask("Once upon a time", 7));
  start(3, {.step_tokens_max = 24, .prefill_chunk_max = 3});
  submit(ask("Once upon a time", 7));
  for (uint64_t i = 0; i < 7; ++i) submit(ask("There was once a poor miller who had", 100 + i));
  ASSERT_TRUE(node->run(steps_max));
  EXPECT_EQ(answer(0).text.at(0), expected);
  expect_all_free();
}

TEST_F(simulated_node_test, losing_any_part_but_the_ingress_changes_no_stream) {
  const std::string expected = alone(ask("Once upon a time", 7));
  for (const auto kind :
       {role_kind::expert_shard, role_kind::gating_router, role_kind::attention_stage,
        role_kind::kv_cache_manager, role_kind::sequencer}) {
    for (const uint64_t moment : {3u, 40u, 140u, 250u}) {
      start(moment);
      submit(ask("Once upon a time", 7));
      for (uint64_t i = 0; i < moment; ++i) node->step();
      node->kill({kind, 0});
      ASSERT_TRUE(node->run(steps_max));
      EXPECT_EQ(answer(0).text.at(0), expected) << dataflow::to_string(kind) << " at " << moment;
      EXPECT_TRUE(answer(0).completed);
      EXPECT_EQ(node->metrics().restarts, 1u);
      expect_all_free();
    }
  }
}

TEST_F(simulated_node_test, a_part_that_keeps_failing_ends_the_streams_with_a_reason) {
  start(5);
  submit(ask("Once upon a time", 7, 400));
  for (int i = 0; i < 6; ++i) {
    for (int k = 0; k < 300; ++k) node->step();
    node->kill({role_kind::expert_shard, 0});
  }
  node->run(steps_max);
  EXPECT_EQ(answer(0).failure.code(), status_code::unavailable);
  EXPECT_NE(answer(0).failure.why().find("expert_shard/0 failed"), std::string::npos);
}

TEST_F(simulated_node_test, cancelling_frees_everything) {
  start(6);
  submit(ask("Once upon a time", 7, 400));
  for (int k = 0; k < 400; ++k) node->step();
  EXPECT_GT(node->metrics().pages_used, 0u);
  node->cancel(1);
  ASSERT_TRUE(node->run(steps_max));
  EXPECT_EQ(answer(0).reasons.at(0), dataflow::finish_reason::cancelled);
  EXPECT_TRUE(answer(0).completed);
  expect_all_free();
}

TEST_F(simulated_node_test, sequences_given_up_for_want_of_memory_are_recomputed_to_the_same_text) {
  const auto page_bytes = actors::kv_bytes_per_page(*tests::built_in_model()->description, 16);
  // Streams of their own, so that no page can be shared.
  std::vector<std::string> expected;
  for (uint64_t i = 0; i < 3; ++i) expected.push_back(alone(ask("There was once a poor", i, 60)));
  actors::node_options options;
  options.positions_max = 96;
  options.kv_bytes = 8 * page_bytes;
  start(7, options);
  for (uint64_t i = 0; i < 3; ++i) submit(ask("There was once a poor", i, 60));
  ASSERT_TRUE(node->run(steps_max));
  EXPECT_GT(node->metrics().preemptions, 0u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(answer(i).text.at(0), expected[i]);
  expect_all_free();
}

TEST_F(simulated_node_test, the_choices_of_a_request_share_the_prompt_and_differ_in_text) {
  auto request =
      ask("There was once a poor miller who had three sons, and when he died he left them", 9);
  request.choices = 3;
  start(8);
  submit(request);
  ASSERT_TRUE(node->run(steps_max));
  EXPECT_EQ(answer(0).completion_tokens, 36u);
  EXPECT_GT(answer(0).cached_tokens, 0u);
  EXPECT_NE(answer(0).text.at(0), answer(0).text.at(1));
  EXPECT_NE(answer(0).text.at(1), answer(0).text.at(2));
}

TEST_F(simulated_node_test, a_prompt_once_computed_is_not_computed_again) {
  const auto request =
      ask("There was once a poor miller who had three sons, and when he died he left", 9, 1);
  start(8);
  for (int i = 0; i < 2; ++i) {
    submit(request);
    ASSERT_TRUE(node->run(steps_max));
  }
  EXPECT_EQ(answer(0).cached_tokens, 0u);
  EXPECT_EQ(answer(1).cached_tokens, (request.prompt.size() - 1) / 16 * 16);
  EXPECT_EQ(answer(0).text.at(0), answer(1).text.at(0));
}

TEST_F(simulated_node_test, a_prompt_can_be_scored_without_an_answer) {
  auto request = ask("Once upon a time there was a king", 1, 0);
  request.prompt_logprobs = true;
  request.top_logprobs = 2;
  start(9, {.prefill_chunk_max = 3});
  submit(request);
  ASSERT_TRUE(node->run(steps_max));
  ASSERT_EQ(answer(0).prompt.size(), request.prompt.size());
  EXPECT_FALSE(answer(0).prompt[0].scored);
  for (size_t i = 1; i < request.prompt.size(); ++i) {
    EXPECT_EQ(answer(0).prompt[i].token, request.prompt[i]);
    EXPECT_LT(answer(0).prompt[i].logprob, 0.0f);
    EXPECT_EQ(answer(0).prompt[i].top.size(), 2u);
  }
  EXPECT_EQ(answer(0).reasons.at(0), dataflow::finish_reason::length);
  expect_all_free();
}

TEST_F(simulated_node_test, a_stop_text_ends_the_stream_before_it) {
  const std::string full = alone(ask("Once upon a time", 7));
  const std::string stop = full.substr(full.size() / 2, 3);
  auto request = ask("Once upon a time", 7);
  request.stop_texts = {stop};
  start(10);
  submit(request);
  ASSERT_TRUE(node->run(steps_max));
  EXPECT_EQ(answer(0).text.at(0), full.substr(0, full.find(stop)));
  EXPECT_EQ(answer(0).reasons.at(0), dataflow::finish_reason::stop);
  expect_all_free();
}

TEST_F(simulated_node_test, a_request_whose_deadline_has_passed_is_dropped_and_told_so) {
  auto request = ask("Once upon a time", 7);
  start(11);
  request.deadline = node->time().now() - std::chrono::seconds(1);
  submit(request);
  ASSERT_TRUE(node->run(steps_max));
  EXPECT_EQ(answer(0).reasons.at(0), dataflow::finish_reason::deadline);
  expect_all_free();
}

} // namespace
} // namespace troupe::simulations
