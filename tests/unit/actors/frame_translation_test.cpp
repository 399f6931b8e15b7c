// Every field of a request and of what is drawn arrives on the other node as it was.
#include "actors/frame_translation.hpp"

#include "tests/support/random_frames.hpp"

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

constexpr time_point here{std::chrono::hours(5)};
constexpr time_point there{std::chrono::hours(77)}; // another machine's clock

int64_t decades_at_most(int64_t ns) {
  return ns % (int64_t{1} << 61);
}

template <class Body>
Body random_body(uint64_t seed) {
  tests::random_frames frames(seed);
  for (size_t kind = 0; kind < frames.kinds; ++kind) {
    const auto frame = frames.next(kind);
    if (const auto* body = std::get_if<Body>(&frame.body)) return *body;
  }
  ADD_FAILURE() << "no such body";
  return {};
}

TEST(frame_translation_test, every_field_of_a_submission_makes_the_round_trip) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    auto wire = random_body<schemas::submission>(seed);
    wire.age_ns = decades_at_most(wire.age_ns);
    if (wire.deadline_ns) wire.deadline_ns = decades_at_most(*wire.deadline_ns);
    EXPECT_EQ(to_wire(from_wire(wire, there), there), wire) << "seed " << seed;
  }
}

TEST(frame_translation_test, every_field_of_an_emission_makes_the_round_trip) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    auto wire = random_body<schemas::emission>(seed);
    for (auto& entry : wire.entries) {
      entry.started_ago_ns = decades_at_most(entry.started_ago_ns);
      entry.reason %= 5;
    }
    EXPECT_EQ(to_wire(from_wire(wire, there), there), wire) << "seed " << seed;
  }
}

// What a message of actors gains must be gained on the wire too: these bindings name every field,
// so a new one does not compile until it is thought of here.

dataflow::generation_request a_request() {
  dataflow::generation_request out;
  out.id = "r";
  out.prompt = {1, 2, 3};
  out.sampling = {.temperature = 0.5f,
                  .top_k = 7,
                  .top_p = 0.9f,
                  .min_p = 0.05f,
                  .repetition_penalty = 1.1f,
                  .presence_penalty = 0.2f,
                  .frequency_penalty = 0.3f,
                  .logit_bias = {{5, -1.5f}, {6, 2}},
                  .seed = 99};
  out.choices = 2;
  out.tokens_max = 12;
  out.tokens_min = 4;
  out.stop_ids = {8};
  out.ignore_eos = true;
  out.top_logprobs = 3;
  out.prompt_logprobs = true;
  out.priority = -2;
  out.deadline = here + std::chrono::seconds(9);
  out.constraint = {model::constraint::kind::regex, "[a-z]+"};
  out.cache_salt = "salt";
  return out;
}

TEST(frame_translation_test, a_request_arrives_with_all_that_the_sequencer_needs) {
  const request_submission sent{42,
                                std::make_shared<const dataflow::generation_request>(a_request()),
                                here - std::chrono::seconds(1),
                                {{4, 5}, {}},
                                {false, true},
                                {true, false}};
  const auto got = from_wire(to_wire(sent, here), there);
  const auto& [handle, request, arrived, drawn, finished, prompt_scored] = got;
  EXPECT_EQ(handle, 42u);
  EXPECT_EQ(arrived, there - std::chrono::seconds(1));
  EXPECT_EQ(drawn, sent.drawn);
  EXPECT_EQ(finished, sent.finished);
  EXPECT_EQ(prompt_scored, sent.prompt_scored);

  const auto asked = a_request();
  // The door alone looks at texts: they stay behind.
  const auto& [id, prompt, sampling, choices, tokens_max, tokens_min, stop_texts, stop_ids,
               include_stop_text, constraint, ignore_eos, skip_special_tokens, top_logprobs,
               prompt_logprobs, priority, deadline, cache_salt] = *request;
  EXPECT_EQ(id, asked.id);
  EXPECT_EQ(prompt, asked.prompt);
  EXPECT_EQ(choices, asked.choices);
  EXPECT_EQ(tokens_max, asked.tokens_max);
  EXPECT_EQ(tokens_min, asked.tokens_min);
  EXPECT_EQ(stop_ids, asked.stop_ids);
  EXPECT_EQ(ignore_eos, asked.ignore_eos);
  EXPECT_EQ(top_logprobs, asked.top_logprobs);
  EXPECT_EQ(prompt_logprobs, asked.prompt_logprobs);
  EXPECT_EQ(priority, asked.priority);
  EXPECT_EQ(deadline, there + std::chrono::seconds(9));
  EXPECT_EQ(cache_salt, asked.cache_salt);
  EXPECT_EQ(constraint, asked.constraint);
  EXPECT_TRUE(stop_texts.empty() && !include_stop_text && skip_special_tokens);

  const auto& [temperature, top_k, top_p, min_p, repetition, presence, frequency, bias, seed] =
      sampling;
  EXPECT_EQ(temperature, asked.sampling.temperature);
  EXPECT_EQ(top_k, asked.sampling.top_k);
  EXPECT_EQ(top_p, asked.sampling.top_p);
  EXPECT_EQ(min_p, asked.sampling.min_p);
  EXPECT_EQ(repetition, asked.sampling.repetition_penalty);
  EXPECT_EQ(presence, asked.sampling.presence_penalty);
  EXPECT_EQ(frequency, asked.sampling.frequency_penalty);
  EXPECT_EQ(bias, asked.sampling.logit_bias);
  EXPECT_EQ(seed, asked.sampling.seed);
}

TEST(frame_translation_test, what_is_drawn_arrives_with_all_that_the_door_needs) {
  emission sent;
  sent.entries.push_back({.handle = 7,
                          .choice = 1,
                          .prompt = {{11, 0, {}, false}, {12, -1.5f, {{13, -2}}, true}},
                          .tokens = {{14, -0.25f, {{15, -3}, {16, -4}}, true}},
                          .begin = 9,
                          .finished = true,
                          .reason = dataflow::finish_reason::deadline,
                          .ends_with_stop_id = true,
                          .cached_tokens = 5,
                          .first = true,
                          .started = here - std::chrono::milliseconds(3)});
  const auto got = from_wire(to_wire(sent, here), there);
  ASSERT_EQ(got.entries.size(), 1u);
  const auto& [handle, choice, prompt, tokens, begin, finished, reason, ends_with_stop_id,
               cached_tokens, first, started] = got.entries[0];
  EXPECT_EQ(handle, 7u);
  EXPECT_EQ(choice, 1u);
  ASSERT_EQ(prompt.size(), 2u);
  EXPECT_FALSE(prompt[0].scored);
  ASSERT_EQ(tokens.size(), 1u);
  const auto& [token, logprob, top, scored] = tokens[0];
  EXPECT_EQ(token, 14);
  EXPECT_EQ(logprob, -0.25f);
  ASSERT_EQ(top.size(), 2u);
  const auto& [other, other_logprob] = top[1];
  EXPECT_EQ(other, 16);
  EXPECT_EQ(other_logprob, -4);
  EXPECT_TRUE(scored);
  EXPECT_EQ(begin, 9u);
  EXPECT_TRUE(finished && ends_with_stop_id && first);
  EXPECT_EQ(reason, dataflow::finish_reason::deadline);
  EXPECT_EQ(cached_tokens, 5u);
  EXPECT_EQ(started, there - std::chrono::milliseconds(3));
}

TEST(frame_translation_test, times_beyond_decades_are_cut_and_do_not_overflow) {
  schemas::submission wire;
  for (const int64_t nonsense : {INT64_MIN, INT64_MAX}) {
    wire.age_ns = nonsense;
    wire.deadline_ns = nonsense;
    const auto got = from_wire(wire, there);
    EXPECT_EQ(got.arrived > there, nonsense < 0);
    EXPECT_EQ(*got.request->deadline > there, nonsense > 0);
    schemas::emission drawn;
    drawn.entries.resize(1);
    drawn.entries[0].started_ago_ns = nonsense;
    EXPECT_EQ(from_wire(drawn, there).entries[0].started > there, nonsense < 0);
  }
}

} // namespace
} // namespace troupe::actors
