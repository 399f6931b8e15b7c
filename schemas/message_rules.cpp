// The rules, a function for each kind of message.
#include "schemas/message_rules.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <string_view>

namespace troupe::schemas {
namespace {

// The highest number of dataflow::finish_reason, which is above this folder.
constexpr uint8_t finish_reason_max = 4;
constexpr uint8_t constraint_kind_max = 6; // of model::constraint::kind

status broken(std::string why) {
  return status(status_code::corrupt, text("frame header: ", why));
}

// The text is only made when it is needed: this runs for every frame.
status at_most(uint64_t size, uint64_t size_max, std::string_view what) {
  if (size <= size_max) return {};
  return broken(text(size, " ", what, ", more than the ", size_max, " allowed"));
}

status same_size(size_t size, size_t expected, std::string_view what) {
  if (size == expected) return {};
  return broken(text(size, " ", what, " for ", expected, " rows"));
}

status check_node(node_index node, const frame_limits& limits, std::string_view what) {
  if (node < limits.nodes_max) return {};
  return broken(text(what, " is node ", node, " of at most ", limits.nodes_max));
}

status check_code(uint8_t code) {
  if (code != 0 && code <= static_cast<uint8_t>(status_code::cancelled)) return {};
  return broken(text("a failure with the status code ", code));
}

// -- the cluster

status check(const placement& where, size_t members, const frame_limits& limits) {
  TROUPE_RETURN_IF_ERROR(at_most(where.stages.size(), limits.stages_max, "stages"));
  TROUPE_RETURN_IF_ERROR(at_most(where.shards.size(), limits.shards_max, "shards"));
  const auto is_member = [members](node_index node) { return node < members; };
  if (where.sequencer != no_node && !is_member(where.sequencer))
    return broken(text("the sequencer is on node ", where.sequencer, " of ", members));
  if (!std::all_of(where.stages.begin(), where.stages.end(), is_member))
    return broken(text("a stage is on a node beyond the ", members, " there are"));
  for (const auto& copies : where.shards) {
    TROUPE_RETURN_IF_ERROR(at_most(copies.size(), members, "copies of a shard"));
    if (!std::all_of(copies.begin(), copies.end(), is_member))
      return broken(text("a shard is on a node beyond the ", members, " there are"));
  }
  return {};
}

status check(const cluster_state& state, const frame_limits& limits) {
  TROUPE_RETURN_IF_ERROR(at_most(state.members.size(), limits.nodes_max, "members"));
  return check(state.where, state.members.size(), limits);
}

status check(const ballot& number, const frame_limits& limits) {
  return check_node(number.proposer, limits, "a proposer");
}

status check_recovered(const std::vector<uint64_t>& recovered, const frame_limits& limits) {
  return at_most(recovered.size(), limits.nodes_max, "recoveries");
}

status check(const acceptor_state& state, const frame_limits& limits) {
  TROUPE_RETURN_IF_ERROR(check(state.promised, limits));
  TROUPE_RETURN_IF_ERROR(check(state.accepted, limits));
  TROUPE_RETURN_IF_ERROR(check_recovered(state.recovered, limits));
  return check(state.value, limits);
}

// -- steps

status check(const step_rows& rows, const frame_limits& limits) {
  const size_t count = rows.tokens.size();
  TROUPE_RETURN_IF_ERROR(at_most(count, limits.rows_max, "rows of a step"));
  TROUPE_RETURN_IF_ERROR(same_size(rows.positions.size(), count, "positions"));
  TROUPE_RETURN_IF_ERROR(same_size(rows.slots.size(), count, "slots"));
  TROUPE_RETURN_IF_ERROR(same_size(rows.sequence_of.size(), count, "sequence indices"));
  TROUPE_RETURN_IF_ERROR(same_size(rows.prompt_lengths.size(), count, "prompt lengths"));
  TROUPE_RETURN_IF_ERROR(at_most(rows.tables.size(), limits.sequences_max, "sequences of a step"));
  uint64_t pages = 0;
  for (const auto& table : rows.tables) pages += table.size();
  TROUPE_RETURN_IF_ERROR(at_most(pages, limits.pages_max, "KV pages of a step"));
  for (const uint32_t sequence : rows.sequence_of)
    if (sequence >= rows.tables.size())
      return broken(text("a row of sequence ", sequence, " of ", rows.tables.size()));
  for (size_t i = 0; i < rows.wanted_rows.size(); ++i) {
    const uint32_t row = rows.wanted_rows[i];
    if (row >= count) return broken(text("row ", row, " is wanted of ", count));
    if (i > 0 && row <= rows.wanted_rows[i - 1])
      return broken(text("wanted rows do not ascend: ", row, " after ", rows.wanted_rows[i - 1]));
  }
  return {};
}

status check_token(const token_entry& token, const frame_limits& limits) {
  return at_most(token.top.size(), limits.alternatives_max, "alternatives to a token");
}

status check_entry(const emission::entry& entry, const frame_limits& limits) {
  if (entry.choice >= limits.choices_max)
    return broken(text("an emission of choice ", entry.choice));
  if (entry.reason > finish_reason_max)
    return broken(text("an emission with the finish reason ", entry.reason));
  TROUPE_RETURN_IF_ERROR(at_most(entry.prompt.size(), limits.tokens_max, "prompt tokens"));
  TROUPE_RETURN_IF_ERROR(at_most(entry.tokens.size(), limits.tokens_max, "tokens"));
  for (const auto& token : entry.prompt) TROUPE_RETURN_IF_ERROR(check_token(token, limits));
  for (const auto& token : entry.tokens) TROUPE_RETURN_IF_ERROR(check_token(token, limits));
  return {};
}

// -- bodies; `frame` for what the payload must be like

struct body_rules {
  const frame_header& frame;
  const frame_limits& limits;

  status operator()(std::monostate) const { return no_payload(); }

  status operator()(const node_report& in) const {
    TROUPE_RETURN_IF_ERROR(check_node(in.node, limits, "the subject of a report"));
    TROUPE_RETURN_IF_ERROR(at_most(in.hears.size(), limits.nodes_max, "nodes heard"));
    TROUPE_RETURN_IF_ERROR(at_most(in.shard_rows.size(), limits.shards_max, "shards' rows"));
    return no_payload();
  }

  status operator()(const register_prepare& in) const { return all_of(in.number); }
  status operator()(const register_promise& in) const {
    TROUPE_RETURN_IF_ERROR(check_recovered(in.recovered, limits));
    return all_of(in.number, in.promised, in.accepted, in.value);
  }
  status operator()(const register_accept& in) const { return all_of(in.number, in.value); }
  status operator()(const register_accepted& in) const {
    TROUPE_RETURN_IF_ERROR(check_recovered(in.recovered, limits));
    return all_of(in.number, in.promised);
  }
  status operator()(const register_recover&) const { return no_payload(); }
  status operator()(const register_recovered& in) const { return all_of(in.state); }
  status operator()(const state_update& in) const { return all_of(in.state); }

  status operator()(const stage_forward& in) const {
    TROUPE_RETURN_IF_ERROR(check(in.rows, limits));
    const size_t expected = in.stage == 0 ? 0 : in.rows.tokens.size();
    if (frame.rows != expected)
      return broken(text("a payload of ", frame.rows, " rows for stage ", in.stage,
                         ", which takes ", expected));
    return {};
  }
  status operator()(const stage_done&) const { return {}; }

  status operator()(const shard_forward& in) const {
    TROUPE_RETURN_IF_ERROR(at_most(in.experts.size(), limits.experts_max, "experts"));
    uint64_t rows = 0;
    for (const auto& each : in.experts) rows += each.count;
    if (rows != frame.rows)
      return broken(text("a payload of ", frame.rows, " rows for experts with ", rows));
    return {};
  }
  status operator()(const shard_done&) const { return {}; }

  status operator()(const step_failure& in) const { return check_failure(in.code, in.why); }
  status operator()(const request_failure& in) const { return check_failure(in.code, in.why); }

  status operator()(const submission& in) const {
    TROUPE_RETURN_IF_ERROR(at_most(in.id.size(), limits.text_bytes_max, "bytes of an id"));
    TROUPE_RETURN_IF_ERROR(
        at_most(in.cache_salt.size(), limits.text_bytes_max, "bytes of a cache salt"));
    TROUPE_RETURN_IF_ERROR(
        at_most(in.constraint.size(), limits.constraint_bytes_max, "bytes of a constraint"));
    if (in.constraint_kind > constraint_kind_max)
      return broken(text("a constraint of kind ", in.constraint_kind));
    TROUPE_RETURN_IF_ERROR(at_most(in.prompt.size(), limits.tokens_max, "tokens of a prompt"));
    TROUPE_RETURN_IF_ERROR(at_most(in.stop_ids.size(), limits.biases_max, "stop ids"));
    TROUPE_RETURN_IF_ERROR(at_most(in.biases.size(), limits.biases_max, "biases"));
    TROUPE_RETURN_IF_ERROR(
        at_most(in.top_logprobs.value_or(0), limits.alternatives_max, "alternatives to a token"));
    TROUPE_RETURN_IF_ERROR(at_most(in.choices, limits.choices_max, "choices"));
    if (in.choices == 0 || in.choices_so_far.size() != in.choices)
      return broken(text("what ", in.choices_so_far.size(), " choices have got, of ", in.choices));
    for (const auto& each : in.choices_so_far)
      TROUPE_RETURN_IF_ERROR(at_most(each.drawn.size(), limits.tokens_max, "tokens of a choice"));
    return no_payload();
  }

  status operator()(const choice_end& in) const {
    if (in.choice >= limits.choices_max) return broken(text("the end of choice ", in.choice));
    return no_payload();
  }

  status operator()(const emission& in) const {
    TROUPE_RETURN_IF_ERROR(
        at_most(in.entries.size(), limits.entries_max, "entries of an emission"));
    for (const auto& each : in.entries) TROUPE_RETURN_IF_ERROR(check_entry(each, limits));
    return no_payload();
  }

  // What is in it the journal judges.
  status operator()(const journal_entry& in) const {
    TROUPE_RETURN_IF_ERROR(
        at_most(in.bytes.size(), limits.journal_entry_bytes_max, "bytes of a journal's entry"));
    return no_payload();
  }
  status operator()(const journal_answer&) const { return no_payload(); }

private:
  // Only the messages between stages and shards carry rows.
  status no_payload() const {
    if (frame.rows == 0 && frame.columns == 0) return {};
    return broken(
        text("a message without rows and a payload of ", frame.rows, " x ", frame.columns));
  }

  template <class... Parts>
  status all_of(const Parts&... parts) const {
    status first;
    // Stops at the first part that is not as it should be.
    (void)((first = check(parts, limits), first.ok()) && ...);
    return first.ok() ? no_payload() : first;
  }

  status check_failure(uint8_t code, const std::string& why) const {
    TROUPE_RETURN_IF_ERROR(check_code(code));
    TROUPE_RETURN_IF_ERROR(at_most(why.size(), limits.text_bytes_max, "bytes of a reason"));
    return no_payload();
  }
};

status check_payload(const frame_header& header, const frame_limits& limits) {
  TROUPE_RETURN_IF_ERROR(at_most(header.rows, limits.rows_max, "rows of a payload"));
  TROUPE_RETURN_IF_ERROR(at_most(header.columns, limits.columns_max, "columns of a payload"));
  if (header.rows > 0 && header.columns == 0)
    return broken(text("a payload of ", header.rows, " rows without columns"));
  // rows * columns of 32 bits each fit in 64; four times that need not.
  const uint64_t elements = uint64_t{header.rows} * header.columns;
  if (elements > UINT64_MAX / 4) return broken(text("a payload of ", elements, " elements"));
  return at_most(header.payload_bytes(), limits.payload_bytes_max, "bytes of payload");
}

} // namespace

status validate(const frame_header& header, const frame_limits& limits) {
  if (header.source != no_node)
    TROUPE_RETURN_IF_ERROR(check_node(header.source, limits, "the source"));
  if (header.target != no_node)
    TROUPE_RETURN_IF_ERROR(check_node(header.target, limits, "the target"));
  TROUPE_RETURN_IF_ERROR(check_payload(header, limits));
  return std::visit(body_rules{header, limits}, header.body);
}

status validate(const acceptor_state& state, const frame_limits& limits) {
  return check(state, limits);
}

status validate(const cluster_state& state, const frame_limits& limits) {
  return check(state, limits);
}

} // namespace troupe::schemas
