// What cannot be is refused when it is written and when it is read.
#include "schemas/message_rules.hpp"

#include "schemas/frame_codec.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace troupe::schemas {
namespace {

// Frames that are fine, and small enough for the narrow limits below.

frame_header with(frame_body body, uint32_t rows = 0, uint32_t columns = 0) {
  frame_header out;
  out.source = 1;
  out.target = 2;
  out.rows = rows;
  out.columns = columns;
  out.body = std::move(body);
  return out;
}

cluster_state good_state() {
  cluster_state out;
  out.epoch = 5;
  out.members.resize(3);
  out.where = {.sequencer = 0, .stages = {0, 1}, .shards = {{1, 2}, {2}}};
  return out;
}

frame_header report() {
  node_report out;
  out.node = 1;
  out.hears = {1, 0, 3};
  return with(out);
}

frame_header step(uint32_t stage) {
  stage_forward out;
  out.stage = stage;
  out.rows = {.tokens = {5, 6, 7},
              .positions = {0, 1, 9},
              .slots = {3, 4, 5},
              .sequence_of = {0, 0, 1},
              .prompt_lengths = {2, 2, 4},
              .tables = {{1, 2}, {3}},
              .wanted_rows = {1, 2}};
  return with(out, stage == 0 ? 0 : 3, 16);
}

frame_header request() {
  submission out;
  out.id = "id";
  out.cache_salt = "salt";
  out.prompt = {1, 2, 3};
  out.choices = 2;
  out.stop_ids = {4};
  out.biases = {{1, 2}};
  out.top_logprobs = 3;
  out.choices_so_far = {{{7}, false, true}, {{8, 9}, true, true}};
  return with(out);
}

frame_header answer() {
  token_entry token;
  token.top = {{1, 2}, {3, 4}};
  emission::entry entry;
  entry.choice = 1;
  entry.prompt = {token};
  entry.tokens = {token, token};
  entry.reason = 4;
  return with(emission{{entry}});
}

frame_header work() {
  shard_forward out;
  out.experts = {{3, 2}, {9, 1}};
  return with(out, 3, 16);
}

frame_header promise() {
  return with(register_promise{{1, 2}, true, {3, 1}, {2, 0}, good_state()});
}
frame_header acceptance() {
  return with(register_accept{{1, 2}, good_state()});
}
frame_header accepted() {
  return with(register_accepted{{1, 2}, true, {3, 1}});
}
frame_header recovered() {
  return with(register_recovered{1, {{3, 1}, {2, 0}, good_state()}});
}
frame_header update() {
  return with(state_update{good_state()});
}
frame_header failed_step() {
  return with(step_failure{1, 3, "why"});
}
frame_header failed_request() {
  return with(request_failure{1, 3, "why"});
}
frame_header ended() {
  return with(choice_end{1, 3});
}
frame_header kept_request() {
  return with(journal_entry{1, std::vector<std::byte>(32)});
}
frame_header rows_back() {
  return with(shard_done{}, 3, 16);
}
frame_header nothing() {
  return with(std::monostate());
}

constexpr frame_limits narrow{.payload_bytes_max = 1024,
                              .columns_max = 64,
                              .rows_max = 16,
                              .nodes_max = 8,
                              .stages_max = 4,
                              .shards_max = 4,
                              .experts_max = 4,
                              .sequences_max = 4,
                              .pages_max = 6,
                              .tokens_max = 10,
                              .choices_max = 4,
                              .biases_max = 4,
                              .entries_max = 4,
                              .alternatives_max = 4,
                              .text_bytes_max = 16,
                              .constraint_bytes_max = 16,
                              .journal_entry_bytes_max = 32};

template <class Message>
Message& in(frame_header& header) {
  return std::get<Message>(header.body);
}
step_rows& rows_of(frame_header& header) {
  return in<stage_forward>(header).rows;
}
emission::entry& entry_of(frame_header& header) {
  return in<emission>(header).entries[0];
}
placement& where_in(frame_header& header) {
  return in<state_update>(header).state.where;
}

struct refusal {
  const char* why; // a part of what is said
  frame_header (*good)();
  std::function<void(frame_header&)> spoil;
};

void expect_refused(const refusal& each, const frame_limits& limits) {
  auto header = each.good();
  ASSERT_TRUE(validate(header, limits).ok()) << each.why << ": " << validate(header, limits).why();
  ASSERT_TRUE(encode_frame(header, limits).has_value()) << each.why;
  each.spoil(header);
  const auto written = encode_frame(header, limits);
  ASSERT_FALSE(written.has_value()) << each.why;
  EXPECT_EQ(written.error().code(), status_code::corrupt) << each.why;
  EXPECT_NE(written.error().why().find(each.why), std::string::npos) << written.error().why();
}

// These are wrong whatever the limits.
TEST(message_rules, what_does_not_fit_together_is_refused) {
  const auto later_step = [] { return step(1); };
  const auto first_step = [] { return step(0); };
  const std::vector<refusal> cases = {
      {"rows without columns", rows_back, [](auto& h) { h.columns = 0; }},
      {"without rows and a payload", report, [](auto& h) { h.rows = h.columns = 1; }},
      {"without rows and a payload", nothing, [](auto& h) { h.columns = 1; }},
      {"without rows and a payload", promise, [](auto& h) { h.rows = h.columns = 1; }},
      {"without rows and a payload", request, [](auto& h) { h.rows = h.columns = 1; }},
      {"without rows and a payload", answer, [](auto& h) { h.rows = h.columns = 1; }},
      {"without rows and a payload", ended, [](auto& h) { h.rows = h.columns = 1; }},
      {"without rows and a payload", failed_step, [](auto& h) { h.rows = h.columns = 1; }},
      {"2 positions for 3 rows", later_step, [](auto& h) { rows_of(h).positions.pop_back(); }},
      {"4 slots for 3 rows", later_step, [](auto& h) { rows_of(h).slots.push_back(1); }},
      {"2 sequence indices", later_step, [](auto& h) { rows_of(h).sequence_of.pop_back(); }},
      {"2 prompt lengths", later_step, [](auto& h) { rows_of(h).prompt_lengths.pop_back(); }},
      {"for 2 rows", later_step, [](auto& h) { rows_of(h).tokens.pop_back(); }},
      {"a row of sequence 2 of 2", later_step, [](auto& h) { rows_of(h).sequence_of[1] = 2; }},
      {"row 3 is wanted of 3", later_step, [](auto& h) { rows_of(h).wanted_rows = {3}; }},
      {"do not ascend", later_step,
       [](auto& h) {
         rows_of(h).wanted_rows = {2, 1};
       }},
      {"do not ascend", later_step,
       [](auto& h) {
         rows_of(h).wanted_rows = {1, 1};
       }},
      {"a payload of 2 rows for stage 1", later_step, [](auto& h) { h.rows = 2; }},
      {"a payload of 3 rows for stage 0", first_step, [](auto& h) { h.rows = 3; }},
      {"3 rows for experts with 4", work, [](auto& h) { ++in<shard_forward>(h).experts[0].count; }},
      {"4 rows for experts with 3", work, [](auto& h) { ++h.rows; }},
      {"rows for experts with 8589934590", work,
       [](auto& h) {
         in<shard_forward>(h).experts = {{0, UINT32_MAX}, {1, UINT32_MAX}};
       }},
      {"1 choices have got, of 2", request,
       [](auto& h) { in<submission>(h).choices_so_far.pop_back(); }},
      {"0 choices have got, of 0", request,
       [](auto& h) {
         in<submission>(h).choices_so_far.clear();
         in<submission>(h).choices = 0;
       }},
      {"a constraint of kind 7", request, [](auto& h) { in<submission>(h).constraint_kind = 7; }},
      {"finish reason 5", answer, [](auto& h) { entry_of(h).reason = 5; }},
      {"status code 0", failed_step, [](auto& h) { in<step_failure>(h).code = 0; }},
      {"status code 10", failed_step, [](auto& h) { in<step_failure>(h).code = 10; }},
      {"status code 0", failed_request, [](auto& h) { in<request_failure>(h).code = 0; }},
      {"status code 255", failed_request, [](auto& h) { in<request_failure>(h).code = 255; }},
      {"the sequencer is on node 3 of 3", update, [](auto& h) { where_in(h).sequencer = 3; }},
      {"a stage is on a node beyond", update, [](auto& h) { where_in(h).stages[1] = 3; }},
      {"a stage is on a node beyond", update, [](auto& h) { where_in(h).stages[1] = no_node; }},
      {"a shard is on a node beyond", update, [](auto& h) { where_in(h).shards[1] = {3}; }},
      {"copies of a shard", update,
       [](auto& h) {
         where_in(h).shards[1] = {0, 1, 2, 0};
       }},
      {"a shard is on a node", promise,
       [](auto& h) { in<register_promise>(h).value.where.shards[0][1] = 3; }},
      {"a shard is on a node", acceptance,
       [](auto& h) { in<register_accept>(h).value.where.shards[0][1] = 3; }},
      {"a shard is on a node", recovered,
       [](auto& h) { in<register_recovered>(h).state.value.where.shards[0][1] = 3; }},
  };
  for (const auto& each : cases) expect_refused(each, {});
}

// These are only too much, and must also be refused by a reader narrower than the writer.
TEST(message_rules, what_exceeds_a_limit_is_refused_on_both_sides) {
  const auto long_text = std::string(17, 'x');
  const auto later_step = [] { return step(1); };
  const std::vector<refusal> cases = {
      {"the source is node 8", nothing, [](auto& h) { h.source = 8; }},
      {"the target is node 8", nothing, [](auto& h) { h.target = 8; }},
      {"17 rows of a payload", rows_back, [](auto& h) { h.rows = 17; }},
      {"65 columns", rows_back, [](auto& h) { h.columns = 65; }},
      {"4096 bytes of payload", rows_back,
       [](auto& h) {
         h.rows = 16;
         h.columns = 64;
       }},
      {"the subject of a report", report, [](auto& h) { in<node_report>(h).node = 8; }},
      {"9 nodes heard", report, [](auto& h) { in<node_report>(h).hears.resize(9); }},
      {"9 shards' rows", report, [](auto& h) { in<node_report>(h).shard_rows.resize(9); }},
      {"a proposer is node 8",
       [] {
         return with(register_prepare{{1, 2}});
       },
       [](auto& h) { in<register_prepare>(h).number.proposer = 8; }},
      {"a proposer", promise, [](auto& h) { in<register_promise>(h).number.proposer = 8; }},
      {"a proposer", promise, [](auto& h) { in<register_promise>(h).promised.proposer = 8; }},
      {"a proposer", promise, [](auto& h) { in<register_promise>(h).accepted.proposer = 8; }},
      {"a proposer", acceptance, [](auto& h) { in<register_accept>(h).number.proposer = 8; }},
      {"a proposer", accepted, [](auto& h) { in<register_accepted>(h).number.proposer = 8; }},
      {"a proposer", accepted, [](auto& h) { in<register_accepted>(h).promised.proposer = 8; }},
      {"a proposer", recovered,
       [](auto& h) { in<register_recovered>(h).state.promised.proposer = 8; }},
      {"9 recoveries", promise, [](auto& h) { in<register_promise>(h).recovered.resize(9); }},
      {"9 recoveries", accepted, [](auto& h) { in<register_accepted>(h).recovered.resize(9); }},
      {"9 recoveries", recovered,
       [](auto& h) { in<register_recovered>(h).state.recovered.resize(9); }},
      {"9 members", update, [](auto& h) { in<state_update>(h).state.members.resize(9); }},
      {"5 stages", update, [](auto& h) { where_in(h).stages.resize(5); }},
      {"5 shards", update, [](auto& h) { where_in(h).shards.resize(5); }},
      {"17 rows of a step", later_step,
       [](auto& h) {
         auto& rows = rows_of(h);
         rows.tokens.resize(17);
         for (auto* each : {&rows.positions, &rows.slots, &rows.sequence_of, &rows.prompt_lengths})
           each->resize(17);
         in<stage_forward>(h).stage = 0; // without a payload, which would be refused first
         h.rows = 0;
       }},
      {"5 sequences", later_step, [](auto& h) { rows_of(h).tables.resize(5); }},
      {"7 KV pages", later_step, [](auto& h) { rows_of(h).tables[1].resize(5); }},
      {"5 experts", work, [](auto& h) { in<shard_forward>(h).experts.resize(5); }},
      {"bytes of a reason", failed_step, [&](auto& h) { in<step_failure>(h).why = long_text; }},
      {"bytes of a reason", failed_request,
       [&](auto& h) { in<request_failure>(h).why = long_text; }},
      {"bytes of an id", request, [&](auto& h) { in<submission>(h).id = long_text; }},
      {"bytes of a cache salt", request,
       [&](auto& h) { in<submission>(h).cache_salt = long_text; }},
      {"bytes of a constraint", request,
       [&](auto& h) { in<submission>(h).constraint = long_text; }},
      {"tokens of a prompt", request, [](auto& h) { in<submission>(h).prompt.resize(11); }},
      {"stop ids", request, [](auto& h) { in<submission>(h).stop_ids.resize(5); }},
      {"biases", request, [](auto& h) { in<submission>(h).biases.resize(5); }},
      {"alternatives", request, [](auto& h) { in<submission>(h).top_logprobs = 5; }},
      {"choices", request,
       [](auto& h) {
         in<submission>(h).choices = 5;
         in<submission>(h).choices_so_far.resize(5);
       }},
      {"tokens of a choice", request,
       [](auto& h) { in<submission>(h).choices_so_far[1].drawn.resize(11); }},
      {"the end of choice 4", ended, [](auto& h) { in<choice_end>(h).choice = 4; }},
      {"5 entries", answer, [](auto& h) { in<emission>(h).entries.resize(5); }},
      {"an emission of choice 4", answer, [](auto& h) { entry_of(h).choice = 4; }},
      {"11 prompt tokens", answer, [](auto& h) { entry_of(h).prompt.resize(11); }},
      {"11 tokens", answer, [](auto& h) { entry_of(h).tokens.resize(11); }},
      {"5 alternatives", answer, [](auto& h) { entry_of(h).tokens[1].top.resize(5); }},
      {"5 alternatives", answer, [](auto& h) { entry_of(h).prompt[0].top.resize(5); }},
      {"bytes of a journal's entry", kept_request,
       [](auto& h) { in<journal_entry>(h).bytes.resize(33); }},
  };
  for (const auto& each : cases) {
    expect_refused(each, narrow);
    auto header = each.good();
    each.spoil(header);
    const auto bytes = encode_frame(header, {});
    ASSERT_TRUE(bytes.has_value()) << each.why << ": " << bytes.error().why();
    EXPECT_TRUE(decode_frame(*bytes, {}).has_value()) << each.why;
    const auto back = decode_frame(*bytes, narrow);
    ASSERT_FALSE(back.has_value()) << each.why;
    EXPECT_EQ(back.error().code(), status_code::corrupt) << each.why;
  }
}

TEST(message_rules, nobody_in_particular_may_send_and_receive) {
  auto header = nothing();
  header.source = header.target = no_node;
  EXPECT_TRUE(validate(header, {}).ok());
}

TEST(message_rules, the_largest_payload_does_not_overflow) {
  auto header = rows_back();
  header.rows = header.columns = uint32_t{1} << 31; // 2^64 bytes
  frame_limits wide;
  wide.rows_max = wide.columns_max = UINT32_MAX;
  EXPECT_FALSE(validate(header, wide).ok());
}

TEST(message_rules, an_empty_placement_is_fine) {
  auto header = update();
  in<state_update>(header).state.where = {};
  EXPECT_TRUE(validate(header, {}).ok());
}

} // namespace
} // namespace troupe::schemas
