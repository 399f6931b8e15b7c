// What may come in, how much of it, and why not.
#include "actors/door.hpp"

#include "tests/unit/actors/actor_test.hpp"
#include "tests/unit/actors/small_node.hpp"

namespace troupe::actors {
namespace {

class door_test : public ::testing::Test {
protected:
  door_test() {
    layout.nodes = {"a"};
    tests::prepare_small_node(state, tests::shared_executor(), time, trace, layout);
    request.prompt = {1, 2, 3};
  }
  std::string refused(status_code code) {
    const auto s = it.admit(request);
    EXPECT_EQ(s.code(), code);
    return s.why();
  }

  system_clock time;
  silent_trace trace;
  dataflow::cluster_layout layout;
  node_state state;
  door it{state.resources};
  dataflow::generation_request request;
};

TEST_F(door_test, names_the_field_that_cannot_be) {
  const auto vocabulary = state.resources.bundle->description->vocabulary;
  request.prompt[1] = -1;
  EXPECT_NE(refused(status_code::invalid_argument).find("prompt: token 1 is -1"),
            std::string::npos);
  request.prompt[1] = static_cast<int32_t>(vocabulary);
  EXPECT_NE(refused(status_code::invalid_argument).find("prompt: token 1 is"), std::string::npos);
  request.prompt.clear();
  EXPECT_NE(refused(status_code::invalid_argument).find("prompt: has no tokens"),
            std::string::npos);
  request.prompt = {1};
  request.choices = 0;
  EXPECT_NE(refused(status_code::invalid_argument).find("n: is 0"), std::string::npos);
  request.choices = 1;
  request.sampling.top_p = 2;
  EXPECT_NE(refused(status_code::invalid_argument).find("top_p"), std::string::npos);
  EXPECT_EQ(state.board->streams_open.load(), 0u);
  EXPECT_EQ(state.board->accepted.load(), 0u);
}

TEST_F(door_test, a_prompt_leaves_room_for_a_token_unless_none_is_wanted) {
  request.prompt.assign(64, 1);
  EXPECT_NE(refused(status_code::invalid_argument).find("holds 64"), std::string::npos);
  request.tokens_max = 0;
  EXPECT_TRUE(it.admit(request).ok());
  request.prompt.push_back(1);
  EXPECT_FALSE(it.admit(request).ok());
}

TEST_F(door_test, lets_in_as_many_streams_as_may_run_and_wait) {
  request.choices = 3;
  EXPECT_TRUE(it.admit(request).ok());
  EXPECT_TRUE(it.admit(request).ok()); // 4 run, 2 wait
  request.choices = 1;
  EXPECT_NE(refused(status_code::exhausted).find("6 streams are open, 6 are allowed"),
            std::string::npos);
  EXPECT_EQ(state.board->streams_open.load(), 6u);
  EXPECT_EQ(state.board->accepted.load(), 2u);
  EXPECT_EQ(state.board->rejected.load(), 1u);
  state.board->streams_open -= 3; // the first has ended
  EXPECT_TRUE(it.admit(request).ok());
}

TEST_F(door_test, a_failed_node_takes_nothing) {
  state.board->failed = true;
  EXPECT_NE(refused(status_code::unavailable).find("failed for good"), std::string::npos);
}

TEST_F(door_test, hands_over_all_that_the_client_said) {
  request.id = "r";
  bool heard = false;
  const auto out = it.opening(7, request, [&heard](const dataflow::stream_event&) { heard = true; },
                              {{3, 9, false, true}});
  EXPECT_EQ(out.handle, 7u);
  EXPECT_EQ(out.opening->handle, 7u);
  EXPECT_EQ(out.opening->request->id, "r");
  ASSERT_EQ(out.opening->received.size(), 1u);
  EXPECT_EQ(out.opening->received[0].tokens, 3u);
  EXPECT_EQ(out.opening->received[0].text_bytes, 9u);
  EXPECT_TRUE(out.opening->received[0].prompt_scored);
  out.opening->sink({});
  EXPECT_TRUE(heard);
}

} // namespace
} // namespace troupe::actors
