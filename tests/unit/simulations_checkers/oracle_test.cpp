// The oracle gives what a node alone gives, whatever was asked before, and computes it once.
#include "simulations/checkers/oracle.hpp"

#include "tests/unit/simulations_checkers/checker_fixtures.hpp"
#include "simulations/simulated_node.hpp"

#include <gtest/gtest.h>

#include <bit>

namespace troupe::simulations {
namespace {

using dataflow::stream_event;

scenario_workload varied() {
  scenario_workload out;
  out.logprobs_percent = 60;
  out.stop_percent = 40;
  out.choices_max = 3;
  return out;
}

// Tokens, log-probabilities as bits, text and end of every choice.
std::string print(const std::vector<choice_answer>& choices) {
  std::string out;
  const auto add = [&out](const dataflow::token_record& token) {
    out += std::to_string(token.token) + ":" +
           std::to_string(std::bit_cast<uint32_t>(token.logprob)) + " ";
    for (const auto& other : token.top)
      out += std::to_string(other.token) + "~" +
             std::to_string(std::bit_cast<uint32_t>(other.logprob)) + " ";
  };
  for (const auto& choice : choices) {
    for (const auto& token : choice.prompt) add(token);
    out += "| ";
    for (const auto& token : choice.tokens) add(token);
    out += choice.text + "/" + std::string(dataflow::to_string(choice.reason)) + "/" +
           choice.stopped_by + "\n";
  }
  return out;
}

// What a fresh node with its own scheduling, stages and shards says.
std::string alone(const dataflow::generation_request& request, uint64_t seed) {
  auto node =
      simulated_node::make(
          troupe::tests::built_in_model(), troupe::tests::shared_executor(),
          {.seed = seed, .node = {.positions_max = 128, .attention_stages = 2, .expert_shards = 2}})
          .value();
  std::vector<choice_answer> choices(request.choices);
  node->submit(1, request, [&choices](const stream_event& event) {
    auto& choice = choices.at(event.choice);
    choice.text += event.text;
    if (event.what == stream_event::kind::prompt_scored)
      choice.prompt = event.tokens;
    else
      choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
    if (event.what != stream_event::kind::finished) return;
    choice.reason = event.reason;
    choice.stopped_by = event.stopped_by;
  });
  EXPECT_TRUE(node->run(5'000'000));
  return print(choices);
}

TEST(oracle, gives_what_a_node_alone_gives) {
  for (uint32_t variant = 0; variant < 24; ++variant) {
    const auto request = make_request(varied(), variant);
    EXPECT_EQ(print(tests::shared_oracle().of(request).choices), alone(request, variant))
        << variant;
  }
}

TEST(oracle, answers_do_not_depend_on_the_order_of_asking) {
  auto other = oracle::make(troupe::tests::built_in_model(), troupe::tests::shared_executor(),
                            {.positions_max = 128})
                   .value();
  for (uint32_t i = 0; i < 32; ++i) {
    const auto request = make_request(varied(), 31 - i);
    EXPECT_EQ(print(other->of(request).choices), print(tests::shared_oracle().of(request).choices));
  }
}

TEST(oracle, computes_each_content_once) {
  auto& right = tests::shared_oracle();
  auto request = make_request(varied(), 5);
  right.of(request);
  const uint64_t before = right.computed();
  request.id = "another name";
  request.priority = 7;
  request.deadline = time_point{};
  request.cache_salt = "salt";
  const auto& again = right.of(request);
  EXPECT_EQ(right.computed(), before);
  EXPECT_NE(again.choices.at(0).reason, dataflow::finish_reason::deadline);
  request.sampling.seed ^= 1;
  right.of(request);
  EXPECT_EQ(right.computed(), before + 1);
}

TEST(oracle, forgets_rather_than_grow_for_ever) {
  auto small = oracle::make(troupe::tests::built_in_model(), troupe::tests::shared_executor(),
                            {.positions_max = 128, .answers_max = 2})
                   .value();
  for (uint32_t i = 0; i < 3; ++i) small->of(*tests::ask(i, 1));
  small->of(*tests::ask(2, 1));
  EXPECT_EQ(small->computed(), 3u);
  small->of(*tests::ask(0, 1));
  EXPECT_EQ(small->computed(), 4u);
}

TEST(oracle, every_field_that_matters_is_in_the_key) {
  using request_type = dataflow::generation_request;
  const std::vector<std::function<void(request_type&)>> changes = {
      [](request_type& r) { r.prompt.push_back(1); },
      [](request_type& r) { r.choices = 2; },
      [](request_type& r) { r.tokens_max = 3; },
      [](request_type& r) { r.tokens_min = 1; },
      [](request_type& r) { r.stop_texts = {"ab"}; },
      [](request_type& r) {
        r.stop_texts = {"a", "b"};
      },
      [](request_type& r) { r.stop_ids = {4}; },
      [](request_type& r) { r.include_stop_text = true; },
      [](request_type& r) { r.ignore_eos = false; },
      [](request_type& r) { r.skip_special_tokens = false; },
      [](request_type& r) { r.top_logprobs = 0; },
      [](request_type& r) { r.top_logprobs = 2; },
      [](request_type& r) { r.prompt_logprobs = true; },
      [](request_type& r) { r.sampling.temperature = 0.25f; },
      [](request_type& r) { r.sampling.top_k = 2; },
      [](request_type& r) { r.sampling.top_p = 0.5f; },
      [](request_type& r) { r.sampling.min_p = 0.5f; },
      [](request_type& r) { r.sampling.repetition_penalty = 1.5f; },
      [](request_type& r) { r.sampling.presence_penalty = 0.5f; },
      [](request_type& r) { r.sampling.frequency_penalty = 0.5f; },
      [](request_type& r) {
        r.sampling.logit_bias = {{1, 2.0f}};
      },
      [](request_type& r) { r.sampling.seed = 99; },
  };
  std::set<std::string> keys = {content_key(*tests::ask(1))};
  for (const auto& change : changes) {
    auto request = *tests::ask(1);
    change(request);
    EXPECT_TRUE(keys.insert(content_key(request)).second) << keys.size();
  }
}

TEST(oracle, a_cut_text_is_what_was_given_out_and_what_was_held_back) {
  auto& right = tests::shared_oracle();
  auto request = *tests::ask(3, 8);
  const auto whole = right.of(request).choices.at(0);
  EXPECT_EQ(text_when_cut(right.tokenizer(), request, whole.tokens), whole.text);
  // A stop text that never comes holds its beginning back, until the cut.
  const size_t half = whole.text.size() / 2;
  request.stop_texts = {whole.text.substr(half > 0 ? half - 1 : 0, 1) + "\x01\x02"};
  const auto& held = right.of(request).choices.at(0);
  for (size_t k = 0; k <= held.tokens.size(); ++k) {
    const std::vector<dataflow::token_record> first(held.tokens.begin(),
                                                    held.tokens.begin() + static_cast<long>(k));
    const auto cut = text_when_cut(right.tokenizer(), request, first);
    const size_t given = k == 0 ? 0 : held.text_after[k - 1];
    EXPECT_EQ(cut.substr(0, given), held.text.substr(0, given));
    EXPECT_GE(cut.size(), given);
  }
}

} // namespace
} // namespace troupe::simulations
