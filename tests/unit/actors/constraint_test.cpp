// Answers under constraints, from a node on its real threads: they meet the constraint, end where
// it ends, and are the same whoever else is served and whether or not their client was cut off.
#include "actors/node.hpp"
#include "model/tokenizer.hpp"
#include "tests/support/built_in_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace troupe::actors {
namespace {

using dataflow::finish_reason;
using dataflow::stream_event;
using kind = model::constraint::kind;

struct choice_heard {
  std::string text;
  uint32_t tokens = 0;
  finish_reason reason = finish_reason::failed;
};

class listener {
public:
  engine::event_sink sink() {
    return [this](stream_event event) {
      const std::lock_guard lock(mutex_);
      auto& choice = choices_[event.choice];
      choice.text += event.text;
      choice.tokens += static_cast<uint32_t>(event.tokens.size());
      if (event.what == stream_event::kind::finished) choice.reason = event.reason;
      if (event.what == stream_event::kind::failed) why_ = event.why;
      over_ = over_ || event.what == stream_event::kind::completed ||
              event.what == stream_event::kind::failed;
      changed_.notify_all();
    };
  }
  std::map<uint32_t, choice_heard> wait(status* why = nullptr) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return over_; }));
    if (why != nullptr) *why = why_;
    return choices_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint32_t, choice_heard> choices_;
  status why_;
  bool over_ = false;
};

dataflow::generation_request ask(kind what, std::string text, uint64_t seed = 7) {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode("Once upon a time").value();
  request.sampling.temperature = 0.9f;
  request.sampling.seed = seed;
  request.tokens_max = 60;
  request.constraint = {what, std::move(text)};
  return request;
}

std::unique_ptr<engine> start(const node_options& options = {}) {
  static const system_clock time;
  auto node = start_node(tests::built_in_model(), tests::shared_executor(), time, options);
  EXPECT_TRUE(node.has_value()) << node.error().why();
  return std::move(*node);
}

choice_heard answer(engine& node, dataflow::generation_request request) {
  listener heard;
  EXPECT_TRUE(node.submit(std::move(request), heard.sink()).has_value());
  return heard.wait()[0];
}

constexpr const char* person =
    R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},
        "age":{"type":"integer","minimum":1,"maximum":99}},"required":["name","age"],
        "additionalProperties":false})";

TEST(constraint_test, answers_meet_their_constraint_and_end_with_it) {
  const auto node = start();
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const auto digits = answer(*node, ask(kind::regex, "[0-9]{3}-[0-9]{2}", seed));
    ASSERT_EQ(digits.text.size(), 6u) << digits.text;
    EXPECT_EQ(digits.text[3], '-');
    EXPECT_EQ(digits.reason, finish_reason::stop);
    const auto chosen = answer(*node, ask(kind::choice, R"(["the wolf","the fox"])", seed)).text;
    EXPECT_TRUE(chosen == "the wolf" || chosen == "the fox") << chosen;
    const auto counted = answer(*node, ask(kind::grammar, "root ::= \"a\" root? \"b\"", seed));
    const auto opened = std::count(counted.text.begin(), counted.text.end(), 'a');
    EXPECT_EQ(counted.text.substr(0, static_cast<size_t>(opened)),
              std::string(static_cast<size_t>(opened), 'a'));
    if (counted.reason == finish_reason::stop) {
      EXPECT_EQ(opened * 2, std::ssize(counted.text));
    }
    const auto someone = answer(*node, ask(kind::json_schema, person, seed));
    EXPECT_EQ(someone.reason, finish_reason::stop);
    EXPECT_TRUE(someone.text.starts_with("{") && someone.text.ends_with("}")) << someone.text;
    EXPECT_NE(someone.text.find("\"age\":"), std::string::npos) << someone.text;
  }
}

// Greedy as well, and when the end of a sequence does not end the answer.
TEST(constraint_test, the_end_of_the_constraint_ends_the_answer_in_any_case) {
  const auto node = start();
  auto request = ask(kind::regex, "a{4}");
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  const auto heard = answer(*node, request);
  EXPECT_EQ(heard.text, "aaaa");
  EXPECT_EQ(heard.reason, finish_reason::stop);
  auto cut = ask(kind::regex, "(no ){200}");
  cut.tokens_max = 7;
  const auto shorter = answer(*node, cut);
  EXPECT_EQ(shorter.tokens, 7u);
  EXPECT_EQ(shorter.reason, finish_reason::length);
}

TEST(constraint_test, company_changes_no_byte) {
  const auto node = start();
  std::vector<dataflow::generation_request> requests;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    requests.push_back(ask(kind::json_schema, person, seed));
    requests.push_back(ask(kind::json_object, "", seed));
    requests.push_back(ask(kind::regex, "(\\w+ ){3}end", seed));
    requests.push_back(ask(kind::none, "", seed));
  }
  std::vector<std::string> alone;
  for (const auto& request : requests) alone.push_back(answer(*node, request).text);
  std::vector<listener> heard(requests.size());
  for (size_t i = 0; i < requests.size(); ++i)
    ASSERT_TRUE(node->submit(requests[i], heard[i].sink()).has_value());
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(heard[i].wait()[0].text, alone[i]) << i;
}

TEST(constraint_test, every_choice_has_a_state_of_its_own) {
  const auto node = start();
  auto request = ask(kind::json_schema, person);
  request.choices = 3;
  listener heard;
  ASSERT_TRUE(node->submit(request, heard.sink()).has_value());
  const auto choices = heard.wait();
  ASSERT_EQ(choices.size(), 3u);
  for (const auto& [index, choice] : choices)
    EXPECT_TRUE(choice.text.ends_with("}")) << choice.text;
  EXPECT_NE(choices.at(0).text, choices.at(1).text);
}

TEST(constraint_test, a_client_that_was_cut_off_hears_the_rest) {
  const auto node = start();
  const auto request = ask(kind::json_schema, person, 3);
  const auto whole = answer(*node, request);
  auto beginning = request;
  beginning.tokens_max = 5;
  const auto heard = answer(*node, beginning);
  listener again;
  engine::received_so_far received(1);
  received[0].tokens = heard.tokens;
  received[0].text_bytes = heard.text.size();
  ASSERT_TRUE(node->submit(request, again.sink(), std::move(received)).has_value());
  EXPECT_EQ(heard.text + again.wait()[0].text, whole.text);
}

TEST(constraint_test, what_cannot_be_compiled_fails_with_the_place) {
  const auto node = start();
  listener heard;
  ASSERT_TRUE(node->submit(ask(kind::regex, "ab("), heard.sink()).has_value());
  status why;
  heard.wait(&why);
  EXPECT_EQ(why.code(), status_code::invalid_argument);
  EXPECT_NE(why.why().find("position 3"), std::string::npos) << why.why();
}

} // namespace
} // namespace troupe::actors
