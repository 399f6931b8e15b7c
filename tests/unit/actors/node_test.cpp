// A node on its real threads: answers, bounds at the door, cancellation, draining, and the same
// text with any number of threads, shards and stages.
#include "actors/node.hpp"

#include "actors/stage_memory.hpp"
#include "model/tokenizer.hpp"
#include "tests/support/built_in_model.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>

namespace troupe::actors {
namespace {

using dataflow::stream_event;

// Collects a request's events and lets the test wait for them.
class client {
public:
  engine::event_sink sink() {
    return [this](stream_event event) {
      const std::lock_guard lock(mutex_);
      text_ += event.text;
      tokens_ += event.tokens.size();
      if (event.what == stream_event::kind::finished) reason_ = event.reason;
      ended_ = ended_ || event.what == stream_event::kind::completed ||
               event.what == stream_event::kind::failed;
      changed_.notify_all();
    };
  }
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), condition);
  }
  bool wait_for_end() {
    return wait([this] { return ended_; });
  }
  bool wait_for_tokens(size_t count) {
    return wait([this, count] { return tokens_ >= count; });
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  dataflow::finish_reason reason() {
    const std::lock_guard lock(mutex_);
    return reason_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  size_t tokens_ = 0;
  dataflow::finish_reason reason_ = dataflow::finish_reason::failed;
  bool ended_ = false;
};

dataflow::generation_request ask(std::string_view prompt, uint32_t tokens, uint64_t seed = 7) {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode(prompt).value();
  request.sampling.temperature = 0.8f;
  request.sampling.seed = seed;
  request.tokens_max = tokens;
  request.ignore_eos = true;
  return request;
}

std::unique_ptr<engine> start(const node_options& options = {}) {
  static const system_clock time;
  auto node = start_node(tests::built_in_model(), tests::shared_executor(), time, options);
  EXPECT_TRUE(node.has_value()) << node.error().why();
  return std::move(*node);
}

std::string answer_of(engine& node, dataflow::generation_request request) {
  client reader;
  EXPECT_TRUE(node.submit(std::move(request), reader.sink()).has_value());
  EXPECT_TRUE(reader.wait_for_end());
  return reader.text();
}

TEST(node_test, answers_with_the_tokens_asked_for_and_counts_them) {
  const auto node = start();
  EXPECT_FALSE(answer_of(*node, ask("Once upon a time", 20)).empty());
  const auto metrics = node->metrics();
  EXPECT_EQ(metrics.generated_tokens, 20u);
  EXPECT_EQ(metrics.time_to_first_token_s.count, 1u);
  EXPECT_EQ(metrics.inter_token_latency_s.count, 19u);
  EXPECT_TRUE(node->healthy());
}

TEST(node_test, stages_shards_threads_and_neighbours_change_no_byte) {
  std::string expected;
  for (const uint32_t parts : {1u, 2u, 4u}) {
    node_options options;
    options.attention_stages = parts;
    options.expert_shards = parts;
    options.actor_threads = parts;
    const auto node = start(options);
    std::vector<std::unique_ptr<client>> neighbours;
    for (uint64_t i = 0; i + 1 < parts * 4; ++i) {
      neighbours.push_back(std::make_unique<client>());
      ASSERT_TRUE(
          node->submit(ask("There was a king", 30, i), neighbours.back()->sink()).has_value());
    }
    const auto text = answer_of(*node, ask("Once upon a time", 30));
    if (expected.empty()) expected = text;
    EXPECT_EQ(text, expected);
    for (auto& neighbour : neighbours) EXPECT_TRUE(neighbour->wait_for_end());
  }
}

// Answers that repeat their prompt, and answers that do not.
std::vector<dataflow::generation_request> requests_to_guess_at() {
  std::vector<dataflow::generation_request> out;
  for (const auto* prompt : {"the cat sat on the mat. the cat sat on the mat. the cat sat on the",
                             "one two three one two three one two three", "Once upon a time"})
    for (const float temperature : {0.0f, 0.8f}) {
      auto request = ask(prompt, 60);
      request.sampling.temperature = temperature;
      out.push_back(request);
      request.ignore_eos = false;
      request.tokens_min = 10;
      request.sampling.repetition_penalty = 1.3f; // no guesses
      out.push_back(request);
    }
  return out;
}

TEST(node_test, guessing_ahead_takes_fewer_steps_and_changes_no_byte) {
  std::vector<std::string> plain;
  uint64_t steps = 0;
  for (const uint32_t draft : {0u, 1u, 3u, 8u}) {
    node_options options;
    options.draft_tokens_max = draft;
    options.prefix_cache = false;
    const auto node = start(options);
    std::vector<std::string> texts;
    for (const auto& request : requests_to_guess_at()) texts.push_back(answer_of(*node, request));
    const auto metrics = node->metrics();
    if (draft == 0) {
      plain = texts;
      steps = metrics.steps;
      EXPECT_EQ(metrics.draft_tokens, 0u);
      continue;
    }
    EXPECT_EQ(texts, plain) << draft;
    EXPECT_GT(metrics.draft_accepted, 20u);
    EXPECT_LE(metrics.draft_accepted, metrics.draft_tokens);
    EXPECT_EQ(metrics.steps, steps - metrics.draft_accepted);
  }
}

TEST(node_test, guesses_give_way_where_pages_or_tokens_are_short) {
  const auto requests = requests_to_guess_at();
  std::vector<std::string> plain;
  for (const uint32_t draft : {0u, 64u}) {
    node_options options;
    options.draft_tokens_max = draft;
    options.positions_max = 128;
    options.page_tokens = 8;
    options.kv_bytes = 20 * kv_bytes_per_page(*tests::built_in_model()->description, 8);
    options.step_tokens_max = 12;
    const auto node = start(options);
    std::vector<std::unique_ptr<client>> readers;
    for (const auto& request : requests) {
      readers.push_back(std::make_unique<client>());
      ASSERT_TRUE(node->submit(request, readers.back()->sink()).has_value());
    }
    std::vector<std::string> texts;
    for (auto& reader : readers) {
      EXPECT_TRUE(reader->wait_for_end());
      texts.push_back(reader->text());
    }
    EXPECT_GT(node->metrics().preemptions, 0u);
    if (draft == 0) plain = texts;
    EXPECT_EQ(texts, plain);
    EXPECT_EQ(node->metrics().draft_accepted > 0, draft > 0);
  }
}

TEST(node_test, a_full_node_refuses_at_the_door_and_recovers) {
  node_options options;
  options.sequences_max = 1;
  options.queue_max = 1;
  const auto node = start(options);
  client running, waiting, late;
  const auto first = node->submit(ask("Once upon a time", 800), running.sink());
  const auto second = node->submit(ask("Once upon a time", 800), waiting.sink());
  const auto refused = node->submit(ask("Once upon a time", 1), late.sink());
  ASSERT_TRUE(first.has_value() && second.has_value());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), status_code::exhausted);
  node->cancel(*first);
  node->cancel(*second);
  EXPECT_TRUE(running.wait_for_end());
  EXPECT_TRUE(waiting.wait_for_end());
  EXPECT_EQ(running.reason(), dataflow::finish_reason::cancelled);
  EXPECT_EQ(answer_of(*node, ask("Once upon a time", 3)).empty(), false);
  EXPECT_EQ(node->metrics().requests_rejected, 1u);
}

TEST(node_test, an_answer_of_more_choices_than_may_wait_is_given_all_the_same) {
  node_options options;
  options.sequences_max = 2;
  options.queue_max = 1;
  const auto node = start(options);
  auto request = ask("Once upon a time", 4);
  request.choices = 3;
  client who;
  ASSERT_TRUE(node->submit(request, who.sink()).has_value());
  EXPECT_TRUE(who.wait_for_end());
  EXPECT_TRUE(who.wait_for_tokens(12));
  EXPECT_EQ(who.reason(), dataflow::finish_reason::length);
  request.choices = 4; // never, however long one waits
  client too_much;
  const auto refused = node->submit(request, too_much.sink());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), status_code::invalid_argument);
}

TEST(node_test, draining_refuses_the_new_and_finishes_the_old) {
  const auto node = start();
  client old;
  ASSERT_TRUE(node->submit(ask("Once upon a time", 60), old.sink()).has_value());
  node->begin_drain();
  client late;
  const auto refused = node->submit(ask("Once upon a time", 1), late.sink());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), status_code::unavailable);
  EXPECT_TRUE(old.wait_for_end());
  EXPECT_EQ(old.reason(), dataflow::finish_reason::length);
}

TEST(node_test, stopping_in_the_middle_of_streams_ends_in_order) {
  client reader;
  auto node = start();
  ASSERT_TRUE(node->submit(ask("Once upon a time", 900), reader.sink()).has_value());
  ASSERT_TRUE(reader.wait_for_tokens(5));
  node.reset(); // ends, and the sink is never called again: the sanitizers would see it
}

// Hears a request to its end, event by event.
std::vector<stream_event> events_of(engine& node, const dataflow::generation_request& request,
                                    engine::received_so_far received = {}) {
  std::vector<stream_event> events;
  std::promise<void> ended;
  const auto sink = [&](stream_event event) {
    events.push_back(std::move(event));
    if (events.back().what == stream_event::kind::completed) ended.set_value();
  };
  EXPECT_TRUE(node.submit(request, sink, std::move(received)).has_value());
  EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  return events;
}

TEST(node_test, a_client_that_was_cut_off_hears_the_rest_and_nothing_twice) {
  const auto node = start();
  const auto request = ask("Once upon a time", 24);
  const auto whole = events_of(*node, request);
  engine::received_choice have;
  for (size_t cut = 0; cut + 1 < whole.size(); ++cut) {
    have.tokens += static_cast<uint32_t>(whole[cut].tokens.size());
    have.text_bytes += whole[cut].text.size();
    have.finished = whole[cut].what == stream_event::kind::finished;
    const auto rest = events_of(*node, request, {have});
    ASSERT_EQ(rest.size(), whole.size() - cut - 1) << cut;
    for (size_t i = 0; i < rest.size(); ++i) {
      EXPECT_EQ(rest[i].text, whole[cut + 1 + i].text) << cut;
      EXPECT_EQ(rest[i].what, whole[cut + 1 + i].what) << cut;
    }
    EXPECT_EQ(rest.back().completion_tokens, 24u);
  }
}

TEST(node_test, what_cannot_be_is_refused_by_name) {
  const auto node = start();
  client reader;
  EXPECT_NE(node->submit(ask("x", 1), reader.sink(), engine::received_so_far(2))
                .error()
                .why()
                .find("what was received is of 2 choices"),
            std::string::npos);
  auto empty = ask("x", 1);
  empty.prompt.clear();
  EXPECT_NE(node->submit(empty, reader.sink()).error().why().find("prompt: has no tokens"),
            std::string::npos);
  auto foreign = ask("x", 1);
  foreign.prompt[0] = 1 << 30;
  EXPECT_NE(
      node->submit(foreign, reader.sink()).error().why().find("prompt: token 0 is 1073741824"),
      std::string::npos);
  auto longer = ask("x", 1);
  longer.prompt.assign(node->positions_max(), 5);
  EXPECT_EQ(node->submit(longer, reader.sink()).error().code(), status_code::invalid_argument);
  auto hot = ask("x", 1);
  hot.sampling.temperature = -1;
  EXPECT_NE(node->submit(hot, reader.sink()).error().why().find("temperature"), std::string::npos);
}

TEST(node_test, options_out_of_range_are_named) {
  const system_clock time;
  const auto refuse = [&time](const node_options& options) {
    auto node = start_node(tests::built_in_model(), tests::shared_executor(), time, options);
    return node ? std::string() : node.error().why();
  };
  node_options options;
  options.page_tokens = 24;
  EXPECT_NE(refuse(options).find("page_tokens is 24"), std::string::npos);
  options = {};
  options.kv_bytes = 1000;
  EXPECT_NE(refuse(options).find("kv_bytes is 1000"), std::string::npos);
  options = {};
  options.expert_shards = 1000;
  EXPECT_NE(refuse(options), "");
  options = {};
  options.positions_max = 1u << 30;
  EXPECT_NE(refuse(options).find("positions_max"), std::string::npos);
}

} // namespace
} // namespace troupe::actors
